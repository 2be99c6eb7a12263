"""Score tables: one row per clip whatever happens to it, columns as the plug-in says."""

from __future__ import annotations

import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import planted
import pytest

import score_clips
from talkset import models, tables
from talkset.faults import ClipFault, ToolFault
from talkset.registry import Column, ScoreSpec

OPTIONS = {"threshold": 0.5, "min_speech_ms": 250, "min_silence_ms": 100, "pad_ms": 30}


def loudness(model, clips, options):
    for clip in clips:
        if clip.clip == "faulty":
            yield clip, ClipFault("cannot be scored")
        else:
            yield clip, {"loudest": float(np.abs(clip.pcm()).max()) / model, "word": None}


@pytest.fixture
def plugin(monkeypatch):
    spec = ScoreSpec("loud", 1, "", "", 1, 1, 0, (Column("loudest", "", ""), Column("word", "", "")))
    module = SimpleNamespace(SPEC=spec, load=lambda options, models: options["full"], score=loudness)
    monkeypatch.setitem(sys.modules, "my_lab", SimpleNamespace(loud=module))
    monkeypatch.setitem(sys.modules, "my_lab.loud", module)
    return module


@pytest.fixture
def shard(tmp_path):
    clips = {
        clip: (planted.crop_record(clip, 2), {"wav": planted.wav(np.full(1280, level))})
        for clip, level in (("b", 0.25), ("faulty", 0.5), ("a", 1 / 3))
    }
    clips["gone"] = planted.ended("gone", "gone", "removed")
    crops = planted.write_crops(tmp_path / "crops.tar", clips)
    tracks = planted.write_tracks(tmp_path / "t.parquet", {})
    return {
        "crops": crops,
        "tracks": tracks,
        "models": [],
        "scores": tmp_path / "s.tsv",
        "weights": {},
        "version": [1, 1],
    }


def test_one_row_per_clip(shard, plugin):
    score_clips.main(**shard, score="my_lab.loud", options={"full": 1.0})
    assert list(tables.rows(shard["scores"])) == [
        {"clip": "b", "status": "ok", "reason": "", "loudest": "0.25", "word": ""},
        {"clip": "faulty", "status": "ok", "reason": "cannot be scored", "loudest": "", "word": ""},
        {"clip": "a", "status": "ok", "reason": "", "loudest": "0.333344", "word": ""},
        {"clip": "gone", "status": "gone", "reason": "removed", "loudest": "", "word": ""},
    ]


def test_no_model_is_loaded_where_nothing_is_to_be_scored(shard, plugin, monkeypatch):
    monkeypatch.setattr(plugin, "load", lambda options, models: pytest.fail("loaded"))
    planted.write_crops(shard["crops"], {"gone": planted.ended("gone")})
    score_clips.main(**shard, score="my_lab.loud", options={})
    assert [row["clip"] for row in tables.rows(shard["scores"])] == ["gone"]


def test_columns_that_the_plugin_did_not_announce_are_a_defect(shard, plugin, monkeypatch):
    monkeypatch.setattr(plugin, "score", lambda model, clips, options: ((clip, {"loudest": 1}) for clip in clips))
    with pytest.raises(ValueError, match=r"gave \['loudest'\], its SPEC says \['loudest', 'word'\]"):
        score_clips.main(**shard, score="my_lab.loud", options={"full": 1})
    assert not shard["scores"].exists()


def test_a_clip_that_the_plugin_swallows_is_a_defect(shard, plugin, monkeypatch):
    monkeypatch.setattr(plugin, "score", lambda model, clips, options: iter(()))
    with pytest.raises(ValueError, match="b: the plug-in gave nothing in its place"):
        score_clips.main(**shard, score="my_lab.loud", options={"full": 1})


@pytest.mark.parametrize(("weights", "says"), [("random-tiny", True), ("local", False)])
def test_the_table_says_which_weights_made_it(tmp_path, shard, plugin, monkeypatch, capsys, weights, says):
    monkeypatch.setattr(plugin, "SPEC", replace(plugin.SPEC, models=("net",)))
    model = models.Model("my-net", "lab/net", "1", weights, tmp_path)
    monkeypatch.setattr(models, "given", lambda entries, files: {"net": model})
    score_clips.main(**shard, score="my_lab.loud", options={"full": 1.0})
    made_with = {row["clip"]: row["loud_weights"] for row in tables.rows(shard["scores"])}
    assert made_with == {"b": weights, "faulty": weights, "a": weights, "gone": ""}
    assert ("weights are random-tiny: the values mean nothing" in capsys.readouterr().err) is says


def test_a_missing_model_fails_the_job(shard, plugin, monkeypatch):
    def load(options, models):
        raise ToolFault("no model file")

    monkeypatch.setattr(plugin, "load", load)
    with pytest.raises(ToolFault, match="no model file"):
        score_clips.main(**shard, score="my_lab.loud", options={})


def test_speech_runs_on_a_shard(shard):
    score_clips.main(**shard, score="speech", options=OPTIONS)
    rows = {row["clip"]: row for row in tables.rows(shard["scores"])}
    assert list(rows) == ["b", "faulty", "a", "gone"]
    assert (rows["a"]["sound"], rows["a"]["speech_share"], rows["a"]["snr_db"]) == ("silence", "0", "")
