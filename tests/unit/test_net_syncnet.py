"""SyncNet against its reference, with the same seeded random weights; golden/syncnet.md says what the numbers are."""

from __future__ import annotations

import json
import math
from pathlib import Path

import golden_weights
import numpy as np
import pytest
import torch
from workspace import REPOSITORY

from talkset.demo.tiny import syncnet_v2
from talkset.faults import ToolFault
from talkset.nets import syncnet

GOLDEN = np.load(REPOSITORY / "tests/golden/syncnet.npz")
PUBLISHED = json.loads((REPOSITORY / "tests/golden/syncnet_keys.json").read_text())
STEM = "netcnnlip.0.weight"


def weights() -> dict[str, torch.Tensor]:
    """Seeded weights by published name; the first layers are scaled to what they see, so lips do not drown sound."""
    state = golden_weights.state(PUBLISHED)
    state["netcnnlip.0.weight"] /= 128
    state["netcnnaud.0.weight"] /= 16
    return state


def pictures(count: int, height: int = 224, width: int = 224, seed: int = 0) -> np.ndarray:
    """Coloured blocks that move, with noise: `[count,height,width,3]` uint8."""
    random = np.random.default_rng(seed)
    blocks = random.integers(0, 256, (height // 16 + 2, width // 16 + 2, 3)).repeat(16, axis=0).repeat(16, axis=1)
    moved = np.stack([blocks[n % 16 : n % 16 + height, 2 * n % 16 : 2 * n % 16 + width] for n in range(count)])
    return ((3 * moved + random.integers(0, 256, moved.shape)) // 4).astype(np.uint8)


def samples(frames: int, seed: int = 0) -> np.ndarray:
    """Noise that swells and fades, with a stretch of digital silence: `[640 frames]` int16."""
    count = 640 * frames
    swell = 9000 * np.sin(np.arange(count) * 2 * np.pi / 5000) ** 2
    found = np.random.default_rng(seed).standard_normal(count) * swell
    found[1500:2600] = 0
    return found.clip(-32768, 32767).astype(np.int16)


def boxes(count: int, seed: int = 0) -> np.ndarray:
    """A face that trembles and once jumps, near the left edge of a picture: `[count,4]` x0 y0 x1 y1 float64."""
    random = np.random.default_rng(seed)
    middle = np.array([70, 90]) + np.cumsum(random.normal(0, 2, (count, 2)), axis=0)
    middle[count // 2] += 40
    half = np.array([50, 62]) + random.normal(0, 1.5, (count, 2))
    return np.concatenate([middle - half, middle + half], axis=1)


def embeddings(count: int, ahead: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Vectors `[count,16]` of lips and of a sound whose events come `ahead` frames before those of the lips."""
    random = np.random.default_rng(seed)
    events = random.standard_normal((count + 40, 16)).astype(np.float32)
    noise = 0.3 * random.standard_normal((count, 16)).astype(np.float32)
    return events[20 : 20 + count], events[20 + ahead : 20 + ahead + count] + noise


def saved(path: Path, state: dict[str, torch.Tensor]) -> Path:
    torch.save(state, path)
    return path


@pytest.fixture(scope="module")
def net(tmp_path_factory):
    return syncnet.load(saved(tmp_path_factory.mktemp("syncnet") / "syncnet_v2.model", weights()))


def agrees(found: np.ndarray, expected: np.ndarray) -> bool:
    return found.shape == expected.shape and np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()


def test_the_published_checkpoint_has_102_tensors_and_loads_strictly(net):
    assert len(PUBLISHED) == 102
    assert sum(map(math.prod, PUBLISHED.values())) == 13_640_270
    assert {key: list(tensor.shape) for key, tensor in net.state_dict().items()} == PUBLISHED
    assert not net.training and not any(parameter.requires_grad for parameter in net.parameters())


def test_a_checkpoint_from_before_batch_norm_counted_loads_too(tmp_path):
    syncnet_v2.make(tmp_path)
    state = torch.load(tmp_path / "syncnet_v2.model")
    state = {key: tensor for key, tensor in state.items() if not key.endswith("num_batches_tracked")}
    assert len(state) == 88
    loaded = syncnet.load(saved(tmp_path / "old.model", state))
    assert all(torch.equal(loaded.state_dict()[key], tensor) for key, tensor in state.items())


def test_vectors_are_the_reference_s(net):
    seen = np.lib.stride_tricks.sliding_window_view(pictures(6, seed=1), 5, axis=0).transpose(0, 4, 1, 2, 3)
    heard = syncnet.sound_windows(syncnet.mfcc(samples(8, seed=1)))
    with torch.inference_mode():
        assert agrees(net.lips(torch.from_numpy(seen.copy())).numpy(), GOLDEN["lips"])
        assert agrees(net.sound(torch.from_numpy(heard)).numpy(), GOLDEN["sound"])


def test_mfcc_are_the_reference_s():
    found = syncnet.mfcc(samples(8, seed=1))
    assert found.dtype == np.float32
    assert found == pytest.approx(GOLDEN["mfcc"], rel=1e-5, abs=1e-6)  # 0 where there is digital silence


@pytest.mark.parametrize("frames", [6, 7, 50])
def test_a_window_of_sound_has_the_columns_of_its_pictures(frames):
    cepstra = syncnet.mfcc(samples(frames))
    assert cepstra.shape == (4 * frames - 1, 13)
    found = syncnet.sound_windows(cepstra)
    assert found.shape == (frames - 5, 20, 13)
    for window in range(frames - 5):
        assert np.array_equal(found[window], cepstra[4 * window : 4 * window + 20])


def test_silence_has_finite_cepstra():
    assert np.isfinite(syncnet.mfcc(np.zeros(6400))).all()


def cut(count: int, seed: int) -> np.ndarray:
    """Faces `[count,224,224,3]` out of pictures of 240 x 200."""
    found = boxes(count, seed)
    middle, sides = (found[:, :2] + found[:, 2:]) / 2, found[:, 2:] - found[:, :2]
    places = map(syncnet.smoothed, (*middle.T, sides.max(axis=1) / 2))
    return np.stack([syncnet.face(*one) for one in zip(pictures(count, 240, 200, seed), *places, strict=True)])


def test_faces_are_cut_as_the_reference_does():
    """A trembling box, near the picture's edges, whose longer side changes."""
    assert np.array_equal(cut(26, seed=2)[:, 8::16, 8::16], GOLDEN["faces"])
    grey = (GOLDEN["faces"] == syncnet.PADDING).all(axis=3).mean(axis=(1, 2))
    assert 0 < grey[0] < 0.5


def test_a_face_is_where_the_square_says():
    picture = np.zeros((300, 300, 3), np.uint8)
    picture[140:240, 110:190] = 255  # box of half 40 about 150, 100: rows 60 to 172, columns 94 to 206
    found = syncnet.face(picture, 150.0, 100.0, 40.0)
    lit = found[..., 0] > 127
    assert np.flatnonzero(lit.any(axis=1))[[0, -1]] == pytest.approx([160, 223], abs=1)  # 2 pixels for one
    assert np.flatnonzero(lit.any(axis=0))[[0, -1]] == pytest.approx([32, 191], abs=1)


@pytest.mark.parametrize("case", range(len(GOLDEN["agreement"])))
def test_agreement_is_the_reference_s_and_finds_what_was_planted(case):
    """Above 0: the sound comes before the lips."""
    count, ahead, *expected = GOLDEN["agreement"][case]
    found = syncnet.agreement(*map(torch.from_numpy, embeddings(int(count), int(ahead), seed=int(count + ahead))))
    assert found.offset == ahead == expected[0]
    assert found[1:] == pytest.approx(expected[1:], rel=1e-5)


def test_confidence_is_the_median_minus_the_least():
    """Lips that are 1 away from any sound and 3 away from none; shift s compares |s| of 100 with none."""
    found = syncnet.agreement(torch.full((100, 1), 3.0), torch.full((100, 1), 4.0))
    means = [1 + 2 * abs(shift) / 100 for shift in range(-15, 16)]
    assert found == (0, pytest.approx(np.median(means) - 1, rel=1e-4), pytest.approx(1, rel=1e-5))


def test_from_pictures_and_samples_to_the_reference_s_offset(net):
    windows = np.lib.stride_tricks.sliding_window_view(cut(26, seed=2), syncnet.WINDOW, axis=0)[:21]
    heard = syncnet.sound_windows(syncnet.mfcc(samples(26, seed=2)))
    with torch.inference_mode():
        lips = net.lips(torch.from_numpy(windows.transpose(0, 4, 1, 2, 3).copy()))
        found = syncnet.agreement(lips, net.sound(torch.from_numpy(heard)))
    offset, confidence, distance = GOLDEN["evaluate"]
    assert found.offset == offset
    assert found[1:] == pytest.approx((confidence, distance), abs=1e-5 * distance)


def test_a_narrow_network_goes_through_the_same_loader(tmp_path):
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        syncnet_v2.make(folder)
    tiny, again = (syncnet.load(tmp_path / folder / "syncnet_v2.model") for folder in "ab")
    assert set(tiny.state_dict()) == set(PUBLISHED)
    assert all(map(torch.equal, tiny.state_dict().values(), again.state_dict().values()))
    assert tiny.sound(torch.zeros(2, 20, 13)).shape == tiny.lips(torch.zeros(2, 5, 224, 224, 3)).shape == (2, 32)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({STEM: None}, "not the weights of SyncNet: layers by part"),
        ({"netfcaud.1.running_mean": None}, "netfcaud.1.running_mean"),
        ({"other.weight": torch.zeros(2)}, "other.weight"),
        ({"netfclip.3.bias": torch.zeros(3)}, "netfclip.3.bias"),
        ({"netcnnlip.4.weight": torch.zeros(8, 6, 1, 3, 3)}, "netcnnlip.4.weight"),
    ],
)
def test_other_tensors_are_refused_by_name(tmp_path, changed, said):
    syncnet_v2.make(tmp_path)
    state = torch.load(tmp_path / "syncnet_v2.model") | changed
    state = {key: tensor for key, tensor in state.items() if tensor is not None}
    with pytest.raises(ToolFault, match=said):
        syncnet.load(saved(tmp_path / "wrong.model", state))


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>"])
def test_a_damaged_file_is_refused(tmp_path, content):
    (tmp_path / "syncnet_v2.model").write_bytes(content)
    with pytest.raises(ToolFault, match="syncnet_v2.model does not load .*fetch it again"):
        syncnet.load(tmp_path / "syncnet_v2.model")


def test_a_model_that_is_no_state_dict_is_refused(tmp_path):
    with pytest.raises(ToolFault, match="not the weights of SyncNet"):
        syncnet.load(saved(tmp_path / "list.model", [torch.zeros(2)]))
