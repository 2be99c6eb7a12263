"""Clip table, index and shard lists, written from annotation files."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import list_clips
import list_shard
from talkset import registry, shards, tables
from talkset.datasets import hdtf
from talkset.faults import ToolFault

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "hdtf"
OPTIONS = {name: schema["default"] for name, schema in hdtf.SPEC.options["properties"].items()}


def row(clip="a", video="v", **columns):
    defaults = {"dataset": "d", "url": f"https://a.org/?v={video}", "start": "1", "end": "2"}
    return defaults | {"clip": clip, "video": video} | columns


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Run `list_clips` on rows as if an adapter had given them; give the two tables' paths."""

    def run(rows, shard_size=1, require_window=True):
        plugin = SimpleNamespace(
            SPEC=registry.DatasetSpec("stub", 1, "", "", "", "", (), {}),
            annotation_files=lambda options: (),
            clips=lambda files, options, dataset: iter(rows),
            import_names=lambda row: [row["video"]],
        )
        monkeypatch.setitem(sys.modules, "stub_package", SimpleNamespace(__path__=[]))
        monkeypatch.setitem(sys.modules, "stub_package.adapter", plugin)
        clips, videos = tmp_path / "clips.tsv", tmp_path / "videos.tsv"
        list_clips.main(
            [], clips, videos, dataset="d", adapter="stub_package.adapter",
            options={"require_window": require_window}, shard_size=shard_size, version=1,
        )  # fmt: skip
        return clips, videos

    return run


def test_published_lists_are_summed_up_in_one_line(tmp_path, capfd):
    if not REAL.is_dir():
        pytest.skip("the published HDTF lists are not beside the repository (../shared/data/hdtf)")
    clips, videos = tmp_path / "clips.tsv", tmp_path / "videos.tsv"
    list_clips.main(
        [REAL / name for name in hdtf.SPEC.files], clips, videos,
        dataset="hdtf", adapter="hdtf", options=OPTIONS, shard_size=1, version=1,
    )  # fmt: skip
    assert "hdtf: 436 clips of 368 videos, 421 with a window, 15 without, 17.07 h\n" in capfd.readouterr().err
    index = shards.Index(videos)
    assert len(index.shards) == 368
    assert sum(index.row(video)["clips"] != "0" for video in index.shards) == 355
    assert index.row("gh3YqnvNdio")["names"] == "WDA_WhipJimClyburn;WDA_JamesClyburn1"
    assert len(list(tables.rows(clips))) == 436


def test_rows_get_every_column_and_keep_their_order(make):
    clips, videos = make([row("b"), row("a", "w"), row("c")])
    table = list(tables.rows(clips))
    assert [r["clip"] for r in table] == ["b", "a", "c"]
    assert list(table[0]) == list(tables.CLIP_COLUMNS)
    assert [r["video"] for r in tables.rows(videos)] == ["v", "w"]


BROKEN = {
    "path as clip": (row("../a"), "clip is '../a'"),
    "hidden clip": (row(".a"), "clip is '.a'"),
    "empty clip": (row(""), "clip is ''"),
    "blank in a clip": (row("a b"), "clip is 'a b'"),
    "shell in a video": (row(video="x;rm -rf"), "video is 'x;rm -rf'"),
    "quote in a video": (row(video="x'y"), 'video is "x\'y"'),
    "overlong video": (row(video="v" * 300), f"video is '{'v' * 300}'"),
    "NUL": (row(identity="a\x00"), "identity is 'a\\x00'"),
    "tab": (row(identity="a\tb"), "identity is 'a\\tb'"),
    "line end": (row(labels='{"a":\n1}'), "labels is '{\"a\":\\n1}'"),
    "other dataset": (row(dataset="e"), "dataset is 'e'"),
    "no url": (row(url=""), "url is empty"),
    "number instead of text": (row(start=1.0), "start is 1.0, not a text"),
    "nothing instead of text": (row(end=None), "end is None"),
    "unknown column": (row(colour="red"), "unknown columns ['colour']"),
    "time in words": (row(start="1:30"), "start is '1:30'"),
    "endless time": (row(end="1e999999999"), "end is '1e999999999'"),
    "not a number": (row(end="nan"), "end is 'nan'"),
    "half a window": (row(x0="1", y0="2", box_unit="pixel"), "['1', '2', '', '']"),
    "window without unit": (row(x0="1", y0="2", x1="3", y1="4"), "box_unit is ''"),
    "unit without window": (row(box_unit="pixel"), "box_unit is 'pixel'"),
    "unknown unit": (row(x0="1", y0="2", x1="3", y1="4", box_unit="inch"), "box_unit is 'inch'"),
    "height of zero": (row(ref_height="0"), "ref_height is '0'"),
    "negative scale": (row(crop_scale="-1"), "crop_scale is '-1'"),
    "labels that are no JSON": (row(labels="{"), "labels is '{'"),
    "labels that are no object": (row(labels="[]"), "labels is '[]'"),
}


@pytest.mark.parametrize(("broken", "says"), BROKEN.values(), ids=BROKEN)
def test_broken_row_is_refused_with_its_number_and_value(make, tmp_path, broken, says):
    with pytest.raises(ToolFault) as fault:
        make([row("good"), broken])
    assert f"d: row 2 of the clip table (clip {broken['clip']!r})" in str(fault.value)
    assert says in str(fault.value)
    assert list(tmp_path.iterdir()) == []


def test_clip_id_given_twice_names_both_rows(make):
    with pytest.raises(ToolFault, match=r"row 3 of the clip table \(clip 'a'\).*row 1"):
        make([row("a"), row("b"), row("a", "w")])


def test_video_with_two_urls_is_refused(make):
    with pytest.raises(ToolFault, match=r"row 2 .*'v' has two urls: 'https://a.org/\?v=v' and 'https://b.org/'"):
        make([row("a"), row("b", url="https://b.org/")])


def test_lists_without_clips_are_refused(make):
    with pytest.raises(ToolFault, match="no clips"):
        make([])


@pytest.mark.parametrize("good", [row(start="81.62"), row(end="25025/1001"), row(start="", end=""), row(start="-0.5")])
def test_times_may_be_decimal_exact_or_open(make, good):
    make([good])


def test_summary_counts_what_is_odd():
    rows = [
        dict.fromkeys(tables.CLIP_COLUMNS, "") | given
        for given in (row("a", end="3601"), row("b", "w", x0="1"), row("c", end=""), row("d", start="9", end="9"))
    ]
    assert list_clips.summary(rows) == (
        "4 clips of 2 videos, 1 with a window, 3 without, 1.00 h and 1 to the end of their video; "
        "1 end before they start and cannot be cut"
    )


def test_shard_list_holds_the_shards_rows_and_no_others(make, tmp_path):
    clips, videos = make([row("a", "v"), row("b", "w"), row("c", "x"), row("d", "v")], shard_size=2)
    index = shards.Index(videos)
    assert index.shards == ["00000", "00001"]
    found = {}
    for shard in index.shards:
        path = tmp_path / f"{shard}.tsv"
        list_shard.main(clips, path, shard=shard, digest=index.digest(shard), version=1)
        found[shard] = [r["clip"] for r in tables.rows(path)]
    assert found == {"00000": ["a", "d", "b"], "00001": ["c"]}


def test_shard_list_bytes_follow_from_the_digest(make, tmp_path):
    """The digest does not say how the rows of two videos are mixed, so the list must not show it."""
    written = []
    for rows in ([row("a", "v"), row("b", "w"), row("c", "v")], [row("a", "v"), row("c", "v"), row("b", "w")]):
        clips, videos = make(rows, shard_size=2)
        digest = shards.Index(videos).digest("00000")
        list_shard.main(clips, tmp_path / "shard.tsv", shard="00000", digest=digest, version=1)
        written.append((digest, (tmp_path / "shard.tsv").read_bytes()))
    assert written[0] == written[1]


def test_shard_list_is_refused_where_the_table_has_changed(make, tmp_path):
    clips, videos = make([row("a", "v")])
    planned = shards.Index(videos).digest("v")
    make([row("a", "v", end="3")])
    with pytest.raises(ToolFault, match=f"'v'.*not {planned}"):
        list_shard.main(clips, tmp_path / "shard.tsv", shard="v", digest=planned, version=1)
    assert not (tmp_path / "shard.tsv").exists()
