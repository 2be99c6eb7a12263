"""The feature flame_params: squares, rows and checkpoint; the network's own numbers are in test_net_emoca.py."""

from __future__ import annotations

import math
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from planted import SIZE, crop_record, face, mp4, write_crops, write_tracks
from skimage import data

from talkset import clipdata
from talkset.demo.tiny import emoca_v2 as tiny
from talkset.faults import ClipFault, ToolFault
from talkset.features import flame_params
from talkset.models import Model
from talkset.nets import emoca

OPTIONS = {name: option["default"] for name, option in flame_params.SPEC.options["properties"].items()}
WIDTHS = {"flame": 159, "crop": 3}


def model(folder) -> dict[str, Model]:
    name = OPTIONS["model"]
    return {"model": Model(name, f"random-tiny/{name}", "seed 0", "random-tiny", folder)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("model")
    tiny.make(made)
    return made


@pytest.fixture(scope="module")
def net(folder):
    return flame_params.load(OPTIONS, model(folder))


def landmarks(*boxes: tuple[float, float, float, float] | None) -> np.ndarray:
    """`[T,478,3]`: the 68 points that count span the box x0 y0 x1 y1 of each frame, the others lie far off."""
    found = np.full((len(boxes), 478, 3), 1000, np.float32)
    for row, box in zip(found, boxes, strict=True):
        row[flame_params.LANDMARKS, :2] = np.nan if box is None else box[:2]
        row[flame_params.LANDMARKS[8], :2] = np.nan if box is None else box[2:]
    return found


def clip(name: str, pictures: list[np.ndarray], boxes: list | None = None) -> SimpleNamespace:
    track = SimpleNamespace(landmarks=landmarks(*(boxes or [(60 + k, 50, 160 + k, 180) for k in range(len(pictures))])))
    return SimpleNamespace(
        clip=name, frames=len(pictures), pictures=lambda format: {"rgb24": pictures}[format], track=lambda: track
    )


def portraits(count: int, seed: int = 0) -> list[np.ndarray]:
    """Pictures `[256,256,3]` uint8, no two alike."""
    random = np.random.default_rng(seed)
    small = cv2.resize(data.astronaut(), (256, 256), interpolation=cv2.INTER_AREA)
    return [np.roll(small, random.integers(-40, 40, 2), axis=(0, 1)) for _ in range(count)]


def rows(net, *clips, **changed) -> dict[str, dict[str, np.ndarray]]:
    return {of.clip: found for of, found in flame_params.extract(net, iter(clips), OPTIONS | changed)}


def test_a_square_has_the_reference_s_centre_and_side():
    found = flame_params.squares(landmarks((100, 200, 221, 330)))
    assert found.dtype == np.float32
    assert found.tolist() == [[160.5, 265, int((121 + 130) / 2 * 1.1 * 1.25)]]


def test_only_the_68_points_count_and_each_once():
    assert len(flame_params.LANDMARKS) == 68 == len(set(flame_params.LANDMARKS))
    for point in (10, 67, 297):  # the top of the forehead, which EMOCA's landmarks do not reach
        assert point not in flame_params.LANDMARKS


def test_where_the_track_has_no_face_the_square_moves_on_evenly():
    known, later = (100, 100, 200, 200), (140, 100, 280, 240)
    found = flame_params.squares(landmarks(None, known, None, None, None, later, None))
    assert found[:2].tolist() == [[150, 150, 137], [150, 150, 137]]
    assert found[3].tolist() == [180, 160, math.floor(120 * 1.375)]
    assert found[5:].tolist() == [[210, 170, 192], [210, 170, 192]]


def test_a_clip_without_any_face_is_the_clips_fault():
    with pytest.raises(ClipFault, match="^no face was followed$"):
        flame_params.squares(landmarks(None, None))


def test_smoothing_takes_the_running_median():
    boxes = [(100, 100, 200, 200)] * 7
    boxes[3] = (130, 100, 330, 200)
    assert flame_params.squares(landmarks(*boxes))[3].tolist() == [230, 150, 206]
    assert flame_params.squares(landmarks(*boxes), 3).tolist() == [[150, 150, 137]] * 7
    drifting = landmarks(*((100 + k, 100, 200 + k, 200) for k in range(5)))
    assert flame_params.squares(drifting, 3)[:, 0].tolist() == [150, 151, 152, 153, 154]


def test_arrays_are_as_declared(net):
    found = rows(net, clip("a", portraits(3)))["a"]
    for array in flame_params.SPEC.arrays:
        width = WIDTHS[array.name]
        assert (found[array.name].shape, found[array.name].dtype.name) == ((3, width), array.dtype)
        assert array.shape == f"[T,{width}]"


def test_the_model_sees_the_square_that_is_stored(net):
    frames = portraits(2)
    found = rows(net, clip("a", frames))["a"]
    with torch.inference_mode():
        seen = emoca.cut(torch.from_numpy(np.stack(frames)), torch.from_numpy(found["crop"]))
        expected = net(seen).numpy()
    assert np.abs(found["flame"] - expected).max() <= 1e-5 * np.abs(expected).max()


def test_a_picture_changes_its_own_row_and_no_other(net):
    frames = portraits(5)
    before = rows(net, clip("a", frames))["a"]
    frames[3] = 255 - frames[3]
    after = rows(net, clip("a", frames))["a"]
    changed = np.abs(after["flame"] - before["flame"]).max(axis=1)
    assert changed[3] > 1e-3 and changed[[0, 1, 2, 4]].max() == 0
    assert np.array_equal(before["crop"], after["crop"])


def test_a_frame_without_a_face_has_a_row_too(net):
    box = (60, 50, 160, 180)
    found = rows(net, clip("a", portraits(3), [box, None, box]))["a"]
    whole = rows(net, clip("a", portraits(3), [box, box, box]))["a"]
    assert all(np.array_equal(found[name], whole[name]) for name in WIDTHS)


def test_batches_and_shard_mates_change_nothing_beyond_rounding(net):
    clips = [clip("a", portraits(3)), clip("b", portraits(5, 10)), clip("c", portraits(1, 20))]
    alone = {of.clip: rows(net, of, batch_size=1)[of.clip] for of in clips}
    for size in (4, 64):
        together = rows(net, *clips, batch_size=size)
        assert list(together) == ["a", "b", "c"]
        for name, arrays in together.items():
            assert np.array_equal(arrays["crop"], alone[name]["crop"])
            # A level of a picture may round the other way, hence not 1e-5.
            assert np.abs(arrays["flame"] - alone[name]["flame"]).max() <= 1e-4 * np.abs(alone[name]["flame"]).max()


def test_the_same_clip_gives_the_same_bytes(net):
    first, second = (rows(net, clip("a", portraits(4)), batch_size=3)["a"] for _ in range(2))
    assert all(first[name].tobytes() == second[name].tobytes() for name in WIDTHS)


def test_colours_are_red_green_blue(net):
    frames = portraits(2)
    found = rows(net, clip("a", frames))["a"]
    swapped = rows(net, clip("a", [frame[..., ::-1] for frame in frames]))["a"]
    assert np.abs(found["flame"] - swapped["flame"]).max() > 1e-3


def test_a_fault_of_one_clip_leaves_the_others(net):
    found = rows(net, clip("a", portraits(2)), clip("b", portraits(2), [None, None]), clip("c", portraits(1)))
    assert isinstance(found["b"], ClipFault) and found["b"].reason == "no face was followed"
    assert len(found["a"]["flame"]) == 2 and len(found["c"]["flame"]) == 1


def test_the_demo_s_checkpoint_runs_on_a_crop_shard_and_gives_plausible_numbers(net, tmp_path):
    shades = [np.full((SIZE, SIZE, 3), shade, np.uint8) for shade in (40, 90, 140, 190, 240, 15)]
    crops = write_crops(tmp_path / "s.tar", {"a": (crop_record("a", len(shades)), {"mp4": mp4(shades)})})
    tracks = write_tracks(tmp_path / "s.parquet", {"a": [face(pts, box=(100, 100, 200, 200)) for pts in range(6)]})
    ((of, found),) = flame_params.extract(net, clipdata.read(crops, tracks), OPTIONS)
    assert of.clip == "a" and len(found["flame"]) == of.frames == len(shades)
    assert len(np.unique(found["flame"], axis=0)) == len(shades)
    pose, camera = found["flame"][:, 150:156], found["flame"][:, 156:]
    assert np.abs(pose).max() < 1 and np.all(np.abs(camera[:, 0] - 8) < 1)


def test_the_demo_s_checkpoint_is_the_same_each_time(folder, tmp_path):
    tiny.make(tmp_path)
    for name in ("cfg.yaml", tiny.CHECKPOINT):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()
    assert (tmp_path / tiny.CHECKPOINT).stat().st_size < 1 << 20


def test_a_folder_without_its_files_is_the_tool_s_fault(tmp_path):
    with pytest.raises(ToolFault, match=r"detail has to hold one \.ckpt file; found: none"):
        flame_params.load(OPTIONS, model(tmp_path))
    tiny.make(tmp_path)
    (tmp_path / "cfg.yaml").unlink()
    with pytest.raises(ToolFault, match=r"cfg\.yaml is not there"):
        flame_params.load(OPTIONS, model(tmp_path))
    (tmp_path / "detail" / "last.ckpt").write_bytes(b"")
    with pytest.raises(ToolFault, match=r"found: .*dataloader_idx_0=3\.25521111\.ckpt, detail/last\.ckpt"):
        flame_params.load(OPTIONS, model(tmp_path))


def test_the_metadata_name_the_columns(net):
    assert flame_params.describe(net, OPTIONS) == {
        "columns": {"shape": [0, 100], "exp": [100, 150], "pose": [150, 156], "cam": [156, 159]},
        "pose_by_expression_encoder": [0, 0],
    }
