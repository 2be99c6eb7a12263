"""The ledger as files: rows equal the clip table's, features are found in their files, the summary is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import write_manifest
from talkset import featurestore, ledger, tables
from talkset.faults import ToolFault

FILTERED = ("clip", "status", "stage", "keep", "weight", "reasons", "duration_s")


def feature(folder: Path, modality: str, shard: str, clips: str, missing: dict[str, str] | None = None) -> Path:
    path = folder / "features" / modality / f"{shard}.safetensors"
    with featurestore.Writer(path, {"modality": modality}, [*clips, *(missing or {})]) as store:
        for clip in clips:
            store.add(clip, {"x": np.zeros(2, np.float32)})
        for clip, reason in (missing or {}).items():
            store.miss(clip, reason)
    return path


def inputs(folder: Path) -> dict:
    clips = [{"clip": clip, "dataset": "d", "video": clip, "start": "0", "end": "3", "url": "u"} for clip in "dcba"]
    tables.write(folder / "clips.tsv", tables.CLIP_COLUMNS, clips)
    verdicts = [
        {"clip": "a", "status": "ok", "keep": 1, "weight": "1", "duration_s": "3"},
        {"clip": "b", "status": "ok", "keep": 1, "weight": "0.5", "reasons": "soft:snr: no sound", "duration_s": "3"},
        {"clip": "c", "status": "gone", "stage": "clip", "keep": 0, "weight": 0, "reasons": "removed"},
        {"clip": "d", "status": "ok", "keep": 1, "weight": "1", "duration_s": "3"},
    ]
    tables.write(folder / "filtered.tsv", FILTERED, verdicts)
    features = [
        feature(folder, "landmarks", "0", "ab"),
        feature(folder, "mel", "0", "a", {"b": "no sound"}),
        feature(folder, "landmarks", "1", "d"),
        feature(folder, "mel", "1", "d"),
    ]
    return {
        "clips": folder / "clips.tsv",
        "filtered": folder / "filtered.tsv",
        "features": features,
        "manifest": folder / "manifest.tsv",
        "summary": folder / "summary.txt",
        "dataset": "d",
        "modalities": ["landmarks", "mel"],
        "version": 1,
    }


def test_ledger_and_summary(tmp_path, capsys):
    given = inputs(tmp_path)
    write_manifest.main(**given)
    rows = list(tables.rows(given["manifest"]))
    assert tuple(rows[0]) == ledger.COLUMNS
    assert [(row["clip"], row["status"], row["features"], row["reason"], row["stage"]) for row in rows] == [
        ("d", "ok", "landmarks;mel", "", ""),
        ("c", "gone", "", "removed", "clip"),
        ("b", "ok", "landmarks", "soft:snr: no sound;no mel: no sound", ""),
        ("a", "ok", "landmarks;mel", "", ""),
    ]
    text = given["summary"].read_text()
    assert text.startswith("d: 4 clips listed (12.0 s), 3 kept (9.0 s, weights sum to 2.5)\n")
    assert text in capsys.readouterr().err


def test_the_same_inputs_give_the_same_bytes(tmp_path):
    given = inputs(tmp_path)
    write_manifest.main(**given)
    before = given["manifest"].read_bytes(), given["summary"].read_bytes()
    write_manifest.main(**given | {"features": given["features"][::-1]})
    assert (given["manifest"].read_bytes(), given["summary"].read_bytes()) == before


def test_without_features(tmp_path):
    given = inputs(tmp_path) | {"features": [], "modalities": []}
    write_manifest.main(**given)
    assert {row["features"] for row in tables.rows(given["manifest"])} == {""}


def test_a_missing_verdict_names_the_clip_and_leaves_no_ledger(tmp_path):
    given = inputs(tmp_path)
    kept = [row for row in tables.rows(given["filtered"]) if row["clip"] != "c"]
    tables.write(given["filtered"], FILTERED, kept)
    with pytest.raises(ToolFault, match="lacks clip 'c'"):
        write_manifest.main(**given)
    assert not given["manifest"].exists() and not given["summary"].exists()


def test_a_feature_shard_left_out_names_the_clip(tmp_path):
    given = inputs(tmp_path)
    with pytest.raises(ToolFault, match="mel holds nothing of the kept clip 'd'"):
        write_manifest.main(**given | {"features": given["features"][:3]})


def test_a_file_of_another_modality_is_refused(tmp_path):
    given = inputs(tmp_path)
    with pytest.raises(ToolFault, match="'mel' is none of the modalities"):
        write_manifest.main(**given | {"modalities": ["landmarks"]})
