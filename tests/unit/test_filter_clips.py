"""The filtered list: a verdict for every row, clips that ended before included, shards put together in order."""

from __future__ import annotations

from pathlib import Path

import pytest

import filter_clips
import gather_filtered
from talkset import tables
from talkset.faults import STATUSES, ToolFault

RULES = {
    "short": {"score": "duration_s", "operator": "<", "threshold": 2, "effect": "reject"},
    "angle": {"score": "head_angle_p95", "operator": ">", "threshold": 45, "effect": "weight", "factor": 0.5},
    "off": None,
}
COLUMNS = ("clip", "status", "reason", "stage", "duration_s", "head_angle_p95", "blur")


def row(clip: str, status: str = "ok", **scores) -> dict:
    return {"clip": clip, "status": status, "duration_s": "4", "head_angle_p95": "12.5"} | scores


def filtered(folder: Path, rows: list[dict], rules: dict = RULES) -> list[dict]:
    tables.write(folder / "quality.tsv", COLUMNS, rows)
    filter_clips.main(folder / "quality.tsv", folder / "filtered.tsv", rules=rules, version=1)
    return list(tables.rows(folder / "filtered.tsv"))


def test_verdicts(tmp_path):
    rows = [row("a"), row("b", duration_s="1.5"), row("c", head_angle_p95="50"), row("d", reason="speech: no model")]
    assert filtered(tmp_path, rows) == [
        {
            "clip": clip,
            "status": status,
            "stage": stage,
            "keep": keep,
            "weight": weight,
            "reasons": reasons,
            "duration_s": duration,
            "head_angle_p95": angle,
        }
        for clip, status, stage, keep, weight, reasons, duration, angle in (
            ("a", "ok", "", "1", "1", "", "4", "12.5"),
            ("b", "rejected", "filter", "0", "0", "short: duration_s 1.5 < 2", "1.5", "12.5"),
            ("c", "ok", "", "1", "0.5", "soft:angle: head_angle_p95 50 > 45", "4", "50"),
            ("d", "ok", "", "1", "1", "note:speech: no model", "4", "12.5"),
        )
    ]


@pytest.mark.parametrize("status", sorted(set(STATUSES) - {"ok"}))
def test_a_clip_that_ended_before_passes_through(tmp_path, status):
    ended = {"clip": "a", "status": status, "reason": "why; and why", "stage": "clip"}
    (found,) = filtered(tmp_path, [ended])
    assert found == {
        "clip": "a",
        "status": status,
        "stage": "clip",
        "keep": "0",
        "weight": "0",
        "reasons": "why, and why",
        "duration_s": "",
        "head_angle_p95": "",
    }


def test_as_many_rows_as_clips_in_their_order(tmp_path):
    rows = [row(f"c{number}", *(["failed"] if number % 3 else [])) for number in range(20)]
    assert [found["clip"] for found in filtered(tmp_path, rows)] == [row["clip"] for row in rows]


def test_wrong_rules_fail_before_anything_is_written(tmp_path):
    with pytest.raises(ToolFault, match="config: filter: rules: short: operator"):
        filtered(tmp_path, [row("a")], {"short": RULES["short"] | {"operator": "below"}})
    assert not (tmp_path / "filtered.tsv").exists()


def test_shards_are_put_together_in_the_order_given(tmp_path):
    parts = []
    for shard, clips in (("00001", "cd"), ("00000", "ab")):
        filtered(tmp_path, [row(clip) for clip in clips])
        parts.append((tmp_path / "filtered.tsv").rename(tmp_path / f"{shard}.tsv"))
    gather_filtered.main(parts, tmp_path / "all.tsv", version=1)
    whole = list(tables.rows(tmp_path / "all.tsv"))
    assert [row["clip"] for row in whole] == list("cdab")
    assert whole == [row for part in parts for row in tables.rows(part)]


def test_shards_with_other_columns_or_a_clip_twice_are_refused(tmp_path):
    tables.write(tmp_path / "1.tsv", ("clip", "keep"), [{"clip": "a"}])
    tables.write(tmp_path / "2.tsv", ("clip", "weight"), [{"clip": "b"}])
    with pytest.raises(ToolFault, match="2.tsv has other columns"):
        gather_filtered.main([tmp_path / "1.tsv", tmp_path / "2.tsv"], tmp_path / "all.tsv", version=1)
    with pytest.raises(ToolFault, match="clip 'a' is in an earlier shard"):
        gather_filtered.main([tmp_path / "1.tsv", tmp_path / "1.tsv"], tmp_path / "all.tsv", version=1)
    assert not (tmp_path / "all.tsv").exists()
