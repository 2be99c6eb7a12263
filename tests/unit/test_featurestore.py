"""Feature files: what is written is what the safetensors package reads, whole or not, and always the same bytes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from talkset import featurestore

METADATA = {"modality": "test", "options": {"hop": 160}, "arrays": {"a": {}, "b": {}}}
THREE = ["one", "two", "three"]


def arrays(seed: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {"a": random.normal(size=(3, 5)).astype(np.float16), "b": random.normal(size=(7,))}


def write(path, clips=("one", "two"), missing=()):
    with featurestore.Writer(path, METADATA, [*clips, *missing]) as store:
        for seed, clip in enumerate(clips):
            store.add(clip, arrays(seed))
        for clip in missing:
            store.miss(clip, "no sound")
    return path


def interrupted(path, done=("one",), metadata=METADATA, inputs=()) -> None:
    """Leave what a job leaves that ends after these of the clips one, two, three."""
    with pytest.raises(KeyboardInterrupt), featurestore.Writer(path, metadata, THREE, inputs) as store:
        for clip in done:
            store.add(clip, arrays(THREE.index(clip)))
        raise KeyboardInterrupt


def test_arrays_come_back(tmp_path):
    path = write(tmp_path / "x.safetensors")
    for seed, clip in enumerate(("one", "two")):
        for name, array in featurestore.arrays(path, clip).items():
            np.testing.assert_array_equal(array, arrays(seed)[name], strict=True)


@pytest.mark.parametrize("dtype", featurestore.DTYPES)
def test_every_type_and_shape(tmp_path, dtype):
    held = {"a": np.arange(6).reshape(2, 3).T.astype(dtype), "b": np.zeros((0, 4), dtype)}
    with featurestore.Writer(tmp_path / "x.safetensors", METADATA, ["one"]) as store:
        store.add("one", held)
    found = featurestore.arrays(tmp_path / "x.safetensors", "one")
    for name, array in held.items():
        np.testing.assert_array_equal(found[name], array, strict=True)


def test_arrays_are_aligned_to_their_type(tmp_path):
    """An odd number of bytes must not put a wider array where frameworks cannot map it."""
    with featurestore.Writer(tmp_path / "x.safetensors", METADATA, ["one", "two"]) as store:
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


def test_clips_may_come_in_any_order(tmp_path):
    with featurestore.Writer(tmp_path / "x.safetensors", METADATA, THREE) as store:
        store.add("three", arrays(2))
        store.miss("one", "no sound")
        assert store.left == ["two"]
        store.add("two", arrays(1))
    assert featurestore.metadata(tmp_path / "x.safetensors")["clips"] == ["two", "three"]
    np.testing.assert_array_equal(featurestore.arrays(tmp_path / "x.safetensors", "two")["b"], arrays(1)["b"])


def test_an_error_leaves_the_old_file_and_finished_clips(tmp_path):
    path = write(tmp_path / "x.safetensors")
    before = path.read_bytes()
    interrupted(path)
    assert path.read_bytes() == before
    assert sorted(file.name for file in tmp_path.iterdir()) == [".x.parts", "x.safetensors"]


def test_an_error_before_the_first_clip_leaves_nothing(tmp_path):
    interrupted(tmp_path / "x.safetensors", done=())
    assert not list(tmp_path.iterdir())


def test_finished_clips_are_not_asked_for_again(tmp_path):
    path, whole = tmp_path / "x.safetensors", write(tmp_path / "whole.safetensors", THREE)
    interrupted(path, done=["two"])
    with featurestore.Writer(path, METADATA, THREE) as store:
        assert store.left == ["one", "three"]
        for clip in store.left:
            store.add(clip, arrays(THREE.index(clip)))
        assert store.left == []
    assert path.read_bytes() == whole.read_bytes()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["whole.safetensors", "x.safetensors"]


def test_a_reason_survives_too(tmp_path):
    path = tmp_path / "x.safetensors"
    with pytest.raises(KeyboardInterrupt), featurestore.Writer(path, METADATA, THREE) as store:
        store.miss("one", "no sound")
        raise KeyboardInterrupt
    with featurestore.Writer(path, METADATA, THREE) as store:
        for clip in store.left:
            store.add(clip, arrays(1))
    assert featurestore.metadata(path)["missing"] == {"one": "no sound"}


def test_another_list_of_clips_takes_what_it_needs(tmp_path):
    interrupted(tmp_path / "x.safetensors", done=["one", "two"])
    with featurestore.Writer(tmp_path / "x.safetensors", METADATA, ["four", "two"]) as store:
        assert store.left == ["four"]
        store.add("four", arrays(4))
    assert featurestore.metadata(tmp_path / "x.safetensors")["clips"] == ["four", "two"]


def test_what_changes_the_values_starts_anew(tmp_path):
    path, crops = tmp_path / "x.safetensors", tmp_path / "crops.tar"
    crops.write_bytes(b"pictures")
    os.utime(crops, ns=(1, 10**18))

    def seen(metadata=METADATA) -> list[str]:
        store = featurestore.Writer(path, metadata, THREE, [crops])
        return store.__enter__().left

    interrupted(path, inputs=[crops])
    assert seen() == ["two", "three"]
    assert seen(METADATA | {"options": {"hop": 161}}) == THREE
    interrupted(path, inputs=[crops])
    os.utime(crops, ns=(1, 10**18 + 1))
    assert seen() == THREE
    interrupted(path, inputs=[crops])
    crops.write_bytes(b"other pictures")
    os.utime(crops, ns=(1, 10**18 + 1))
    assert seen() == THREE


KILLED = """
import os, signal, sys
from test_featurestore import METADATA, THREE, arrays
from talkset import featurestore

with featurestore.Writer(sys.argv[1], METADATA, THREE) as store:
    store.add("one", arrays(0))
    part = store._part("two")
    (part.parent / ".two.partial.safetensors").write_bytes(b"half of it")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_job_is_resumed_to_the_same_bytes(tmp_path):
    path, whole = tmp_path / "x.safetensors", write(tmp_path / "whole.safetensors", THREE)
    here = Path(__file__).parent
    paths = os.pathsep.join([str(here), str(here.parents[1] / "scripts")])
    killed = subprocess.run([sys.executable, "-c", KILLED, path], env=os.environ | {"PYTHONPATH": paths})
    assert killed.returncode == -9 and not path.exists()
    with featurestore.Writer(path, METADATA, THREE) as store:
        assert store.left == ["two", "three"]
        store.add("two", arrays(1))
        store.add("three", arrays(2))
    assert path.read_bytes() == whole.read_bytes()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["whole.safetensors", "x.safetensors"]


def test_a_killed_job_that_had_all_clips_needs_none_again(tmp_path):
    path, whole = tmp_path / "x.safetensors", write(tmp_path / "whole.safetensors", THREE)
    interrupted(path, done=THREE)
    with featurestore.Writer(path, METADATA, THREE) as store:
        assert store.left == []
    assert path.read_bytes() == whole.read_bytes()


def test_a_clip_without_arrays_says_why(tmp_path):
    path = write(tmp_path / "x.safetensors", missing=["three"])
    with pytest.raises(KeyError, match="three: no sound"):
        featurestore.arrays(path, "three")
    with pytest.raises(KeyError, match="four: not among the kept clips"):
        featurestore.arrays(path, "four")


def test_clips_that_are_not_asked_for_are_refused(tmp_path):
    with pytest.raises(ValueError, match="'one' is in this shard twice"):
        featurestore.Writer(tmp_path / "x.safetensors", METADATA, ["one", "two", "one"])
    with (
        pytest.raises(ValueError, match="'one' is not one of those that are left: two"),
        featurestore.Writer(tmp_path / "x.safetensors", METADATA, ["one", "two"]) as store,
    ):
        store.add("one", arrays(0))
        store.miss("one", "no sound")


def test_a_clip_that_was_forgotten_is_a_defect(tmp_path):
    with (
        pytest.raises(ValueError, match="neither added nor missed: two"),
        featurestore.Writer(tmp_path / "x.safetensors", METADATA, ["one", "two"]) as store,
    ):
        store.add("one", arrays(0))
    assert not (tmp_path / "x.safetensors").exists()


def test_an_unknown_type_is_refused(tmp_path):
    with (
        pytest.raises(ValueError, match="one/a: complex64"),
        featurestore.Writer(tmp_path / "x.safetensors", METADATA, ["one"]) as store,
    ):
        store.add("one", {"a": np.ones(1, np.complex64)})
