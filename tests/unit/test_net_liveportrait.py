"""LivePortrait's motion extractor against its reference, with the same seeded random weights."""

from __future__ import annotations

import json
import math
from pathlib import Path

import cv2
import golden_weights
import numpy as np
import pytest
import safetensors.torch
import torch
from workspace import REPOSITORY

from talkset.faults import ToolFault
from talkset.nets import liveportrait

GOLDEN = json.loads((REPOSITORY / "tests/golden/liveportrait.json").read_text())
PUBLISHED = json.loads((REPOSITORY / "tests/golden/liveportrait_keys.json").read_text())
SMALL = GOLDEN["small_shapes"]
STEM = "detector.downsample_layers.0.0.weight"


def picture(seed: int) -> np.ndarray:
    """Coloured blocks with noise, `[512,512,3]` uint8."""
    random = np.random.default_rng(seed)
    blocks = random.integers(0, 256, (16, 16, 3)).repeat(32, axis=0).repeat(32, axis=1)
    return ((3 * blocks + random.integers(0, 256, (512, 512, 3))) // 4).astype(np.uint8)


def seen(*seeds: int) -> torch.Tensor:
    """Pictures as the network sees them."""
    pictures = np.stack([cv2.resize(picture(seed), (256, 256)) for seed in seeds])
    return torch.from_numpy(pictures).permute(0, 3, 1, 2) / 255


def saved(path: Path, shapes: dict[str, list[int]], **changed) -> Path:
    """A checkpoint file with seeded weights; `changed` tensors by name replace them, None removes one."""
    state = golden_weights.state(shapes) | changed
    torch.save({key: tensor for key, tensor in state.items() if tensor is not None}, path)
    return path


def agree(found: dict[str, torch.Tensor], frames: list[dict]) -> None:
    for name in liveportrait.HEADS:
        expected = np.array([frame[name] for frame in frames])
        # An angle is the mean of bins up to 97.5 degrees, so it is rounded at that scale.
        scale = 97.5 if name in liveportrait.ANGLES else np.abs(expected).max()
        assert found[name].shape == expected.shape and found[name].dtype == torch.float32
        assert np.abs(found[name].numpy() - expected).max() <= 1e-5 * scale, name


def test_the_published_checkpoint_has_the_size_that_its_authors_state():
    assert len(PUBLISHED) == 212
    assert sum(math.prod(shape) for shape in PUBLISHED.values()) == 28_118_728  # "28.12 M"


def test_published_weights_load_strictly_and_give_the_reference_s_numbers(tmp_path):
    net = liveportrait.load(saved(tmp_path / "motion_extractor.pth", PUBLISHED))
    assert sorted(map(liveportrait.published, net.state_dict())) == sorted(PUBLISHED)
    assert not net.training
    with torch.inference_mode():
        agree(net(seen(1, 2)), GOLDEN["published"])


def test_other_widths_and_depths_give_the_reference_s_numbers(tmp_path):
    net = liveportrait.load(saved(tmp_path / "small.pth", SMALL))
    with torch.inference_mode():
        agree(net(seen(1, 2)), GOLDEN["small"])


def test_safetensors_load_too_and_half_precision_becomes_float32(tmp_path):
    state = {key: tensor.half() for key, tensor in golden_weights.state(SMALL).items()}
    safetensors.torch.save_file(state, tmp_path / "small.safetensors")
    net = liveportrait.load(tmp_path / "small.safetensors")
    for key, tensor in net.state_dict().items():
        assert torch.equal(tensor, state[liveportrait.published(key)].float())


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"detector.fc_exp.bias": None}, "lacks detector.fc_exp.bias$"),
        ({"detector.stages.2.1.grn.gamma": None}, r"lacks detector.stages.2.1.grn.gamma$"),
        (dict.fromkeys([key for key in SMALL if ".stages.3." in key]), r"lacks detector.stages.3.0.dwconv.weight;.*"),
        ({STEM: None}, f"lacks {STEM}$"),
        ({"detector.head.weight": torch.zeros(2)}, "has detector.head.weight besides$"),
        ({"detector.fc_yaw.bias": torch.zeros(62)}, r"has detector.fc_yaw.bias of shape \[62\], not \[66\]$"),
    ],
)
def test_other_tensors_are_refused_by_name(tmp_path, changed, said):
    with pytest.raises(ToolFault, match=said):
        liveportrait.load(saved(tmp_path / "wrong.pth", SMALL, **changed))


def test_many_differences_are_counted(tmp_path):
    others = {f"detector.other.{n}": torch.zeros(1) for n in range(8)}
    with pytest.raises(ToolFault, match="other.4 besides; and 3 more$"):
        liveportrait.load(saved(tmp_path / "wrong.pth", SMALL, **others))


def test_a_wrapped_checkpoint_is_refused(tmp_path):
    torch.save({"model": golden_weights.state(SMALL)}, tmp_path / "wrapped.pth")
    with pytest.raises(ToolFault, match="wrapped.pth does not hold tensors by name"):
        liveportrait.load(tmp_path / "wrapped.pth")


@pytest.mark.parametrize("name", ["cut.pth", "text.pth", "text.safetensors", "empty.pth"])
def test_a_damaged_file_is_refused(tmp_path, name):
    whole = saved(tmp_path / "small.pth", SMALL).read_bytes()
    content = {"cut": whole[: len(whole) // 2], "text": b"<html>not found</html>", "empty": b""}[name.split(".")[0]]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ToolFault, match=f"{name} does not load"):
        liveportrait.load(tmp_path / name)


class Code:
    def __reduce__(self):
        return print, ("run",)


def test_a_checkpoint_s_code_is_not_run(tmp_path, capsys):
    torch.save({STEM: Code()}, tmp_path / "code.pth")
    with pytest.raises(ToolFault, match="code.pth does not load"):
        liveportrait.load(tmp_path / "code.pth")
    assert not capsys.readouterr().out


@pytest.mark.parametrize("index", [0, 1, 32, 33, 65])
def test_a_certain_bin_is_its_own_angle(index):
    logits = torch.zeros(1, 66)
    logits[0, index] = 1000
    assert liveportrait.degrees(logits).tolist() == [[3 * index - 97.5]]


def test_angles_are_expectations_over_the_bins():
    even, between = torch.zeros(66), torch.full((66,), -1000.0)
    between[[10, 13]] = 5  # -67.5 and -58.5 degrees
    assert liveportrait.degrees(torch.stack([even, between]))[:, 0].tolist() == pytest.approx([0, -63], abs=1e-5)
