"""Extraction goes over the kept clips, holds arrays against their declaration and loses no clip."""

from __future__ import annotations

import json
import os
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

import extract_feature
import talkset
from talkset import featurestore, models, shardtar, tables
from talkset.faults import ClipFault, ToolFault
from talkset.registry import ArraySpec, FeatureSpec

FRAMES = {"one": 3, "two": 5, "mute": 4, "dropped": 6}
ARRAYS = (
    ArraySpec("per_frame", "float16|float32", "[T,2]", "pixel", "the frame's number"),
    ArraySpec("twice", "int16", "[2T]", "", "twice the frames"),
    ArraySpec("whole", "float32", "[N,7]", "", "any number of rows"),
)


class Plugin(types.ModuleType):
    """A modality whose arrays the test can spoil, and that can break off after some clips."""

    def __init__(self):
        super().__init__("stub.counting")
        self.SPEC = FeatureSpec("counting", 3, "numbers", "features.yaml", 1, 100, 0, ARRAYS, models=("net", "other"))
        self.loads, self.seen, self.changed, self.breaks_after = 0, [], {}, None

    def load(self, options, given):
        self.loads += 1
        assert given["net"].file("weights.bin").read_bytes() == b"weights" and "other" not in given
        return options["step"]

    def describe(self, model, options):
        return {"rate": 25 / model, "layout": "plain"}

    def extract(self, model, clips, options):
        for clip in clips:
            if len(self.seen) == self.breaks_after:
                raise RuntimeError("killed")
            self.seen.append(clip.clip)
            yield clip, ClipFault("no sound") if clip.clip == "mute" else self.arrays(model, clip, options)

    def arrays(self, model, clip, options):
        frames = np.arange(clip.frames, dtype=options["dtype"]) * model
        return {
            "twice": np.arange(2 * clip.frames, dtype=np.int16),
            "per_frame": np.stack([frames, frames], axis=1),
            "whole": np.zeros((2, 7), np.float32),
        } | self.changed


@pytest.fixture
def plugin(monkeypatch):
    plugin = Plugin()
    monkeypatch.setitem(sys.modules, plugin.__name__, plugin)
    return plugin


def model(folder: Path, weights: str) -> dict[str, dict]:
    """A model in a folder, as the rules hand it on; its record says that it is `weights`."""
    folder.mkdir(exist_ok=True)
    (folder / "weights.bin").write_bytes(b"weights")
    models.write_record(folder, id="lab/net", revision="abc123", weights=weights)
    entry = {"files": {"weights.bin": {"sha256": None}}, "path": str(folder), "revision": None, "gated": None}
    catalogue = {"my-net": entry | {"repo": "lab/net", "url": None}}
    return models.wanted(catalogue, ("net", "other"), {"net": "my-net", "other": None})


@pytest.fixture
def shard(tmp_path):
    """A shard with the clips of `FRAMES` and one that is gone."""
    with shardtar.Writer(tmp_path / "crops.tar") as shard:
        for clip, frames in FRAMES.items():
            shard.add(clip, {"clip": clip, "status": "ok", "frames": frames})
        shard.add("gone", {"clip": "gone", "status": "gone"})
    (tmp_path / "tracks.parquet").touch()


@pytest.fixture
def extract(tmp_path, plugin, shard):
    """Extract from the shard; returns the feature file."""

    def run(keep=("two", "mute", "one"), weights="published", version=(1, 3), **options):
        order = ["two", "one", "mute", "dropped", "gone"]
        rows = [{"clip": clip, "keep": int(clip in keep)} for clip in order]
        tables.write(tmp_path / "filtered.tsv", ("clip", "keep"), rows)
        extract_feature.main(
            tmp_path / "filtered.tsv",
            tmp_path / "crops.tar",
            tmp_path / "tracks.parquet",
            [tmp_path / "net" / "weights.bin"],
            tmp_path / "x.safetensors",
            modality="stub.counting",
            options={"net": "my-net", "other": None, "step": 2, "dtype": "float32"} | options,
            weights=model(tmp_path / "net", weights),
            version=list(version),
        )
        return tmp_path / "x.safetensors"

    return run


def test_kept_clips_in_order_and_nothing_else(extract, plugin):
    said = featurestore.metadata(extract())
    assert said["clips"] == ["two", "one"]
    assert said["missing"] == {"mute": "no sound"}
    assert plugin.seen == ["two", "one", "mute"]
    assert plugin.loads == 1


def test_arrays_come_out_as_the_plugin_gave_them(extract):
    with safe_open(extract(), framework="numpy") as store:
        assert sorted(store.keys()) == sorted(f"{clip}/{array.name}" for clip in ("one", "two") for array in ARRAYS)
        assert store.get_tensor("two/per_frame").tolist() == [[0, 0], [2, 2], [4, 4], [6, 6], [8, 8]]
        assert store.get_tensor("one/twice").tolist() == [0, 1, 2, 3, 4, 5]


def test_the_file_says_where_it_comes_from(extract):
    with safe_open(extract(), framework="numpy") as store:
        said = store.metadata()
    sha256 = "9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c"  # of b"weights", by sha256sum
    about = {"name": "my-net", "id": "lab/net", "revision": "abc123", "weights": "published"}
    assert {key: said[key] for key in said if key not in ("options", "models", "arrays", "clips", "missing")} == {
        "talkset": talkset.__version__,
        "modality": "counting",
        "version": "3",
        "step_version": "1",
        "weights": "published",
        "rate": "12.5",
        "layout": "plain",
    }
    assert json.loads(said["options"])["step"] == 2
    assert json.loads(said["models"]) == {"net": about | {"sha256": {"weights.bin": sha256}}}
    described = featurestore.metadata(extract())["arrays"]
    assert described["per_frame"]["unit"] == "pixel" and described["per_frame"]["shape"] == "[T,2]"


def test_random_weights_are_never_mistaken_for_real_ones(extract, capsys):
    assert featurestore.metadata(extract(weights="random-tiny"))["weights"] == "random-tiny"
    said = "weights are random-tiny: the arrays have the right shapes and mean nothing"
    assert said in capsys.readouterr().err
    extract(weights="published")
    assert "random-tiny" not in capsys.readouterr().err


def test_the_option_names_the_type(extract):
    found = extract(dtype="float16")
    assert featurestore.arrays(found, "two")["per_frame"].dtype == np.float16
    assert featurestore.metadata(found)["arrays"]["per_frame"]["dtype"] == "float16"


def test_a_model_that_is_not_there_fails_the_job(tmp_path, extract, monkeypatch):
    given = models.given
    monkeypatch.setattr(models, "given", lambda weights, files: given(weights, []))
    with pytest.raises(ToolFault, match="model my-net: .*weights.bin is not there"):
        extract()


def test_a_shard_of_dropped_clips_loads_no_model(extract, plugin):
    assert featurestore.metadata(extract(keep=()))["clips"] == []
    assert plugin.loads == 0


def test_the_same_shard_gives_the_same_bytes(extract):
    first = extract().read_bytes()
    assert extract().read_bytes() == first


@pytest.fixture
def interrupted(extract, plugin):
    """Extract until so many clips are finished and the job dies; returns the file of a whole run before it."""

    def run(finished):
        whole = extract().read_bytes()
        plugin.seen, plugin.breaks_after = [], finished
        with pytest.raises(RuntimeError, match="killed"):
            extract()
        plugin.seen, plugin.breaks_after = [], None
        return whole

    return run


@pytest.mark.parametrize(("finished", "left"), [(0, ["two", "one", "mute"]), (1, ["one", "mute"]), (2, ["mute"])])
def test_an_interrupted_job_goes_on_where_it_was(extract, plugin, interrupted, capsys, finished, left):
    whole = interrupted(finished)
    assert extract().read_bytes() == whole
    assert plugin.seen == left
    assert ("clips were done before" in capsys.readouterr().err) == bool(finished)


@pytest.mark.parametrize(
    "changed", [{"step": 3}, {"version": (2, 3)}, {"weights": "random-tiny"}, {"dtype": "float16"}], ids=str
)
def test_what_changes_the_arrays_starts_anew(extract, plugin, interrupted, changed):
    interrupted(2)
    extract(**changed)
    assert sorted(plugin.seen) == ["mute", "one", "two"]


def test_other_crops_start_anew(tmp_path, extract, plugin, interrupted):
    interrupted(2)
    os.utime(tmp_path / "crops.tar")
    extract()
    assert len(plugin.seen) == 3


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"per_frame": np.zeros((4, 2), np.float32)}, r"two/per_frame: shape \[4, 2\], declared \[T,2\] with T = 5"),
        ({"per_frame": np.zeros((5, 2, 1), np.float32)}, r"two/per_frame: shape \[5, 2, 1\]"),
        ({"twice": np.zeros(9, np.int16)}, r"two/twice: shape \[9\], declared \[2T\] with T = 5"),
        ({"whole": np.zeros((4, 6), np.float32)}, r"two/whole: shape \[4, 6\], declared \[N,7\]"),
        ({"per_frame": np.zeros((5, 2))}, "two/per_frame: type float64, declared float32"),
        ({"more": np.zeros(1)}, r"two: arrays \['more', .* declared"),
    ],
)
def test_arrays_other_than_declared_are_a_defect(tmp_path, extract, plugin, changed, said):
    plugin.changed = changed
    with pytest.raises(ValueError, match=said):
        extract()
    assert not (tmp_path / "x.safetensors").exists()


@pytest.mark.parametrize(
    ("shape", "declared", "fits"),
    [
        ((5, 478, 3), "[T,478,3]", True),
        ((20, 80), "[4T,80]", True),
        ((4, 80), "[4T,80]", False),
        ((3, 9), "[N_ref,9]", True),
        ((5,), "[T]", True),
        ((5, 1), "[T]", False),
        ((6, 478, 3), "[T,478,3]", False),
    ],
)
def test_shapes(shape, declared, fits):
    assert extract_feature.fits(shape, declared, 5) is fits
