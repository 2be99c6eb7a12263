"""Which streams are taken, from lists like those of YouTube."""

from __future__ import annotations

import random

import pytest

from talkset.acquire.formats import NoStream, choose


def picture(format_id, height, vcodec="avc1.640028", **more):
    ext = "webm" if vcodec.startswith("vp") else "mp4"
    given = {
        "format_id": format_id,
        "ext": ext,
        "container": f"{ext}_dash",
        "protocol": "https",
        "vcodec": vcodec,
        "acodec": "none",
        "width": height * 16 // 9,
        "height": height,
        "fps": 30,
        "tbr": height * 2.0,
        "vbr": height * 2.0,
        "dynamic_range": "SDR",
        "format_note": f"{height}p",
        "language": None,
        "language_preference": -1,
        "has_drm": False,
    }
    return given | more


def sound(format_id, acodec="mp4a.40.2", abr=129.5, **more):
    ext = "m4a" if acodec.startswith("mp4a") else "webm"
    given = {
        "format_id": format_id,
        "ext": ext,
        "container": f"{ext}_dash",
        "protocol": "https",
        "vcodec": "none",
        "acodec": acodec,
        "height": None,
        "fps": None,
        "tbr": abr,
        "abr": abr,
        "asr": 44100,
        "audio_channels": 2,
        "format_note": "medium",
        "language": "en",
        "language_preference": 5,
        "has_drm": False,
    }
    return given | more


def storyboard():
    return {"format_id": "sb0", "ext": "mhtml", "vcodec": "none", "acodec": "none", "height": 180, "fps": 0.1}


MUXED = picture("18", 360, "avc1.42001E", acodec="mp4a.40.2", tbr=500, vbr=None, language="en", language_preference=5)
YOUTUBE = [
    storyboard(),
    sound("139", abr=48.8),
    sound("140"),
    sound("251", "opus", 130.2),
    MUXED,
    picture("134", 360),
    picture("243", 360, "vp9"),
    picture("136", 720),
    picture("247", 720, "vp9"),
    picture("398", 720, "av01.0.05M.08"),
    picture("137", 1080, tbr=3000, vbr=3000),
    picture("248", 1080, "vp9", tbr=1800, vbr=1800),
    picture("399", 1080, "av01.0.08M.08", tbr=1400, vbr=1400),
    picture("270", 1080, protocol="m3u8_native", tbr=5000, vbr=None),
]


def ids(choice):
    return choice.picture, choice.sound


def test_the_exact_height():
    choice = choose(YOUTUBE, 720)
    assert (ids(choice), choice.height, choice.note, choice.reduced) == (("136", "140"), 720, "", False)


def test_the_best():
    choice = choose(YOUTUBE)
    assert (ids(choice), choice.height, choice.note, choice.reduced) == (("137", "140"), 1080, "", False)


@pytest.mark.parametrize(
    ("wanted", "taken", "reduced"), [(700, "136", False), (714, "136", False), (361, "136", False), (2160, "137", True)]
)
def test_a_height_that_is_not_offered_is_noted(wanted, taken, reduced):
    choice = choose(YOUTUBE, wanted)
    assert choice.picture == taken and choice.reduced == reduced
    assert choice.note.startswith(f"{wanted} lines wanted, took {choice.height}")
    assert choice.note.endswith("(offered: 360, 720, 1080)")


def test_a_cap():
    assert choose(YOUTUBE, max_height=800).picture == "136"
    choice = choose(YOUTUBE, max_height=200)
    assert (choice.picture, choice.note) == ("134", "at most 200 lines wanted, took 360 (offered: 360, 720, 1080)")


def test_the_order_of_the_list_does_not_matter():
    shuffled = list(YOUTUBE)
    for seed in range(20):
        random.Random(seed).shuffle(shuffled)
        assert ids(choose(shuffled, 1080)) == ("137", "140")


def test_higher_frame_rate_before_codec():
    assert choose([*YOUTUBE, picture("303", 1080, "vp9", fps=60)], 1080).picture == "303"


def test_codecs_with_exact_stamps_first():
    offered = [one for one in YOUTUBE if one["format_id"] not in ("137", "270", "140", "139")]
    assert ids(choose(offered, 1080)) == ("399", "251")
    assert choose([one for one in offered if one["format_id"] != "399"], 1080).picture == "248"


@pytest.mark.parametrize(
    "bad",
    [
        picture("399-sr", 2160, "av01.0.12M.08", format_note="2160p, AI-upscaled"),
        picture("616-sr", 2160),
        picture("313", 2160, format_note="2160p60, AI-upscaled"),
        picture("313", 2160, format_note="2160p, DAMAGED"),
        picture("313", 2160, format_note="2160p, MISSING POT"),
        picture("313", 2160, has_drm=True),
    ],
)
def test_pictures_that_are_never_taken(bad):
    choice = choose([*YOUTUBE, bad], 2160)
    assert choice.picture == "137" and "offered: 360, 720, 1080" in choice.note
    with pytest.raises(NoStream, match="among 2 .1 "):
        choose([bad, sound("140")])


@pytest.mark.parametrize(
    "bad",
    [
        sound("140-drc", abr=999, format_note="English original (default), medium, DRC"),
        sound("140-vb", abr=999),
        sound("140-1", abr=999, format_note="Spanish dubbed-auto", language="es", language_preference=-1),
        sound("140-2", abr=999, format_note="English descriptive", language="en-desc", language_preference=-10),
        sound("140-3", abr=999, format_note="French", language="fr", language_preference=-1),
    ],
)
def test_sounds_that_are_never_taken(bad):
    assert choose([*YOUTUBE, bad], 720).sound == "140"


def test_the_original_language_before_the_default_one():
    german = sound("140-0", abr=60, language="de", language_preference=10, format_note="German original")
    dubbed_muxed = MUXED | {"format_id": "22", "height": 1080, "fps": 60, "format_note": "1080p"}
    choice = choose([*YOUTUBE, german, dubbed_muxed], 1080)
    assert ids(choice) == ("137", "140-0")


def test_hdr_only_if_there_is_nothing_else():
    hdr = picture("701", 2160, "av01.0.13M.10", dynamic_range="HDR10")
    assert choose([*YOUTUBE, hdr]).picture == "137"
    choice = choose([hdr, sound("140")])
    assert (choice.picture, choice.note) == ("701", "only HDR offered")


def test_only_the_poorest_stream_is_a_reduced_offer():
    choice = choose([storyboard(), MUXED])
    assert (ids(choice), choice.reduced) == (("18", None), True)


def test_separate_streams_before_a_muxed_one():
    assert ids(choose(YOUTUBE, 360)) == ("134", "140")


def test_a_video_without_sound():
    choice = choose([picture("137", 1080)])
    assert (ids(choice), choice.note) == (("137", None), "no sound offered")


def test_a_plain_file_states_nothing():
    plain = {"format_id": "mp4", "url": "http://x/y.mp4", "ext": "mp4", "vcodec": None, "acodec": None}
    assert ids(choose([plain])) == ("mp4", None)
    assert choose([plain], 720).note == "720 lines wanted, the site states no height"


def test_nothing_with_a_picture():
    with pytest.raises(NoStream, match="no stream with a usable picture among 2 .1 storyboards"):
        choose([storyboard(), sound("140")])
    with pytest.raises(NoStream, match="sound only"):
        choose([sound("140")])
