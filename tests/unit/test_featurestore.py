"""Feature files: what is written is what the safetensors package reads, whole or not, and always the same bytes."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors import safe_open

from talkset import featurestore

METADATA = {"modality": "test", "options": {"hop": 160}, "arrays": {"a": {}, "b": {}}}


def arrays(seed: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {"a": random.normal(size=(3, 5)).astype(np.float16), "b": random.normal(size=(7,))}


def write(path, clips=("one", "two"), missing=()):
    with featurestore.Writer(path, METADATA) as store:
        for seed, clip in enumerate(clips):
            store.add(clip, arrays(seed))
        for clip in missing:
            store.miss(clip, "no sound")
    return path


def test_arrays_come_back(tmp_path):
    path = write(tmp_path / "x.safetensors")
    for seed, clip in enumerate(("one", "two")):
        for name, array in featurestore.arrays(path, clip).items():
            np.testing.assert_array_equal(array, arrays(seed)[name], strict=True)


@pytest.mark.parametrize("dtype", featurestore.DTYPES)
def test_every_type_and_shape(tmp_path, dtype):
    held = {"a": np.arange(6).reshape(2, 3).T.astype(dtype), "b": np.zeros((0, 4), dtype)}
    with featurestore.Writer(tmp_path / "x.safetensors", METADATA) as store:
        store.add("one", held)
    found = featurestore.arrays(tmp_path / "x.safetensors", "one")
    for name, array in held.items():
        np.testing.assert_array_equal(found[name], array, strict=True)


def test_arrays_are_aligned_to_their_type(tmp_path):
    """An odd number of bytes must not put a wider array where frameworks cannot map it."""
    with featurestore.Writer(tmp_path / "x.safetensors", METADATA) as store:
        store.add("one", {"a": np.ones(3, np.uint8), "b": np.ones(5, np.float32)})
        store.add("two", {"a": np.ones(1, np.uint8), "b": np.full(2, 2, np.float32)})
    with safe_open(tmp_path / "x.safetensors", framework="pt") as store:
        assert store.get_tensor("two/b").tolist() == [2, 2]
        assert store.get_tensor("one/a").tolist() == [1, 1, 1]


def test_metadata_is_read_without_the_arrays(tmp_path):
    path = write(tmp_path / "x.safetensors", missing=["three"])
    assert featurestore.metadata(path) == METADATA | {"clips": ["one", "two"], "missing": {"three": "no sound"}}


def test_a_shard_without_clips_is_a_valid_file(tmp_path):
    path = write(tmp_path / "x.safetensors", clips=())
    with safe_open(path, framework="numpy") as store:
        assert list(store.keys()) == []
    assert featurestore.metadata(path)["clips"] == []


def test_same_content_is_same_bytes(tmp_path):
    first, second = (write(tmp_path / f"{name}.safetensors", missing=["three"]) for name in "ab")
    assert first.read_bytes() == second.read_bytes()


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    path = write(tmp_path / "x.safetensors")
    before = path.read_bytes()
    with pytest.raises(RuntimeError), featurestore.Writer(path, METADATA) as store:
        store.add("one", arrays(9))
        raise RuntimeError
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["x.safetensors"]


def test_a_clip_without_arrays_says_why(tmp_path):
    path = write(tmp_path / "x.safetensors", missing=["three"])
    with pytest.raises(KeyError, match="three: no sound"):
        featurestore.arrays(path, "three")
    with pytest.raises(KeyError, match="four: not among the kept clips"):
        featurestore.arrays(path, "four")


def test_a_clip_twice_and_an_unknown_type_are_refused(tmp_path):
    with pytest.raises(ValueError, match="'one' is in this shard twice"):
        write(tmp_path / "x.safetensors", missing=["one"])
    with (
        pytest.raises(ValueError, match="one/a: complex64"),
        featurestore.Writer(tmp_path / "x.safetensors", METADATA) as store,
    ):
        store.add("one", {"a": np.ones(1, np.complex64)})
