"""The ledger's rows and its summary, from planted verdicts and feature files."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest

from talkset import featurestore, ledger
from talkset.faults import STATUSES, ToolFault


def clip(name: str, start: str = "1.5", end: str = "4") -> dict:
    return {
        "clip": name,
        "dataset": "demo",
        "video": "v",
        "subset": "RD",
        "url": "http://x/v",
        "start": start,
        "end": end,
    }


def judged(status: str = "ok", reasons: str = "", weight: str | None = None, stage: str = "") -> dict:
    weight = weight or ("1" if status == "ok" else "0")
    return {"status": status, "reasons": reasons, "weight": weight, "stage": stage, "duration_s": "2.5"}


def test_every_status_has_its_row():
    clips = [clip(status) for status in STATUSES]
    verdicts = {status: judged(status, "" if status == "ok" else f"why {status}") for status in reversed(STATUSES)}
    rows = ledger.rows(clips, verdicts, {}, {})
    assert [(row["clip"], row["status"], row["reason"]) for row in rows] == [
        (status, status, "" if status == "ok" else f"why {status}") for status in STATUSES
    ]


def test_a_row_is_complete():
    (row,) = ledger.rows([clip("a")], {"a": judged(reasons="soft:blur: b", weight="0.5")}, {"mel": {"a"}}, {"mel": {}})
    assert row == {
        "clip": "a",
        "dataset": "demo",
        "video": "v",
        "subset": "RD",
        "status": "ok",
        "reason": "soft:blur: b",
        "stage": "",
        "weight": "0.5",
        "duration_s": "2.5",
        "features": "mel",
        "url": "http://x/v",
    }
    assert tuple(sorted(row)) == tuple(sorted(ledger.COLUMNS))


def test_a_feature_that_a_clip_cannot_have_is_a_reason_and_not_an_end():
    present, missing = {"landmarks": {"a", "b"}, "mel": {"a"}}, {"landmarks": {}, "mel": {"b": "no sound"}}
    verdicts = {"a": judged(), "b": judged(reasons="soft:x: y")}
    first, second = ledger.rows([clip("a"), clip("b")], verdicts, present, missing)
    assert (first["features"], first["reason"]) == ("landmarks;mel", "")
    assert (second["status"], second["features"], second["reason"]) == (
        "ok",
        "landmarks",
        "soft:x: y;no mel: no sound",
    )


def test_a_feature_missing_without_a_reason_is_a_fault():
    with pytest.raises(ToolFault, match="mel holds nothing of the kept clip 'a'"):
        ledger.rows([clip("a")], {"a": judged()}, {"mel": set()}, {"mel": {}})


def test_clips_not_kept_have_no_features_and_need_none():
    (row,) = ledger.rows([clip("a")], {"a": judged("rejected", "short: x")}, {"mel": {"a"}}, {"mel": {}})
    assert (row["features"], row["reason"]) == ("", "short: x")


def test_clips_in_are_rows_out_or_it_is_a_fault():
    with pytest.raises(ToolFault, match="filtered list lacks clip 'b'"):
        ledger.rows([clip("a"), clip("b")], {"a": judged()}, {}, {})
    with pytest.raises(ToolFault, match="clip table lacks clip 'b'"):
        ledger.rows([clip("a")], {"a": judged(), "b": judged()}, {}, {})


def test_an_unknown_end_is_a_fault():
    with pytest.raises(ToolFault, match="clip 'a' ends as 'lost'; known: ok, "):
        ledger.rows([clip("a")], {"a": judged("lost")}, {}, {})


def test_feature_header(tmp_path):
    with featurestore.Writer(tmp_path / "a.safetensors", {"modality": "mel"}, ["a.b", "c"]) as store:
        store.add("a.b", {"mel": np.zeros((8, 80), np.float32), "more": np.zeros(3, np.float32)})
        store.miss("c", "no sound")
    assert ledger.feature_header(tmp_path / "a.safetensors") == ({"a.b"}, {"c": "no sound"})


def test_a_feature_file_that_others_wrote_needs_no_metadata(tmp_path):
    header = json.dumps({"a/x": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}}).encode()
    (tmp_path / "a").write_bytes(struct.pack("<Q", len(header)) + header)
    assert ledger.feature_header(tmp_path / "a") == ({"a"}, {})


@pytest.mark.parametrize("content", [b"", b"\xff" * 8, b"\x03" + b"\0" * 7 + b"abc", b"\x02" + b"\0" * 7 + b"[]"])
def test_a_damaged_feature_file_is_a_fault(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(ToolFault, match="damaged"):
        ledger.feature_header(tmp_path / "a")


def test_listed_seconds():
    assert ledger.listed_seconds([clip("a"), clip("b", "", "7"), clip("c", "3", "")]) == (9.5, 1)


def test_the_summary_of_a_small_set_says_all_of_it():
    clips = [clip(f"RD_{number}") for number in range(5)]
    verdicts = {
        "RD_0": judged(reasons="soft:angle: head_angle_p95 50 > 45", weight="0.5"),
        "RD_1": judged("gone", "removed by the uploader", stage="clip"),
        "RD_2": judged("rejected", "short: duration_s 1 < 2;small: window_px 90 < 256", stage="filter"),
        "RD_3": judged("rejected", "short: duration_s 0.96 < 2", stage="filter"),
        "RD_4": judged(),
    }
    text = ledger.summary("demo", ledger.rows(clips, verdicts, {}, {}), ledger.listed_seconds(clips))
    assert text == (
        "demo: 5 clips listed (12.5 s), 2 kept (5.0 s, weights sum to 1.5)\n"
        "\n"
        "end       clips   share  for example\n"
        "ok            2  40.0 %  RD_0, RD_4\n"
        "rejected      2  40.0 %  RD_2, RD_3\n"
        "gone          1  20.0 %  RD_1\n"
        "\n"
        "end       clips  why (a clip can have several reasons)\n"
        "ok            1  soft:angle\n"
        "rejected      2  short\n"
        "rejected      1  small\n"
        "gone          1  removed by the uploader\n"
        "\n"
        "clip  end       weight  why\n"
        "RD_0  ok           0.5  soft:angle: head_angle_p95 50 > 45\n"
        "RD_1  gone           0  removed by the uploader\n"
        "RD_2  rejected       0  short: duration_s 1 < 2; small: window_px 90 < 256\n"
        "RD_3  rejected       0  short: duration_s 0.96 < 2\n"
        "RD_4  ok             1\n"
    )


def test_the_summary_of_a_large_set_counts_alike_reasons_together():
    clips = [clip(f"c{number:03d}", "0", "100") for number in range(ledger.SMALL + 1)]
    verdicts = {clip["clip"]: judged("failed", f"ends at {n}.5 s of 100 s") for n, clip in enumerate(clips)}
    text = ledger.summary("big", ledger.rows(clips, verdicts, {}, {}), ledger.listed_seconds(clips))
    assert text == (
        "big: 41 clips listed (1.14 h), 0 kept (0.0 s, weights sum to 0)\n"
        "\n"
        "end     clips    share  for example\n"
        "failed     41  100.0 %  c000, c001, c002, ...\n"
        "\n"
        "end     clips  why (a clip can have several reasons)\n"
        "failed     41  ends at N s of N s\n"
    )


def test_the_summary_says_how_many_lengths_it_does_not_know():
    clips = [clip("a"), clip("b", "", "")]
    rows = ledger.rows(clips, {"a": judged(), "b": judged()}, {}, {})
    text = ledger.summary("demo", rows, ledger.listed_seconds(clips))
    assert text.startswith("demo: 2 clips listed (2.5 s and 1 without an annotated end), 2 kept (5.0 s, ")


def test_the_summary_of_nothing():
    assert ledger.summary("none", [], (0.0, 0)).startswith("none: 0 clips listed (0.0 s), 0 kept")
