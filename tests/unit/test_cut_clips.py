"""Clips in = rows out: whatever is wrong with a clip or its video, the shard holds its record and the others go on."""

import errno
import json
import resource
import subprocess
import sys
import textwrap
from contextlib import closing
from pathlib import Path

import media_factory
import pytest

import cut_clips
from talkset import media, shardtar, tables
from talkset.demo import barcode
from talkset.faults import ToolFault


def row(clip, video, start="", end="", window=True):
    sides = {"x0": "10", "y0": "0", "x1": "150", "y1": "140", "box_unit": "pixel"} if window else {}
    return {"clip": clip, "dataset": "d", "video": video, "start": start, "end": end} | sides


def raw(folder, video, status="ok", reason="", **made):
    """A raw video with its record; one that is gone leaves an empty file."""
    path = folder / f"{video}.mp4"
    if status == "ok":
        media_factory.make(path, **{"seconds": 2} | made)
    else:
        path.write_bytes(b"")
    record = folder / f"{video}.json"
    record.write_text(json.dumps({"video": video, "status": status, "reason": reason}))
    return path, record


def run(folder, rows, videos, require_window=False):
    tables.write(folder / "shard.tsv", tables.CLIP_COLUMNS, rows)
    paths, records = zip(*videos, strict=True)
    cut_clips.main(
        folder / "shard.tsv", list(paths), list(records), folder / "clips.tar", require_window=require_window, version=1
    )
    shard = shardtar.Reader(folder / "clips.tar")
    return {record["clip"]: record for record in shard.records()}, shard


def test_every_row_has_its_record_in_order(tmp_path):
    good, gone = raw(tmp_path, "-good"), raw(tmp_path, "gone", "gone", "Private video")
    locked = raw(tmp_path, "locked", "needs-access", "Sign in to confirm your age")
    html = raw(tmp_path, "html")
    html[0].write_bytes(b"<html>" * 1000)
    rows = [
        row("a", "-good", "0.5", "1.5"),
        row("b", "gone", "0", "1"),
        row("c", "locked", "0", "1"),
        row("d", "-good", "5", "6"),
        row("e", "-good", "1.5", "2.5"),
        row("f", "html", "0", "1"),
        row("g", "-good", "1", "0.5"),
        row("h", "-good", "0", "1", window=False),
        row("i", "gone", "0", "1", window=False),
        row("j", "-good"),
    ]
    records, shard = run(tmp_path, rows, [good, gone, locked, html], require_window=True)
    assert list(records) == list("abcdefghij")
    ends = {clip: (record["status"], record["stage"]) for clip, record in records.items()}
    assert ends == {
        "a": ("ok", "clip"),
        "b": ("gone", "raw"),
        "c": ("needs-access", "raw"),
        "d": ("failed", "clip"),
        "e": ("ok", "clip"),
        "f": ("failed", "clip"),
        "g": ("failed", "clip"),
        "h": ("no-window", "clip"),
        "i": ("no-window", "clip"),
        "j": ("ok", "clip"),
    }
    assert records["b"]["reason"] == "Private video"
    assert records["d"]["reason"] == "the clip starts at 5.0 s, but the picture ends at 2.000 s"
    assert (records["e"]["frames"], records["e"]["missing_s"]) == (13, 0.48)
    assert (records["j"]["frames"], records["j"]["start"], records["j"]["end"]) == (50, "0", "")
    media_members = {name for name in "abcdefghij" if shard.has(f"{name}.mp4")}
    assert media_members == {"a", "e", "j"}


def test_a_clip_without_window_is_cut_where_none_is_needed(tmp_path):
    records, _ = run(tmp_path, [row("a", "v", "0", "1", window=False)], [raw(tmp_path, "v")])
    assert records["a"]["status"] == "ok"


def test_a_video_that_no_clip_needs_need_not_be_there(tmp_path):
    rows = [row("a", "v", "0", "1"), row("b", "absent", "0", "1", window=False)]
    records, _ = run(tmp_path, rows, [raw(tmp_path, "v")], require_window=True)
    assert records["b"]["status"] == "no-window"
    with pytest.raises(ToolFault, match="clip 'b' needs raw video 'absent'"):
        run(tmp_path, rows, [raw(tmp_path, "v")])


def test_the_record_describes_source_and_clip(tmp_path):
    made = {"fps": "30000/1001", "interlaced": True, "start": 3}
    records, shard = run(tmp_path, [row("a", "v", "0.5", "1.5")], [raw(tmp_path, "v", **made)])
    record = records["a"]
    assert record["origin"] == "3"
    assert record["picture"] | {"bit_rate": 0} == {
        "codec": "h264",
        "width": 320,
        "height": 180,
        "coded_width": 320,
        "coded_height": 180,
        "pix_fmt": "yuv420p",
        "fps": "30000/1001",
        "interlaced": True,
        "turn": "",
        "sar": "1",
        "color": {"range": 0, "matrix": 2, "primaries": 2, "transfer": 2},
        "time_base": "1/90000",
        "bit_rate": 0,
    }
    assert 10_000 < record["picture"]["bit_rate"] < 10_000_000
    assert record["sound"] | {"bit_rate": 0} == {
        "codec": "aac", "rate": 48000, "channels": 2, "bit_rate": 0, "stream": 1, "streams": 1, "language": None,
    }  # fmt: skip
    with closing(shard.media("a.mp4")) as file:
        pictures = list(media.ClipReader(file, record).pictures(deinterlace=False))
    assert [barcode.read(picture.frame.to_ndarray(format="gray")) for picture in pictures] == list(range(15, 45))


def test_equal_input_gives_equal_bytes_and_leaves_nothing_behind(tmp_path):
    video = raw(tmp_path, "v", codec="libx264", fps=30)
    rows = [row("a", "v", "0.5", "1.5"), row("b", "v", "0.1", "0.7")]
    run(tmp_path, rows, [video])
    first = (tmp_path / "clips.tar").read_bytes()
    (tmp_path / ".clips.scratch").mkdir()  # what a killed job may leave
    (tmp_path / ".clips.scratch" / "clip.mp4").write_bytes(b"half")
    run(tmp_path, rows, [video])
    assert (tmp_path / "clips.tar").read_bytes() == first
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clips.tar", "shard.tsv", "v.json", "v.mp4"]


def test_a_truncated_download_ends_the_clips_that_it_lacks(tmp_path):
    path, record = raw(tmp_path, "v", container="mpegts", seconds=4, start=1.4)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    records, _ = run(tmp_path, [row("a", "v", "0.2", "1.2"), row("b", "v", "3", "3.9")], [(path, record)])
    assert records["a"]["status"] == "ok"
    assert records["b"]["status"] == "failed" and "the picture ends at" in records["b"]["reason"]


def test_a_full_disk_stops_the_job(tmp_path):
    video = raw(tmp_path, "v")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, hard))
    try:
        with pytest.raises(OSError) as fault:
            run(tmp_path, [row("a", "v", "0", "2")], [video])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert fault.value.errno == errno.EFBIG
    assert not (tmp_path / "clips.tar").exists()


def test_memory_does_not_grow_with_the_clip(tmp_path):
    """A long source of one single key picture, cut near its end, under a limit of the process."""
    media_factory.make(tmp_path / "v.mp4", seconds=120, fps=5, gop=10**6, size=(64, 48), rate=16000, layout="mono")
    script = f"""
        import resource, sys
        sys.path[:0] = {[str(Path(cut_clips.__file__).parent)]!r}
        from fractions import Fraction
        from pathlib import Path
        from talkset import cut, media
        source = media.Source(Path({str(tmp_path / "v.mp4")!r}))
        cut.cut(source, Fraction(1), Fraction(2), Path({str(tmp_path / "one")!r}))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        fields, _ = cut.cut(source, Fraction(1), Fraction(119), Path({str(tmp_path / "two")!r}))
        print(fields["frames"], resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], check=True, capture_output=True, text=True
    ).stdout.split()
    assert int(done[0]) == 118 * 25
    assert int(done[1]) < 20_000  # KiB
