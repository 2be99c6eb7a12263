"""Clips are exact: picture to the frame and sound within 1 ms, whatever the container and codec of the source."""

import errno
import resource
import subprocess
import wave
from contextlib import closing
from fractions import Fraction

import av
import media_factory
import numpy as np
import pytest

from talkset import cut, media, sound, timeline
from talkset.demo import barcode
from talkset.faults import ClipFault
from talkset.ffmpeg import ffmpeg_executable

CLICKS = [0.4, 0.97, 1.61, 2.2, 2.83]
OPEN_GOP = {"options": {"x264-params": "open-gop=1:keyint=20:min-keyint=20:scenecut=0"}, "bframes": 3}
VFR = [Fraction(n, 1000) for n in (0, 40, 61, 100, 133, 170, 200, 240, 255, 300, 700, 733, 766, 900, 940, 990, 1033,
                                   1066, 1100, 1133, 1500, 1540, 1580, 1620, 1650, 1666, 1700, 1733, 2400, 2440, 2480,
                                   2500, 2533, 2600, 2666, 2700, 2766, 2800, 2850, 2900, 2950)]  # fmt: skip

SOURCES = {
    "h264-b-frames.mp4": {},
    "h264-long-gop.mp4": {"gop": 1000, "bframes": 4},
    "h264-open-gop.mp4": OPEN_GOP,
    "h264-open-gop.ts": OPEN_GOP | {"start": 1.4},
    "h264-25.mkv": {},
    "h264-29.97.mp4": {"fps": "30000/1001"},
    "h264-29.97.mkv": {"fps": "30000/1001", "rate": 44100},
    "h264-30.ts": {"fps": 30, "start": 1.4},
    "h264-30-44k.ts": {"fps": 30, "rate": 44100, "gop": 1000},
    "h264-50.mp4": {"fps": 50},
    "h264-59.94.mp4": {"fps": "60000/1001", "rate": 44100},
    "h264-23.976.mp4": {"fps": "24000/1001"},
    "h264-variable.mp4": {"stamps": VFR},
    "h264-variable.mkv": {"stamps": VFR},
    "h264-late-start.mp4": {"start": 3.5},
    "h264-interlaced.mp4": {"interlaced": True},
    "h264-intra-refresh.mp4": {"options": {"x264-params": "intra-refresh=1:keyint=20"}, "bframes": 0},
    "h264-intra-refresh.ts": {"options": {"x264-params": "intra-refresh=1:keyint=20"}, "bframes": 0, "start": 1.4},
    "h264-fragments.mp4": {"container_options": {"movflags": "frag_keyframe+delay_moov"}, "gop": 20},
    "h264-odd-time-scale.mp4": {"container_options": {"video_track_timescale": "999983"}},
    "mjpeg-odd-size.mov": {
        "codec": "mjpeg",
        "pix_fmt": "yuvj420p",
        "size": (321, 183),
        "sound": "pcm_s16le",
        "bframes": 0,
    },
    "h264-mp3.mp4": {"sound": "libmp3lame"},
    "hevc.mp4": {"codec": "libx265", "gop": 25, "options": {"x265-params": "log-level=none"}},
    "vp9.webm": {"codec": "libvpx-vp9", "sound": "libopus"},
    "vp9-29.97.webm": {"codec": "libvpx-vp9", "sound": "libopus", "fps": "30000/1001"},
    "av1.mp4": {"codec": "libsvtav1", "sound": "libopus"},
    "vp8.webm": {"codec": "libvpx", "sound": "libopus"},
    "mpeg2.ts": {"codec": "mpeg2video", "sound": "mp2", "interlaced": True},
    "pcm.mov": {"sound": "pcm_s16le"},
    "pcm-29.97.mkv": {"sound": "pcm_s16le", "fps": "30000/1001"},
    "sound-later.mp4": {"sound_start": 0.73},
    "sound-later.ts": {"sound_start": 0.73, "start": 1.4},
    "picture-later.mp4": {"stamps": [Fraction(n + 15, 25) for n in range(60)]},
    "picture-later.mkv": {"stamps": [Fraction(n + 15, 25) for n in range(60)]},
}
STORED = {"vp8.webm": "matroska", "pcm.mov": "lossless", "pcm-29.97.mkv": "matroska", "mjpeg-odd-size.mov": "lossless"}
SPANS = [("0", "1.2"), ("0.613", "2.9"), ("1.507", "2.1"), ("2.4", None)]


def stamps_of(name: str) -> list[Fraction]:
    """The pictures' stamps as the file holds them."""
    made = SOURCES[name]
    fps = Fraction(made.get("fps", 25))
    stamps = made.get("stamps") or [number / fps for number in range(round(3 * fps))]
    scale = 1000 if name.endswith(("mkv", "webm")) else 999983 if "time-scale" in name else None
    return [Fraction(round(stamp * scale), scale) for stamp in stamps] if scale else stamps


def numbers(path, record) -> list[int]:
    reader = media.ClipReader(path, record)
    return [barcode.read(picture.frame.to_ndarray(format="gray")) for _, picture in reader.shown(timeline.FPS)]


def heard(path, record, folder) -> list[float]:
    """Onsets in seconds on the annotation's timeline."""
    sound.write_wav(folder / "clip.wav", path, record, record["frames"])
    with wave.open(str(folder / "clip.wav")) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(float)
    assert len(samples) == 640 * record["frames"]
    return [time + float(Fraction(record["start"])) for time in media_factory.onsets(samples, 16000)]


def cut_one(source, start, end, folder, name="clip"):
    fields, path = cut.cut(source, Fraction(start), end and Fraction(end), folder / name)
    return {"start": start, "end": end} | fields, path


@pytest.mark.parametrize("name", SOURCES)
def test_every_span_is_exact(name, tmp_path):
    made = SOURCES[name]
    stamps = stamps_of(name)
    path = media_factory.make(tmp_path / name, **{"seconds": 3, "click_times": CLICKS} | made)
    with closing(media.Source(path)) as source:
        for start, end in SPANS:
            record, clip = cut_one(source, start, end, tmp_path)
            assert record["stored"] == STORED.get(name, "mp4"), record["refused"]
            begin = Fraction(start)
            picture_end = Fraction(round((stamps[-1] + 1 / Fraction(made.get("fps", 25))) * 10000), 10000)
            count = timeline.frame_count(begin, Fraction(end)) if end else timeline.slots_before(begin, picture_end)
            assert abs(record["frames"] - count) <= ("stamps" in made and end is None)  # a last picture's length
            assert numbers(clip, record) == timeline.pick_frames(stamps, timeline.slots(begin, record["frames"]))
            onsets = heard(clip, record, tmp_path)
            until = float(begin) + record["frames"] / 25
            first = max(float(begin), made.get("sound_start", 0))
            expected = [click for click in CLICKS if first < click < until - 0.01]
            assert len(onsets) == len(expected)
            assert max(abs(was - click) for was, click in zip(onsets, expected, strict=True)) < 0.001


def test_a_clip_holds_the_pictures_of_its_span_and_no_others(tmp_path):
    path = media_factory.make(tmp_path / "a.mp4", seconds=3, fps=30)
    with closing(media.Source(path)) as source:
        record, clip = cut_one(source, "1.01", "2.01", tmp_path)
    pictures = list(media.ClipReader(clip, record).pictures())
    # slot 0 is nearest to picture 30 (at 1.0 s), the last one before 2.01 s is 60
    assert [barcode.read(one.frame.to_ndarray(format="gray")) for one in pictures] == list(range(30, 61))
    assert [one.time for one in pictures] == [Fraction(n, 30) - Fraction("1.01") for n in range(30, 61)]
    assert pictures[0].pts == record["first_pts"] and pictures[-1].pts == record["last_pts"]


@pytest.mark.parametrize("name", ["h264-open-gop.ts", "vp9.webm", "av1.mp4", "hevc.mp4", "pcm.mov", "vp8.webm"])
def test_no_generation_is_added(name, tmp_path):
    path = media_factory.make(tmp_path / name, **{"seconds": 3, "click_times": CLICKS} | SOURCES[name])
    with closing(media.Source(path)) as source:
        record, clip = cut_one(source, "1.3", "2", tmp_path)
        origin = source.origin
    with av.open(str(path)) as container:
        there = {frame.pts * frame.time_base - origin: frame.to_ndarray() for frame in container.decode(video=0)}
    pictures = list(media.ClipReader(clip, record).pictures())
    assert len(pictures) >= 17
    for picture in pictures:
        assert np.array_equal(there[picture.time + Fraction("1.3")], picture.frame.to_ndarray())


def test_hidden_pictures_of_an_edit_list_are_not_counted(tmp_path):
    """A source that was itself cut by a stream copy: pictures before its start are there but never shown."""
    whole = media_factory.make(tmp_path / "whole.mp4", seconds=4, gop=100, click_times=CLICKS)
    path = tmp_path / "source.mp4"
    subprocess.run([ffmpeg_executable(), "-v", "error", "-ss", "1", "-i", whole, "-c", "copy", path], check=True)
    with closing(media.Source(path)) as source:
        record, clip = cut_one(source, "0", "1", tmp_path)
        later, later_clip = cut_one(source, "0.5", "1.5", tmp_path, "later")
    assert numbers(clip, record) == list(range(25, 50))
    assert numbers(later_clip, later) == [*range(37, 62)]  # slots lie 20 ms after a picture: a tie, the earlier


def test_the_name_of_a_file_does_not_matter(tmp_path):
    path = media_factory.make(tmp_path / "a.mp4", container="webm", codec="libvpx-vp9", sound="libopus", seconds=2)
    with closing(media.Source(path)) as source:
        record, clip = cut_one(source, "0.5", "1.5", tmp_path, "out")
    assert numbers(clip, record)[:2] == [12, 13]


def test_ordinary_players_can_play_a_clip(tmp_path):
    path = media_factory.make(tmp_path / "a.ts", seconds=3, start=1.4, click_times=CLICKS)
    with closing(media.Source(path)) as source:
        _, clip = cut_one(source, "1.01", "2.5", tmp_path)
    command = [ffmpeg_executable(), "-v", "warning", "-i", clip, "-f", "null", "-"]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stderr == ""


def test_the_same_span_gives_the_same_bytes(tmp_path):
    path = media_factory.make(tmp_path / "a.webm", codec="libvpx-vp9", sound="libopus", seconds=2)
    with closing(media.Source(path)) as source:
        first = cut_one(source, "0.7", "1.5", tmp_path)
        cut_one(source, "0.1", "0.5", tmp_path, "other")
        second = cut_one(source, "0.7", "1.5", tmp_path, "again")
    assert first[0] == second[0]
    assert first[1].read_bytes() == second[1].read_bytes()


def test_the_end_of_the_video_is_counted_not_invented(tmp_path):
    path = media_factory.make(tmp_path / "a.mp4", seconds=2)
    with closing(media.Source(path)) as source:
        record, clip = cut_one(source, "1.2", "3.4", tmp_path)
        assert (record["frames"], record["missing_s"]) == (20, 1.4)
        assert numbers(clip, record) == list(range(30, 50))
        with pytest.raises(ClipFault, match=r"starts at 2\.5 s, but the picture ends at 2\.000 s"):
            cut_one(source, "2.5", "3.4", tmp_path)
        with pytest.raises(ClipFault, match=r"starts at 100\.0 s, but the picture ends at 2\.000 s"):
            cut_one(source, "100", "103.4", tmp_path)


@pytest.mark.parametrize(
    ("start", "end", "reason"),
    [
        ("-1.5", "2", r"starts at -1\.5 s, before the video"),
        ("1", "1", r"ends at 1\.0 s, not after its start at 1\.0 s"),
        ("1", "0.5", r"ends at 0\.5 s, not after"),
        ("1", "1.01", r"lasts 0\.01 s, less than a frame"),
    ],
)
def test_impossible_spans_say_so(start, end, reason, tmp_path):
    path = media_factory.make(tmp_path / "a.mp4", seconds=2)
    with closing(media.Source(path)) as source, pytest.raises(ClipFault, match=reason):
        cut_one(source, start, end, tmp_path)


def test_a_source_without_sound(tmp_path):
    path = media_factory.make(tmp_path / "a.mp4", seconds=2, sound=None)
    with closing(media.Source(path)) as source:
        record, clip = cut_one(source, "0.5", "1.5", tmp_path)
    assert record["sound"] is None
    assert numbers(clip, record) == [*range(12, 37)]


def test_the_default_sound_stream_is_taken(tmp_path):
    path = media_factory.make(tmp_path / "a.mp4", seconds=2, click_times=CLICKS, sounds=3)
    with closing(media.Source(path)) as source:
        record, clip = cut_one(source, "0.2", "1.5", tmp_path)
    assert (record["sound"]["stream"], record["sound"]["streams"]) == (3, 3)
    sound.write_wav(tmp_path / "clip.wav", clip, record, record["frames"])
    with wave.open(str(tmp_path / "clip.wav")) as file:
        assert not np.frombuffer(file.readframes(10**6), "<i2").any()  # the factory's last stream is silent


def test_a_full_disk_is_nobodys_clip(tmp_path):
    path = media_factory.make(tmp_path / "a.mp4", seconds=2)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with closing(media.Source(path)) as source:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
        try:
            with pytest.raises(OSError) as fault:
                cut_one(source, "0.5", "1.5", tmp_path)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert fault.value.errno == errno.EFBIG


def test_decoding_stamps_suit_any_order():
    assert cut._decode_times([0, 3, 1, 2, 6, 4, 5]) == [-1, 0, 1, 2, 3, 4, 5]
    assert cut._decode_times([10, 20, 30]) == [10, 20, 30]
    stamps = [0, 8, 4, 2, 1, 3, 6, 5, 7, 16, 12]
    decode = cut._decode_times(stamps)
    assert all(when <= stamp for when, stamp in zip(decode, stamps, strict=True))
    assert all(before < after for before, after in zip(decode, decode[1:], strict=False))
