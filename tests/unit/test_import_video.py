"""Importing a source video: linked, whatever its container, and the user's file is never touched."""

from __future__ import annotations

import json
import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

import import_video
from talkset import files
from talkset.acquire import client
from talkset.acquire.probe import Unreadable, probe
from talkset.faults import ToolFault

REAL = Path(__file__).parents[3] / "shared" / "data" / "videos"


def write(path, container_format="mp4", codec="libx264", frames=25):
    with av.open(str(path), "w", format=container_format) as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.thread_count = 1
        for number in range(frames):
            picture = np.random.default_rng(number).integers(0, 255, (48, 64, 3), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return path


@pytest.fixture
def work(tmp_path, monkeypatch):
    (tmp_path / "given").mkdir()
    (tmp_path / "results").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def take(work, *found, names=("RD_Radio11",), folder="given", url="https://x/abc", rate=""):
    media, record = work / "results" / "abc.mp4", work / "results" / "abc.json"
    import_video.main(
        list(found),
        media,
        record,
        video="abc",
        url=url,
        names=list(names),
        folder=str(folder),
        rate=rate,
        version=1,
    )
    return media, json.loads(record.read_text())


def state(path):
    return path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_mode, path.stat().st_ino


def test_a_file_is_linked_and_described(work):
    given = write(work / "given" / "RD_Radio11.mp4")
    before = state(given)
    media, record = take(work, given)
    assert media.is_symlink() and media.read_bytes() == before[0]
    assert record == {
        "video": "abc",
        "url": "https://x/abc",
        "status": "ok",
        "reason": "",
        "format_id": None,
        "height": 48,
        "width": 64,
        "fps": "25",
        "vcodec": "h264",
        "acodec": None,
        "bytes": given.stat().st_size,
        "sha256": files.sha256(given),
        "tool": "import",
        "wanted_height": None,
        "note": "",
        "checked": record["checked"],
    }
    assert tuple(record) == client.RECORD
    # What Snakemake does to outputs: set the link's date, delete it.
    os.utime(media, (1, 1), follow_symlinks=False)
    media.unlink()
    assert state(given) == before
    assert sorted(path.name for path in (work / "results").iterdir()) == ["abc.json"]


def test_a_link_within_the_working_folder_survives_its_move(work):
    write(work / "given" / "RD_Radio11.mp4")
    media, _ = take(work, Path("given/RD_Radio11.mp4"))
    moved = work.with_name("moved")
    work.rename(moved)
    assert probe(moved / "results" / "abc.mp4").height == 48
    moved.rename(work)


def test_a_relative_link_through_a_linked_folder(work):
    elsewhere = work / "far" / "away"
    elsewhere.mkdir(parents=True)
    (work / "results").rmdir()
    (work / "results").symlink_to(elsewhere)
    write(work / "given" / "RD_Radio11.mp4")
    media, record = take(work, Path("given/RD_Radio11.mp4"))
    assert record["status"] == "ok" and probe(media).height == 48


CONTAINERS = [
    ("matroska", "libx264", "mkv"),
    ("webm", "libvpx-vp9", "webm"),
    ("avi", "mpeg4", "avi"),
    ("mpegts", "libx264", "ts"),
    ("mov", "libx264", "mov"),
    ("flv", "libx264", "flv"),
]


@pytest.mark.parametrize(("container", "codec", "ending"), CONTAINERS)
def test_any_container_under_the_name_mp4(work, container, codec, ending):
    given = write(work / "given" / f"RD_Radio11.{ending}", container, codec)
    media, record = take(work, given)
    assert (record["status"], record["height"], record["note"]) == ("ok", 48, "")
    assert media.suffix == ".mp4" and probe(media).height == 48
    with av.open(str(media)) as opened:
        assert sum(1 for _ in opened.decode(video=0)) == 25


def test_no_file_is_gone(work):
    media, record = take(work, folder=work / "secret" / "given", names=["RD_Radio11", "WRA_Other"])
    assert record["status"] == "gone"
    assert record["reason"] == "not in the import folder given: looked for RD_Radio11.* or WRA_Other.*"
    assert media.read_bytes() == b"" and not media.is_symlink()
    assert tuple(record) == client.RECORD


def test_an_unfinished_download_is_no_file(work):
    part = write(work / "given" / "RD_Radio11.part")
    _, record = take(work, part)
    assert record["status"] == "gone" and record["reason"].endswith("; unfinished: RD_Radio11.part")


def test_two_files_of_one_name_are_the_user_s_to_sort_out(work):
    both = write(work / "given" / "RD_Radio11.mp4"), write(work / "given" / "RD_Radio11.mkv", "matroska")
    with pytest.raises(ToolFault, match="RD_Radio11.mkv, RD_Radio11.mp4"):
        take(work, *both)
    assert list((work / "results").iterdir()) == []


def test_two_files_of_one_name_in_nested_folders_are_told_apart(work):
    for part in "ab":
        (work / "given" / part).mkdir()
    both = [write(work / "given" / part / "RD_Radio11.mp4") for part in "ab"]
    with pytest.raises(ToolFault, match="a/RD_Radio11.mp4, b/RD_Radio11.mp4 are all called like one video"):
        take(work, *both)


def test_a_file_by_its_path(work):
    (work / "given" / "a b").mkdir()
    given = write(work / "given" / "a b" / "c.mp4")
    media, record = take(work, given, names=(), url="a b/c.mp4")
    assert (record["status"], record["url"], record["bytes"]) == ("ok", "a b/c.mp4", given.stat().st_size)
    assert os.path.realpath(media) == str(given)
    media, record = take(work, names=(), url="a b/d.mp4")
    assert (record["status"], record["reason"]) == ("gone", "a b/d.mp4 is not in the import folder given")
    assert media.read_bytes() == b"" and not media.is_symlink()


def pictures(folder, numbers, size=(64, 48), ending="png", **given):
    """Numbered pictures, each of its own content; what they show, if they are lossless."""
    folder.mkdir(exist_ok=True)
    shown = [np.random.default_rng(number).integers(0, 255, (size[1], size[0], 3), np.uint8) for number in numbers]
    for number, content in zip(numbers, shown, strict=True):
        Image.fromarray(content).save(folder / f"{number:08d}.{ending}", **given)
    return shown


def images(work, rate="30000/1001"):
    return take(work, work / "given" / "Clip", names=(), url="Clip", rate=rate)


def test_pictures_become_one_file_without_loss(work):
    shown = pictures(work / "given" / "Clip", range(7, 37))
    media, record = images(work)
    assert (record["status"], record["vcodec"], record["acodec"]) == ("ok", "png", None)
    assert (record["width"], record["height"], record["fps"]) == (64, 48, "30000/1001")
    assert record["note"] == "30 pictures, 30000/1001 a second"
    assert record["sha256"] == files.sha256(media) and not media.is_symlink()
    found = probe(media)
    assert found.fault == "" and found.duration == pytest.approx(30 * 1001 / 30000)
    with av.open(str(media)) as opened:
        frames = list(opened.decode(video=0))
    assert [frame.pts * frame.time_base for frame in frames] == [Fraction(n * 1001, 30000) for n in range(30)]
    for frame, content in zip(frames, shown, strict=True):
        assert (frame.to_ndarray(format="rgb24") == content).all()
    assert images(work)[1]["sha256"] == record["sha256"], "the same bytes each time"


def test_jpeg_pictures_are_taken_as_they_are(work):
    pictures(work / "given" / "Clip", range(4), ending="jpg", quality=95)
    media, record = images(work, "25")
    assert (record["status"], record["vcodec"], record["fps"]) == ("ok", "mjpeg", "25")
    with av.open(str(media)) as opened:
        stored = [bytes(packet) for packet in opened.demux(video=0) if packet.size]
    assert stored == [path.read_bytes() for path in sorted((work / "given" / "Clip").iterdir())]


def more(work, name, **changed):
    pictures(work / "given" / "more", [1], **changed)
    (picture,) = (work / "given" / "more").iterdir()
    picture.rename(work / "given" / "Clip" / name)


PICTURE_FAULTS = {
    "empty": (lambda work: [path.unlink() for path in (work / "given" / "Clip").iterdir()], "the folder Clip is empty"),
    "missing": (
        lambda work: more(work, "00000009.png"),
        "Clip: of the pictures 1 to 9 5 are missing, the first of them is 4",
    ),
    "twice": (lambda work: more(work, "3.png"), "Clip: 00000003.png and 3.png have one number"),
    "another size": (
        lambda work: more(work, "00000004.png", size=(48, 64)),
        "Clip/00000004.png is a png of 48x64, the pictures before it are png of 64x48",
    ),
    "another kind": (
        lambda work: more(work, "00000004.png", ending="jpg"),
        "Clip/00000004.png is a mjpeg of 64x48, the pictures before it are png of 64x48",
    ),
    "a video": (lambda work: write(work / "given" / "Clip" / "00000000.png"), "neither PNG nor JPEG but h264"),
    "webp": (lambda work: more(work, "00000000.webp", ending="webp"), "neither PNG nor JPEG but webp"),
    "no picture": (
        lambda work: (work / "given" / "Clip" / "00000004.png").write_bytes(b"x" * 999),
        "Clip/00000004.png cannot be read as a picture",
    ),
    "another file": (
        lambda work: (work / "given" / "Clip" / "readme.txt").write_text("x"),
        "Clip/readme.txt is no numbered picture",
    ),
}


@pytest.mark.parametrize("fault", PICTURE_FAULTS)
def test_pictures_that_are_no_clip_fail_with_a_reason(work, fault):
    pictures(work / "given" / "Clip", range(1, 4))
    change, reason = PICTURE_FAULTS[fault]
    change(work)
    media, record = images(work)
    assert record["status"] == "failed" and reason in record["reason"]
    assert media.read_bytes() == b""


@pytest.mark.parametrize("rate", ["", "0", "x", "1/0", "-25"])
def test_pictures_without_a_rate_are_no_clip(work, rate):
    pictures(work / "given" / "Clip", range(3))
    assert f"how many a second is not known (it says {rate!r})" in images(work, rate)[1]["reason"]


def test_one_source_under_two_names(work):
    first, second = write(work / "given" / "RD_A.mp4"), write(work / "given" / "RD_B.mp4", frames=5)
    media, record = take(work, second, first, names=["RD_A", "RD_B"])
    assert os.path.realpath(media) == str(first)
    assert record["note"] == "also there, not used: RD_B.mp4"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"<html>Not found</html>" * 100, "not a readable media file"),
        (b"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n", "not a readable"),
        (b"ffconcat version 1.0\nfile other.mp4\n", "not a readable media file"),
    ],
)
def test_what_is_not_a_video_fails_with_a_reason(work, content, reason):
    given = work / "given" / "RD_Radio11.mp4"
    given.write_bytes(content)
    media, record = take(work, given)
    assert record["status"] == "failed" and record["reason"].startswith(f"RD_Radio11.mp4: {reason}")
    assert media.read_bytes() == b"" and not media.is_symlink()
    assert given.read_bytes() == content


def test_sound_alone_is_not_a_video(work):
    given = work / "given" / "RD_Radio11.mp4"
    with av.open(str(given), "w") as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    _, record = take(work, given)
    assert (record["status"], record["reason"]) == ("failed", "RD_Radio11.mp4: the file has no picture")


def test_a_file_that_ends_early_is_taken_and_noted(work):
    given = write(work / "given" / "RD_Radio11.mkv", "matroska", frames=250)
    content = given.read_bytes()
    given.write_bytes(content[: len(content) // 2 + 7])
    _, record = take(work, given)
    assert record["status"] == "ok" and record["note"].startswith("not whole: ")


def test_a_link_of_a_killed_job_harms_nobody(work, monkeypatch):
    """A killed import leaves its half-made link; a video that is gone then must not be written through it."""
    given = write(work / "given" / "RD_Radio11.mp4")
    before = state(given)
    with monkeypatch.context() as killed, pytest.raises(KeyboardInterrupt):
        killed.setattr(import_video.os, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        take(work, given)
    assert any(path.is_symlink() for path in (work / "results").iterdir())
    media, record = take(work)
    assert record["status"] == "gone" and media.read_bytes() == b""
    assert state(given) == before
    take(work, given)
    _, record = take(work)
    assert record["status"] == "gone" and media.read_bytes() == b"" and state(given) == before


def test_a_file_that_may_only_be_read(work):
    given = write(work / "given" / "RD_Radio11.mp4")
    given.chmod(0o400)
    given.parent.chmod(0o500)
    try:
        media, record = take(work, given)
        assert record["status"] == "ok" and probe(media).height == 48
    finally:
        given.parent.chmod(0o700)


def test_cut_mp4_is_seen(work):
    given = write(work / "given" / "RD_Radio11.mp4", frames=100)
    whole = work / "given" / "front.mp4"
    with av.open(str(given)) as old, av.open(str(whole), "w", options={"movflags": "+faststart"}) as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                new.mux(packet)
    assert probe(whole).fault == ""
    content = whole.read_bytes()
    whole.write_bytes(content[: len(content) // 2])
    assert probe(whole).fault != ""
    given.write_bytes(given.read_bytes()[:2000])  # its index was at the end
    with pytest.raises(Unreadable):
        probe(given)


@pytest.mark.skipif(not REAL.is_dir(), reason="the real videos of ../shared/data are not here")
@pytest.mark.parametrize("name", sorted(path.name for path in REAL.glob("*.mp4")))
def test_real_videos_are_whole(work, name):
    _, record = take(work, REAL / name, names=[Path(name).stem])
    size, rate = name.removesuffix(".mp4").split("_")[1:]
    assert (record["status"], record["note"]) == ("ok", "")
    assert f"{record['width']}x{record['height']}" == size
    assert round(Fraction(record["fps"])) == int(rate.removesuffix("fps"))
