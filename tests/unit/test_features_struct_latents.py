"""The feature struct_latents: input, rows and checkpoint; the network's own numbers are in test_net_liveportrait.py."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from planted import SIZE, crop_record, mp4, write_crops, write_tracks
from test_net_liveportrait import GOLDEN, SMALL, picture, saved

from talkset import clipdata
from talkset.demo.tiny import liveportrait_motion_extractor as tiny
from talkset.faults import ClipFault, ToolFault
from talkset.features import struct_latents
from talkset.models import Model
from talkset.nets import lp_p1

OPTIONS = {name: option["default"] for name, option in struct_latents.SPEC.options["properties"].items()}


def model(folder) -> dict[str, Model]:
    name = OPTIONS["model"]
    return {"model": Model(name, f"random-tiny/{name}", "seed 0", "random-tiny", folder)}


def clip(name: str, *pictures: np.ndarray) -> SimpleNamespace:
    return SimpleNamespace(clip=name, frames=len(pictures), pictures=lambda format: {"rgb24": pictures}[format])


def noise(count: int, seed: int = 0) -> list[np.ndarray]:
    return [picture(seed + number) for number in range(count)]


@pytest.fixture(scope="module")
def net(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    saved(folder / "motion_extractor.pth", SMALL)
    return struct_latents.load(OPTIONS, model(folder))


def rows(net, *clips, **changed) -> dict[str, dict[str, np.ndarray]]:
    return {of.clip: found for of, found in struct_latents.extract(net, iter(clips), OPTIONS | changed)}


def test_the_reference_s_numbers_come_from_the_crop_to_the_arrays(net):
    found = rows(net, clip("a", picture(1), picture(2)))["a"]
    frames = GOLDEN["small"]

    def expected(*names):
        return np.concatenate([np.array([frame[name] for frame in frames]) for name in names], axis=1)

    struct = np.concatenate([expected("points", "exp"), expected("t")[:, :2]], axis=1)
    assert np.abs(found["struct"] - struct).max() <= 1e-5 * np.abs(struct).max()
    assert np.abs(found["side"][:, :3] - expected("pitch", "yaw", "roll")).max() <= 1e-5 * 97.5
    scale_tz = np.concatenate([expected("scale"), expected("t")[:, 2:]], axis=1)
    assert np.abs(found["side"][:, 3:] - scale_tz).max() <= 1e-5 * np.abs(scale_tz).max()


def test_arrays_are_as_declared(net):
    found = rows(net, clip("a", *noise(3)))["a"]
    for array in struct_latents.SPEC.arrays:
        width = {"struct": 128, "side": 5}[array.name]
        assert (found[array.name].shape, found[array.name].dtype.name) == ((3, width), array.dtype)
        assert array.shape == f"[T,{width}]"


def test_a_picture_changes_its_own_row_and_no_other(net):
    frames = noise(5)
    before = rows(net, clip("a", *frames))["a"]
    frames[3] = picture(99)
    after = rows(net, clip("a", *frames))["a"]
    for name in before:
        changed = np.abs(after[name] - before[name]).max(axis=1)
        assert changed[3] > 1e-3 and changed[[0, 1, 2, 4]].max() == 0


def test_batches_and_shard_mates_change_nothing_beyond_rounding(net):
    clips = [clip("a", *noise(3)), clip("b", *noise(5, 10)), clip("c", *noise(1, 20))]
    alone = {of.clip: rows(net, of, batch_size=1)[of.clip] for of in clips}
    for size in (4, 64):
        together = rows(net, *clips, batch_size=size)
        assert list(together) == ["a", "b", "c"]
        for name, arrays in together.items():
            for array, values in arrays.items():
                assert np.abs(values - alone[name][array]).max() <= 1e-5 * np.abs(alone[name][array]).max()


def test_the_same_clip_gives_the_same_bytes(net):
    first, second = (rows(net, clip("a", *noise(4)), batch_size=3)["a"] for _ in range(2))
    assert all(first[name].tobytes() == second[name].tobytes() for name in first)


def test_colours_are_red_green_blue(net):
    frames = noise(2)
    found = rows(net, clip("a", *frames))["a"]
    swapped = rows(net, clip("a", *(frame[..., ::-1] for frame in frames)))["a"]
    assert np.abs(found["struct"] - swapped["struct"]).max() > 1e-3


def test_pictures_are_halved_as_by_cv2_s_bilinear_default():
    sharp = np.zeros((512, 512, 3), np.uint8)
    sharp[::2, ::2] = 200  # one of the four pixels that meet in one
    (found,) = struct_latents.pictures(clip("a", sharp))
    assert (found.shape, found.dtype) == ((256, 256, 3), np.uint8) and np.unique(found).tolist() == [50]


def test_a_fault_of_one_clip_leaves_the_others(net):
    def fails(format):
        yield picture(0)
        raise ClipFault("cannot be decoded")

    found = rows(net, clip("a", *noise(2)), SimpleNamespace(clip="b", frames=2, pictures=fails), clip("c", picture(2)))
    assert isinstance(found["b"], ClipFault) and found["b"].reason == "cannot be decoded"
    assert len(found["a"]["struct"]) == 2 and len(found["c"]["struct"]) == 1


def test_the_demo_s_checkpoint_runs_on_a_crop_shard_and_gives_plausible_numbers(tmp_path):
    tiny.make(tmp_path)
    shades = [np.full((SIZE, SIZE, 3), shade, np.uint8) for shade in (40, 90, 140, 190, 240, 15)]
    crops = write_crops(tmp_path / "s.tar", {"a": (crop_record("a", len(shades)), {"mp4": mp4(shades)})})
    tracks = write_tracks(tmp_path / "s.parquet", {"a": []})
    net = struct_latents.load(OPTIONS, model(tmp_path))
    ((of, found),) = struct_latents.extract(net, clipdata.read(crops, tracks), OPTIONS)
    assert of.clip == "a" and len(found["struct"]) == of.frames == len(shades)
    assert len(np.unique(found["struct"], axis=0)) == len(shades)
    numbers = lp_p1.unpack(**found)
    assert np.abs(found["side"][:, :3]).max() < 20 and np.all(np.abs(numbers["scale"] - 1.4) < 0.4)
    assert np.abs(numbers["kp"]).max() < 1


def test_the_demo_s_checkpoint_is_the_same_each_time(tmp_path):
    files = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        tiny.make(folder)
        files.append((folder / "motion_extractor.pth").read_bytes())
    assert files[0] == files[1] and len(files[0]) < 1 << 20


def test_a_missing_checkpoint_is_the_tool_s_fault(tmp_path):
    with pytest.raises(ToolFault, match="motion_extractor.pth is not there"):
        struct_latents.load(OPTIONS, model(tmp_path))


def test_safetensors_are_taken_where_they_are_the_only_checkpoint(tmp_path):
    (tmp_path / "motion_extractor.safetensors").write_bytes(b"")
    with pytest.raises(ToolFault, match="motion_extractor.safetensors does not load"):
        struct_latents.load(OPTIONS, model(tmp_path))


def test_the_metadata_name_the_layout_and_the_points_of_lips_and_eyes():
    assert struct_latents.describe(None, OPTIONS) == {
        "layout": "lp_p1",
        "lip_points": [6, 12, 14, 17, 19, 20],
        "eye_points": [11, 13, 15, 16, 18],
    }
