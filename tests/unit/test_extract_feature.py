"""Extraction goes over the kept clips, holds arrays against their declaration and loses no clip."""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest
from safetensors import safe_open

import extract_feature
import talkset
from talkset import featurestore, shardtar, tables
from talkset.faults import ClipFault
from talkset.registry import ArraySpec, FeatureSpec

FRAMES = {"one": 3, "two": 5, "mute": 4, "dropped": 6}
ARRAYS = (
    ArraySpec("per_frame", "float32", "[T,2]", "pixel", "the frame's number"),
    ArraySpec("twice", "int16", "[2T]", "", "twice the frames"),
    ArraySpec("whole", "float32", "[N,7]", "", "any number of rows"),
)


class Plugin(types.ModuleType):
    """A modality whose arrays the test can spoil."""

    def __init__(self):
        super().__init__("stub.counting")
        self.SPEC = FeatureSpec(
            "counting", 3, "frame numbers", "features.yaml", 1, 100, 0, ARRAYS, model="lab/net", revision="abc123"
        )
        self.loads, self.seen, self.changed = 0, [], {}

    def load(self, options):
        self.loads += 1
        return options["step"]

    def extract(self, model, clip, options):
        self.seen.append(clip.clip)
        if clip.clip == "mute":
            raise ClipFault("no sound")
        frames = np.arange(clip.frames, dtype=np.float32) * model
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


@pytest.fixture
def extract(tmp_path, plugin):
    """Extract from a shard with the clips of `FRAMES` and one that is gone; returns the feature file."""

    def run(keep=("two", "mute", "one")):
        with shardtar.Writer(tmp_path / "crops.tar") as shard:
            for clip, frames in FRAMES.items():
                shard.add(clip, {"clip": clip, "status": "ok", "frames": frames})
            shard.add("gone", {"clip": "gone", "status": "gone"})
        order = ["two", "one", "mute", "dropped", "gone"]
        rows = [{"clip": clip, "keep": int(clip in keep)} for clip in order]
        tables.write(tmp_path / "filtered.tsv", ("clip", "keep"), rows)
        paths = (tmp_path / name for name in ("filtered.tsv", "crops.tar", "tracks.parquet", "x.safetensors"))
        extract_feature.main(*paths, modality="stub.counting", options={"step": 2}, version=[1, 3])
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
    assert {key: said[key] for key in ("talkset", "modality", "version", "options", "model", "revision")} == {
        "talkset": talkset.__version__,
        "modality": "counting",
        "version": "3",
        "options": '{"step": 2}',
        "model": "lab/net",
        "revision": "abc123",
    }
    described = featurestore.metadata(extract())["arrays"]
    assert described["per_frame"]["unit"] == "pixel" and described["per_frame"]["shape"] == "[T,2]"


def test_a_shard_of_dropped_clips_loads_no_model(extract, plugin):
    assert featurestore.metadata(extract(keep=()))["clips"] == []
    assert plugin.loads == 0


def test_the_same_shard_gives_the_same_bytes(extract):
    first = extract().read_bytes()
    assert extract().read_bytes() == first


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
