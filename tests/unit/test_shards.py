"""The split into shards and the index of source videos."""

from __future__ import annotations

import random

import pytest

from talkset import shards, tables
from talkset.faults import ToolFault


def row(clip, video, **columns):
    defaults = {"dataset": "d", "url": f"https://a.org/?v={video}", "x0": "0", "ref_height": "720"}
    return dict.fromkeys(tables.CLIP_COLUMNS, "") | defaults | {"clip": clip, "video": video} | columns


def table(videos, seed=1):
    """Clips of `videos` source videos, 1-3 each, not in order."""
    draw = random.Random(seed)
    rows = [row(f"{video}-{n}", f"v{video}") for video in range(videos) for n in range(draw.randint(1, 3))]
    draw.shuffle(rows)
    return rows


def index_of(path, rows, shard_size, require_window=True):
    content = shards.index(
        rows, shard_size, require_window=require_window, import_names=lambda row: [f"RD_{row['video']}"]
    )
    tables.write(path, shards.INDEX_COLUMNS, content)
    return shards.Index(path)


def test_one_video_a_shard_is_named_after_it():
    assert shards.split([row("a", "-x"), row("b", "y"), row("c", "-x")], 1) == {"-x": "-x", "y": "y"}


def test_larger_shards_are_numbered_in_the_order_of_the_table():
    rows = [row("a", "v3"), row("b", "v1"), row("c", "v3"), row("d", "v2")]
    assert shards.split(rows, 2) == {"v3": "00000", "v1": "00000", "v2": "00001"}


@pytest.mark.parametrize("shard_size", [1, 2, 7, 64, 5000])
def test_every_video_is_in_one_shard_of_at_most_that_many(tmp_path, shard_size):
    rows = table(1000)
    index = index_of(tmp_path / "videos.tsv", rows, shard_size)
    members = [video for shard in index.shards for video in index.videos(shard)]
    assert members == list(dict.fromkeys(row["video"] for row in rows))
    assert all(len(index.videos(shard)) == shard_size for shard in index.shards[:-1])
    assert 1 <= len(index.videos(index.shards[-1])) <= shard_size
    assert all(index.row(video)["shard"] == shard for shard in index.shards for video in index.videos(shard))
    assert sum(int(index.row(video)["clips"]) for video in members) == len(rows)


def test_split_looks_at_nothing_but_the_videos_and_their_order():
    rows = table(50)
    others = [row | {"start": "3", "x0": "", "url": "https://b.org/"} for row in rows]
    once = [row for row in {row["video"]: row for row in rows}.values()]
    assert shards.split(rows, 8) == shards.split(others, 8) == shards.split(once, 8)


@pytest.mark.parametrize("shard_size", [0, -3])
def test_impossible_shard_size_is_refused_with_its_value(shard_size):
    with pytest.raises(ToolFault, match=str(shard_size)):
        shards.split([row("a", "x")], shard_size)


@pytest.mark.parametrize("column", tables.CLIP_COLUMNS)
def test_digest_sees_every_column(column):
    rows = [row("a", "x"), row("b", "x")]
    changed = [rows[0], rows[1] | {column: rows[1][column] + "1"}]
    assert shards.digest(rows) == shards.digest([dict(row) for row in rows])
    assert shards.digest(changed) != shards.digest(rows)


def test_digest_sees_where_a_column_ends_and_the_order():
    assert shards.digest([row("a", "x", start="1", end="2")]) != shards.digest([row("a", "x", start="12", end="")])
    assert shards.digest([row("a", "x"), row("b", "x")]) != shards.digest([row("b", "x"), row("a", "x")])


def test_digest_is_the_same_before_and_after_the_table_is_written(tmp_path):
    rows = table(5)
    tables.write(tmp_path / "clips.tsv", tables.CLIP_COLUMNS, rows)
    assert shards.digest(rows) == shards.digest(tables.rows(tmp_path / "clips.tsv"))


def test_changed_clip_changes_its_shard_alone(tmp_path):
    rows = table(40)
    before = index_of(tmp_path / "before.tsv", rows, 4)
    place = next(place for place, row in enumerate(rows) if row["video"] == "v17")
    rows[place] = rows[place] | {"end": "99"}
    after = index_of(tmp_path / "after.tsv", rows, 4)
    changed = [shard for shard in before.shards if before.digest(shard) != after.digest(shard)]
    assert before.shards == after.shards
    assert changed == [before.row("v17")["shard"]]


def test_row_of_a_video_with_clips_that_differ(tmp_path):
    rows = [row("a", "x", ref_height="720"), row("b", "x", ref_height="1080", x0=""), row("c", "x", ref_height="")]
    rows += [row("d", "y", ref_height="", x0="")]
    strict = index_of(tmp_path / "strict.tsv", rows, 1)
    assert strict.row("x")["ref_height"] == "1080"
    assert (strict.row("x")["clips"], strict.row("y")["clips"]) == ("2", "0")
    assert strict.row("y")["ref_height"] == ""
    assert strict.row("x")["names"] == "RD_x"
    lenient = index_of(tmp_path / "lenient.tsv", rows, 1, require_window=False)
    assert (lenient.row("x")["clips"], lenient.row("y")["clips"]) == ("3", "1")


def test_names_of_all_clips_are_joined_once():
    content = shards.index(
        [row("a", "x", subset="A"), row("b", "x", subset="B"), row("c", "x", subset="A")],
        1,
        require_window=True,
        import_names=lambda row: [row["subset"], "x"],
    )
    assert content[0]["names"] == "A;x;B"


def test_pictures_have_a_rate_and_what_lies_at_its_url_no_names(tmp_path):
    rows = [row("a", "x", url="v/x", labels='{"image_rate": "30000/1001"}'), row("b", "y", labels="{}")]
    content = shards.index(rows, 1, require_window=True, import_names=lambda row: [])
    assert [(video["rate"], video["names"]) for video in content] == [("30000/1001", ""), ("", "")]


def test_unknown_shard_or_video_is_named(tmp_path):
    index = index_of(tmp_path / "videos.tsv", [row("a", "x")], 1)
    for look_up in (index.videos, index.digest, index.row):
        with pytest.raises(ToolFault, match="'nobody'.*first: x"):
            look_up("nobody")


@pytest.mark.parametrize("text", ["", "video\turl\nx\tu\n"])
def test_index_of_another_make_is_refused(tmp_path, text):
    (tmp_path / "videos.tsv").write_text(text)
    with pytest.raises(ToolFault, match=r"videos\.tsv"):
        shards.Index(tmp_path / "videos.tsv")
