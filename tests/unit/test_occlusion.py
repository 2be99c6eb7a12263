"""Occlusion: the arithmetic on label maps whose answer is known, the hull, the frames looked at, and the checkpoint."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from planted import SIZE, crop_record, face, mp4, write_crops, write_tracks
from skimage import data
from transformers import SegformerImageProcessorPil

from talkset import clipdata
from talkset.demo.tiny import face_parsing as tiny
from talkset.faults import ClipFault, ToolFault
from talkset.models import Model
from talkset.scores import occlusion

OPTIONS = {name: option["default"] for name, option in occlusion.SPEC.options["properties"].items()}
SIDE = 512
SKIN, HAND = (200, 150, 120), (20, 20, 20)


def load(folder: Path, **changed) -> occlusion.Parser:
    model = Model("face-parsing", "random-tiny/face-parsing", "seed 0", "random-tiny", folder)
    return occlusion.load(OPTIONS | changed, {"model": model})


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    made = tmp_path_factory.mktemp("face-parsing")
    tiny.make(made)
    return made


@pytest.fixture(scope="module")
def parser(folder) -> occlusion.Parser:
    return load(folder)


def bright(inputs: torch.Tensor) -> SimpleNamespace:
    """In a network's place: skin where the picture is bright, background elsewhere, at a quarter of its size."""
    grey = torch.nn.functional.avg_pool2d(inputs.mean(dim=1, keepdim=True), 4)
    scores = torch.full((len(inputs), len(tiny.CLASSES), *grey.shape[2:]), -9.0)
    scores[:, 0], scores[:, 1] = -grey[:, 0], grey[:, 0]
    return SimpleNamespace(logits=scores)


def square(x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
    """`[478,3]` landmarks whose first 468 fill a rectangle and whose irises lie far outside of it."""
    spread = np.random.default_rng(0).uniform((x0, y0), (x1, y1), (478, 2))
    spread[:4] = (x0, y0), (x1, y0), (x1, y1), (x0, y1)
    spread[468:] = -1000
    return np.column_stack([spread, np.zeros(478)]).astype(np.float32)


FACE = square(128, 100, 384, 420)


def picture(covered: float) -> np.ndarray:
    """A bright picture whose `FACE` is dark from the left up to a share of its width."""
    found = np.full((SIDE, SIDE, 3), SKIN, np.uint8)
    found[:, : round(128 + 256 * covered)] = HAND
    return found


def clip(name: str, pictures, landmarks=FACE) -> SimpleNamespace:
    track = SimpleNamespace(landmarks=np.broadcast_to(landmarks, (len(pictures), 478, 3)))
    return SimpleNamespace(
        clip=name,
        frames=len(pictures),
        record={"size": len(pictures[0])},
        track=lambda: track,
        pictures=lambda format: iter(pictures),
    )


def scores(parser, *clips, **changed) -> dict[str, dict | ClipFault]:
    return {of.clip: found for of, found in occlusion.score(parser, iter(clips), OPTIONS | changed)}


def test_the_share_of_the_hull_that_no_class_of_the_face_covers():
    labels = torch.zeros(3, 64, 64, dtype=torch.long)
    labels[:, :, :16] = 2  # another class than face
    labels[1] = 1
    hull = torch.zeros(3, 64, 64, dtype=torch.bool)
    hull[:2, 10:50, 8:24] = True  # 40 x 16, half of it left of column 16
    hull[2, :, :64] = True
    maps = torch.nn.functional.one_hot(labels, 3).permute(0, 3, 1, 2).float()
    found = occlusion.hidden(maps, torch.tensor([True, True, False]), hull)
    assert found.tolist() == [0.5, 0, 0.25]
    assert occlusion.hidden(maps, torch.tensor([False, False, False]), hull).tolist() == [1, 1, 1]


def test_the_classes_of_the_largest_score_after_enlarging_count():
    scores = torch.zeros(1, 2, 16, 16)
    scores[0, 1, :, 4:] = 1
    scores[0, 0, :, :4] = 3  # the border moves towards the weaker side
    hull = torch.ones(1, 64, 64, dtype=torch.bool)
    (found,) = occlusion.hidden(scores, torch.tensor([False, True]), hull)
    assert found == pytest.approx(
        17 / 64
    )  # between columns 3 and 4 of 16, 3 (1 - s) equals s at 3.75, which is 16.5 of 64


@pytest.mark.parametrize("covered", [0, 0.25, 0.5, 1])
def test_a_face_covered_in_part(parser, covered):
    found = scores(replace(parser, net=bright), clip("a", [picture(covered)]))["a"]
    assert set(found) == {column.name for column in occlusion.SPEC.columns}
    assert found["occlusion"] == pytest.approx(covered, abs=0.01)


def test_only_the_inside_of_the_hull_counts(parser):
    found = np.full((SIDE, SIDE, 3), HAND, np.uint8)
    found[98:423, 126:387] = SKIN
    assert scores(replace(parser, net=bright), clip("a", [found]))["a"]["occlusion"] < 0.005
    assert scores(replace(parser, net=bright), clip("a", [255 - found]))["a"]["occlusion"] > 0.98  # a mixed rim


def test_crops_of_any_size_are_seen_at_the_model_s(parser):
    small = picture(0.5)[::4, ::4]
    found = scores(replace(parser, net=bright), clip("a", [small], FACE / 4))["a"]
    assert found["occlusion"] == pytest.approx(0.5, abs=0.02)


def test_median_and_95th_percentile_over_the_frames_looked_at(parser):
    covered = [0, 0, 0.1, 0.2, 0.3, 0.4, 1]
    found = scores(replace(parser, net=bright), clip("a", [picture(each) for each in covered]), rate=25)["a"]
    assert found["occlusion"] == pytest.approx(0.2, abs=0.01)
    assert found["occlusion_p95"] == pytest.approx(np.percentile(covered, 95), abs=0.01)


@pytest.mark.parametrize(
    ("rate", "frames"), [(1, [0, 25, 50]), (5, list(range(0, 60, 5))), (10, [0, 3, 5, 8, 10]), (25, list(range(60)))]
)
def test_frames_looked_at(rate, frames):
    pictures = [np.full((8, 8, 3), number, np.uint8) for number in range(60)]
    seen = [int(item[0, 0, 0]) for item in occlusion.looked_at(clip("a", pictures, square(1, 1, 7, 7)), rate, 8, 2)]
    assert seen[: len(frames)] == frames and len(seen) == -(-60 * rate // 25)


def test_frames_without_a_face_do_not_count(parser):
    places = np.stack([FACE] * 12)
    places[0:4] = np.nan
    places[10] += 600  # wholly outside the crop
    seen = scores(replace(parser, net=bright), clip("a", [picture(k / 20) for k in range(12)], places))["a"]
    assert seen["occlusion"] == pytest.approx(5 / 20, abs=0.01)


def test_a_clip_without_a_face_has_no_value_and_leaves_the_others(parser):
    clips = clip("a", [picture(0)]), clip("b", [picture(0)] * 3, np.nan * FACE), clip("c", [picture(1)] * 2)
    found = scores(replace(parser, net=bright), *clips)
    assert (
        isinstance(found["b"], ClipFault) and found["b"].reason == "no face in any of the frames looked at (5 a second)"
    )
    assert found["a"]["occlusion"] < 0.01 and found["c"]["occlusion"] > 0.99


def test_the_hull_holds_the_pixels_inside():
    hull = occlusion.filled_hull(square(10, 20, 50, 30)[:468, :2], 64)
    assert hull.dtype == np.uint8 and set(np.unique(hull)) == {0, 1}
    assert hull[20:30, 10:50].all()
    assert hull.sum() <= 42 * 12  # at most one pixel more on each side
    angles = np.linspace(0, 2 * np.pi, 468)
    disc = occlusion.filled_hull(256 + 150 * np.stack([np.cos(angles), np.sin(angles)], axis=1), SIDE)
    assert disc.sum() == pytest.approx(np.pi * 150**2, rel=0.01)


def test_the_hull_is_cut_at_the_crop_s_edge_and_convex():
    cut = occlusion.filled_hull(np.array([[-300, -300], [32, -300], [32, 900], [-300, 900]]), 64)
    assert cut[:, :32].all() and not cut[:, 33:].any()
    hollow = np.array([[8, 8], [56, 8], [32, 32], [56, 56], [8, 56]])
    assert occlusion.filled_hull(hollow, 64)[32, 50]


def test_classes_are_found_by_name_in_any_order():
    names = [*tiny.CLASSES]
    for order in (names, names[::-1], [f"{name}.png" for name in names]):
        found = occlusion.chosen(dict(enumerate(order)), OPTIONS["face"], "m")
        is_face = {name.removesuffix(".png"): bool(flag) for name, flag in zip(order, found, strict=True)}
        assert not any(is_face[name] for name in ("background", "hair", "hat", "ear_r", "neck", "neck_l", "cloth"))
        assert sum(is_face.values()) == 12
    assert not occlusion.chosen(dict(enumerate(names)), ["skin"], "m")[names.index("eye_g")]


def test_a_class_that_the_model_does_not_know_is_named(folder):
    with pytest.raises(ToolFault, match="'beard', which face-parsing does not know; it knows background, skin, nose"):
        load(folder, face=["skin", "beard"])


def test_the_model_sees_what_its_own_processor_makes_of_the_picture(parser):
    crop = data.astronaut()[:500, :500]
    processor = SegformerImageProcessorPil(size={"height": 512, "width": 512}, do_reduce_labels=False)
    seen = []

    def net(inputs):
        seen.append(inputs)
        return bright(inputs)

    scores(replace(parser, net=net), clip("a", [crop]))
    assert torch.allclose(seen[0], processor(crop, return_tensors="pt")["pixel_values"], atol=1e-5)


def test_the_preprocessor_file_decides_on_size_mean_and_deviation(folder, tmp_path):
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    said = {"size": {"height": 256, "width": 256}, "image_mean": [0.5] * 3, "image_std": [0.25] * 3, "resample": 3}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(said))
    found = load(tmp_path)
    assert (found.side, found.mean, found.std, found.resample) == (256, (0.5,) * 3, (0.25,) * 3, 3)
    assert 0 <= scores(found, clip("a", [picture(0)]))["a"]["occlusion"] <= 1


def noise(count: int, seed: int) -> list[np.ndarray]:
    return list(np.random.default_rng(seed).integers(0, 256, (count, 128, 128, 3), np.uint8))


def test_shard_mates_and_batches_change_nothing_beyond_rounding(parser):
    small = replace(parser, side=128)
    clips = [clip(name, noise(count, count), FACE / 4) for name, count in zip("abc", (6, 1, 11), strict=True)]
    alone = {of.clip: scores(small, of, batch_size=1)[of.clip] for of in clips}
    together = scores(small, *clips, batch_size=8)
    assert list(together) == list("abc")
    for name, found in together.items():
        assert found == pytest.approx(alone[name], abs=1e-4)  # a pixel whose two best classes are equal may flip
        assert 0.02 < found["occlusion"] < 0.98


def test_the_same_clip_gives_the_same_values(folder, parser):
    one = clip("a", noise(9, 0), FACE / 4)
    first = scores(replace(parser, side=128), one)
    assert scores(replace(parser, side=128), one) == first
    assert scores(replace(load(folder), side=128), one) == first


def test_pictures_and_faces_come_from_the_shard(parser, tmp_path):
    crops = [np.full((SIZE, SIZE, 3), SKIN, np.uint8) for _ in range(6)]
    for shown in crops:
        shown[:, :64] = HAND
    shard = write_crops(tmp_path / "crops.tar", {"a": (crop_record("a", 6), {"mp4": mp4(crops)})})
    # Source x 178 is the crop's middle; the mesh of a planted face spans 50 pixels about the middle of its box.
    rows = [face(k, box=(128, 128, 228, 228)) for k in range(6)]
    tracks = write_tracks(tmp_path / "tracks.parquet", {"a": rows})
    found = scores(replace(parser, net=bright), *clipdata.read(shard, tracks))["a"]
    assert found["occlusion"] == pytest.approx(0.5, abs=0.06)


def test_missing_and_foreign_files_are_named(folder, tmp_path):
    with pytest.raises(ToolFault, match="model face-parsing: .*config.json is not there"):
        load(tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ToolFault, match="model face-parsing: .*model.safetensors is not there"):
        load(tmp_path)
    (tmp_path / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    (tmp_path / "config.json").write_text(json.dumps(config | {"depths": [1, 1, 2, 1]}))
    with pytest.raises(ToolFault, match="lacks the weights .* and .* more"):
        load(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config | {"model_type": "bert"}))
    with pytest.raises(ToolFault, match="model_type 'bert'.*known: segformer"):
        load(tmp_path)
