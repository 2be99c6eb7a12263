"""Reference features: which frames are chosen, what the model sees of them, and which of its outputs are stored."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from planted import SIZE, crop_record, face, mp4, write_crops, write_tracks
from safetensors.torch import load_file, save_file
from skimage import data
from transformers import (
    BitImageProcessorPil,
    CLIPImageProcessorPil,
    Dinov2WithRegistersConfig,
    Dinov2WithRegistersModel,
)

from talkset import clipdata, featurestore
from talkset.demo.tiny import clip_vit_large_patch14, dinov2_large
from talkset.faults import ClipFault, ToolFault
from talkset.features import ref_features
from talkset.models import Model

OPTIONS = {name: option["default"] for name, option in ref_features.SPEC.options["properties"].items()}
EXACT = OPTIONS | {"dtype": "float32"}
SHARP = cv2.resize(data.astronaut(), (64, 64), interpolation=cv2.INTER_AREA)
BOX = (0, 0, 64, 64)


def load(folder: Path, **changed) -> ref_features.Eye:
    model = Model("dinov2-large", "random-tiny/dinov2-large", "seed 0", "random-tiny", folder)
    return ref_features.load(EXACT | changed, {"model": model})


def blurred(sigma: float) -> np.ndarray:
    return cv2.GaussianBlur(SHARP, (0, 0), sigma) if sigma else SHARP


def clip(name: str, pictures, yaw=0.0, pitch=0.0, box=BOX) -> SimpleNamespace:
    """A clip whose head turns as `yaw` and `pitch` say, frame by frame; NaN: no face."""
    count = len(pictures)
    pose = np.zeros((count, 3), np.float32)
    pose[:, 0], pose[:, 1] = yaw, pitch
    pose[np.isnan(pose).any(axis=1)] = np.nan
    boxes = np.tile(np.array(box, np.float32), (count, 1))
    boxes[np.isnan(pose[:, 0])] = np.nan
    track = SimpleNamespace(pose=pose, box=boxes)
    return SimpleNamespace(clip=name, frames=count, track=lambda: track, pictures=lambda format: iter(pictures))


def chosen(of: SimpleNamespace, count: int) -> list[int]:
    return [frame for frame, _ in ref_features.choose(of, count)]


def found(eye, *clips, **changed) -> dict[str, dict[str, np.ndarray] | ClipFault]:
    return {of.clip: arrays for of, arrays in ref_features.extract(eye, iter(clips), EXACT | changed)}


def noise(count: int, seed: int = 0) -> list[np.ndarray]:
    return list(np.random.default_rng(seed).integers(0, 256, (count, 64, 64, 3), np.uint8))


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    """Tiny checkpoints by family."""
    made = {name: tmp_path_factory.mktemp(name) for name in ("dinov2", "clip", "registers")}
    dinov2_large.make(made["dinov2"])
    clip_vit_large_patch14.make(made["clip"])
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "patch_size": 14, "image_size": 224}
    torch.manual_seed(0)
    Dinov2WithRegistersModel(Dinov2WithRegistersConfig(**small)).save_pretrained(made["registers"])
    return made


@pytest.fixture(scope="module")
def eyes(folders) -> dict[str, ref_features.Eye]:
    return {name: load(folder) for name, folder in folders.items()}


def test_of_each_part_the_sharpest_frame_is_taken():
    sigmas = [2, 0, 2, 1, 0.8, 1, 3, 3, 1]
    assert chosen(clip("a", [blurred(sigma) for sigma in sigmas]), 3) == [1, 4, 8]


def test_frames_that_are_less_frontal_are_only_taken_within_five_degrees():
    pictures = [blurred(2), blurred(1), blurred(0)]
    assert chosen(clip("a", pictures, yaw=[-20, 24.9, 26]), 1) == [1]
    assert chosen(clip("a", pictures, yaw=[0, 5.1, -5.1]), 1) == [0]
    assert chosen(clip("a", pictures, yaw=[0, 0, 4], pitch=[0, 0, 4]), 1) == [1]  # together 5.7 degrees
    assert chosen(clip("a", pictures, yaw=[0, 3, 3], pitch=[0, 3, -3]), 1) == [2]


def test_of_equal_frames_the_earliest_is_taken():
    assert chosen(clip("a", [SHARP] * 12), 4) == [0, 3, 6, 9]


def test_frames_without_a_face_are_never_taken():
    yaw = np.where(np.arange(12) < 6, np.nan, 0)
    assert chosen(clip("a", [SHARP] * 12, yaw=yaw), 3) == [6, 8, 10]
    assert chosen(clip("a", [SHARP] * 12, yaw=yaw), 100) == [6, 7, 8, 9, 10, 11]


def test_sharpness_is_that_of_the_face_alone():
    around = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    smooth, sharp = around.copy(), np.zeros_like(around)
    smooth[8:40, 8:40] = blurred(3)[8:40, 8:40]
    sharp[8:40, 8:40] = SHARP[8:40, 8:40]
    assert chosen(clip("a", [smooth, sharp], box=(8, 8, 40, 40)), 1) == [1]


def test_a_face_beyond_the_crop_is_taken_where_there_is_no_other():
    assert chosen(clip("a", [SHARP] * 2, box=(-50, -50, -10, -10)), 1) == [0]


def test_a_clip_without_a_face_is_the_clip_s_fault(eyes):
    clips = [clip("a", noise(3)), clip("b", noise(3), yaw=np.nan), clip("c", noise(2))]
    rows = found(eyes["dinov2"], *clips)
    assert isinstance(rows["b"], ClipFault) and rows["b"].reason == "no face was followed"
    assert rows["a"]["frames"].tolist() == [0, 1, 2] and rows["c"]["frames"].tolist() == [0, 1]


@pytest.mark.parametrize(("family", "width", "layers"), [("dinov2", 32, 32), ("clip", 24, 32), ("registers", 16, 16)])
def test_arrays_are_as_declared(eyes, family, width, layers):
    for patches, count in ((False, 0), (True, 256)):
        [(_, rows)] = ref_features.extract(
            eyes[family], iter([clip("a", noise(9))]), OPTIONS | {"count": 3, "patches": patches}
        )
        shapes = {"ref": (3, width), "patches": (3, count, layers), "frames": (3,)}
        assert {name: values.shape for name, values in rows.items()} == shapes
        assert {name: values.dtype.name for name, values in rows.items()} == {
            "ref": "float16",
            "patches": "float16",
            "frames": "int32",
        }
        assert set(shapes) == {array.name for array in ref_features.SPEC.arrays}
    assert rows["ref"].std() > 0.1


@pytest.mark.parametrize(
    ("family", "processor"),
    [
        ("dinov2", BitImageProcessorPil(size={"height": 224, "width": 224}, do_center_crop=False)),
        ("clip", CLIPImageProcessorPil(size={"shortest_edge": 224}, crop_size=224)),
    ],
)
def test_the_model_sees_what_its_own_processor_makes_of_the_whole_picture(eyes, family, processor):
    mean, std = (eyes[family].mean, eyes[family].std)
    expected = processor(data.astronaut(), resample=3, image_mean=mean, image_std=std, return_tensors="pt")
    seen = []

    def net(inputs):
        seen.append(inputs)
        return eyes[family].net(inputs)

    found(replace(eyes[family], net=net), clip("a", [data.astronaut()]))
    assert torch.allclose(seen[0], expected["pixel_values"], atol=1e-5)
    assert mean == (ref_features.IMAGENET if family == "dinov2" else ref_features.OPENAI)[0]


def inputs(eye, picture: np.ndarray) -> torch.Tensor:
    small = np.asarray(Image.fromarray(picture).resize((224, 224), Image.Resampling.BICUBIC)).astype(np.float32)
    return torch.tensor((small / 255 - np.float32(eye.mean)) / np.float32(eye.std)).permute(2, 0, 1)[None]


def test_dinov2_gives_its_class_token_and_its_patches_without_registers(eyes):
    picture = noise(1)[0]
    for family, prefix in (("dinov2", 1), ("registers", 5)):
        eye = eyes[family]
        with torch.inference_mode():
            tokens = eye.net(inputs(eye, picture)).last_hidden_state[0].numpy()
        rows = found(eye, clip("a", [picture]), patches=True)["a"]
        assert np.abs(rows["ref"][0] - tokens[0]).max() < 1e-5
        assert np.abs(rows["patches"][0] - tokens[prefix:]).max() < 1e-5


def test_clip_gives_its_projected_embedding_and_its_patches_as_they_are(eyes):
    picture, eye = noise(1)[0], eyes["clip"]
    with torch.inference_mode():
        states = eye.net.vision_model(inputs(eye, picture))
        projected = eye.net.visual_projection(states.pooler_output)[0].numpy()
    rows = found(eye, clip("a", [picture]), patches=True)["a"]
    assert np.abs(rows["ref"][0] - projected).max() < 1e-5
    assert np.abs(rows["patches"][0] - states.last_hidden_state[0, 1:].numpy()).max() < 1e-5


def test_a_larger_side_gives_more_patches(folders):
    rows = found(load(folders["dinov2"], side=252), clip("a", noise(1)), side=252, patches=True)["a"]
    assert rows["patches"].shape == (1, 18 * 18, 32)


def test_rows_are_those_of_the_frames_named(eyes):
    pictures = noise(8)
    rows = found(eyes["dinov2"], clip("a", pictures))["a"]
    assert len(rows["frames"]) == 4
    for row, frame in zip(rows["ref"], rows["frames"], strict=True):
        alone = found(eyes["dinov2"], clip("b", [pictures[frame]]))["b"]["ref"][0]
        assert np.abs(row - alone).max() < 1e-5


def test_shard_mates_and_batches_change_nothing_beyond_rounding(eyes):
    clips = [clip(name, noise(count, count)) for name, count in zip("abc", (5, 2, 4), strict=True)]
    for eye in eyes.values():
        alone = {of.clip: found(eye, of, batch_size=1)[of.clip] for of in clips}
        together = found(eye, *clips, batch_size=8)
        assert list(together) == list("abc")
        for name, rows in together.items():
            assert np.abs(rows["ref"] - alone[name]["ref"]).max() < 1e-5 * np.abs(rows["ref"]).max()
            assert rows["frames"].tolist() == alone[name]["frames"].tolist()


def test_the_same_clip_gives_the_same_bytes(folders, eyes):
    one = clip("a", noise(7))
    first = found(eyes["dinov2"], one)["a"]
    for again in (found(eyes["dinov2"], one)["a"], found(load(folders["dinov2"]), one)["a"]):
        assert all(again[name].tobytes() == first[name].tobytes() for name in first)


def test_the_vision_half_alone_is_the_same_model(folders, eyes, tmp_path):
    eyes["clip"].net.save_pretrained(tmp_path)
    one = clip("a", noise(2))
    assert np.abs(found(load(tmp_path), one)["a"]["ref"] - found(eyes["clip"], one)["a"]["ref"]).max() < 1e-5


def test_counters_in_an_old_clip_checkpoint_do_not_matter(folders, eyes, tmp_path):
    (tmp_path / "config.json").write_bytes((folders["clip"] / "config.json").read_bytes())
    state = load_file(folders["clip"] / "model.safetensors")
    counters = {
        f"{half}_model.embeddings.position_ids": torch.arange(n)[None] for half, n in (("vision", 257), ("text", 77))
    }
    save_file(state | counters, tmp_path / "model.safetensors", metadata={"format": "pt"})
    one = clip("a", noise(1))
    assert np.abs(found(load(tmp_path), one)["a"]["ref"] - found(eyes["clip"], one)["a"]["ref"]).max() < 1e-5


def test_pictures_and_faces_come_from_the_shard(eyes, tmp_path):
    shades = [cv2.resize(blurred(sigma), (SIZE, SIZE)) for sigma in (2, 0, 2, 2, 2, 0)]
    shard = write_crops(tmp_path / "crops.tar", {"a": (crop_record("a", 6), {"mp4": mp4(shades)})})
    tracks = write_tracks(tmp_path / "tracks.parquet", {"a": [face(k, box=(60, 60, 300, 300)) for k in range(6)]})
    rows = found(eyes["dinov2"], *clipdata.read(shard, tracks), count=2)["a"]
    assert rows["frames"].tolist() == [1, 5]


def test_no_patches_can_be_stored(eyes, tmp_path):
    rows = found(eyes["dinov2"], clip("a", noise(2)))["a"]
    with featurestore.Writer(tmp_path / "ref.safetensors", {"arrays": dict.fromkeys(rows, {})}, ["a"]) as store:
        store.add("a", rows)
    assert featurestore.arrays(tmp_path / "ref.safetensors", "a")["patches"].shape == (2, 0, 32)


def test_the_preprocessor_file_decides_on_mean_deviation_and_resampling(folders, tmp_path):
    for file in folders["dinov2"].iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    said = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.25, 0.25, 0.25], "resample": 2}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(said))
    assert ref_features.describe(load(tmp_path), OPTIONS) == said


def test_a_side_that_the_model_does_not_take_is_refused(folders):
    with pytest.raises(ToolFault, match="side is 225, dinov2-large takes multiples of 14"):
        load(folders["dinov2"], side=225)
    with pytest.raises(ToolFault, match="side is 336, .* takes 224"):
        load(folders["clip"], side=336)


def test_missing_weights_are_named(folders, tmp_path):
    with pytest.raises(ToolFault, match="model dinov2-large: .*config.json is not there"):
        load(tmp_path)
    (tmp_path / "config.json").write_bytes((folders["dinov2"] / "config.json").read_bytes())
    with pytest.raises(ToolFault, match="model dinov2-large: .*model.safetensors is not there"):
        load(tmp_path)
    (tmp_path / "model.safetensors").write_bytes((folders["registers"] / "model.safetensors").read_bytes())
    with pytest.raises(ToolFault, match="lacks the weights encoder.layer.1"):
        load(tmp_path)
