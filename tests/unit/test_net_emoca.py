"""EMOCA's coarse encoders against their reference, with the same seeded weights; and what a checkpoint may hold."""

from __future__ import annotations

import json
import os
import pickle
import sys
from pathlib import Path
from types import ModuleType

import golden_weights
import numpy as np
import pytest
import torch
import yaml
from skimage import data
from skimage.transform import SimilarityTransform, warp
from workspace import REPOSITORY

from talkset.faults import ToolFault
from talkset.nets import emoca

GOLDEN = json.loads((REPOSITORY / "tests/golden/emoca.json").read_text())
PUBLISHED = json.loads((REPOSITORY / "tests/golden/emoca_keys.json").read_text())
LAST = "deca.E_expression.layers.2"


def pictures() -> torch.Tensor:
    """Two pictures of noise, `[2,3,224,224]`, 0 to 1."""
    noise = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), np.uint8)
    return torch.from_numpy(noise).permute(0, 3, 1, 2) / np.float32(255)


def small(outputs: int = 50) -> dict[str, torch.Tensor]:
    """A state dict with the published names and few channels."""
    encoders = [emoca.Encoder(4, [8, 12, 16, 20], [1, 2, 1, 1], 6, size) for size in (236, outputs)]
    state = emoca.Emoca(*encoders, slice(0, 0)).state_dict()
    return golden_weights.state({emoca.published(key): list(tensor.shape) for key, tensor in state.items()})


def saved(path: Path, state: dict, **besides) -> Path:
    """A checkpoint as Lightning writes it."""
    torch.save({"epoch": 10, "state_dict": state} | besides, path)
    return path


def configured(path: Path, **flags) -> Path:
    path.write_text(yaml.safe_dump({"coarse": {}, "detail": {"model": {"n_exp": 50} | flags}}))
    return path


def test_published_weights_load_strictly_and_give_the_reference_s_numbers(tmp_path):
    assert len(PUBLISHED) == 2 * 318 + 8
    state = golden_weights.state(PUBLISHED)
    others = {"deca.E_detail.encoder.conv1.weight": torch.ones(3), "deca.flame.v_template": torch.ones(3)}
    net = emoca.load(saved(tmp_path / "published.ckpt", state | others), None)
    assert sorted(map(emoca.published, net.state_dict())) == sorted(PUBLISHED)
    assert not net.training
    code, expression = (torch.tensor(GOLDEN[name]) for name in ("code", "expression"))
    expected = torch.cat([code[:, :100], expression, code[:, 200:209]], dim=1)
    with torch.inference_mode():
        found = net(pictures())
    assert found.shape == (2, 159) and found.dtype == torch.float32
    assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()
    for part, scale in ((slice(150, 156), code[:, 200:206]), (slice(156, 159), code[:, 206:209])):
        assert (found - expected)[:, part].abs().max() <= 1e-5 * scale.abs().max()


@pytest.mark.parametrize("flags", list(emoca.POSES))
def test_both_encoders_numbers_are_put_together_as_in_the_reference(flags):
    pose = emoca.POSES[flags]
    expression = 1000 + torch.arange(50 + pose.stop - pose.start)[None]
    found = emoca.compose(torch.arange(236)[None], expression, pose)
    assert found[0].tolist() == GOLDEN["composed"][f"global {flags[0]}, jaw {flags[1]}"]


@pytest.mark.parametrize(
    ("outputs", "flags", "pose"),
    [
        (50, {"exp_deca_global_pose": False, "exp_deca_jaw_pose": False}, slice(0, 0)),
        (50, {}, slice(0, 0)),
        (53, {"exp_deca_global_pose": False, "exp_deca_jaw_pose": True}, slice(3, 6)),
        (53, {"exp_deca_global_pose": True, "exp_deca_jaw_pose": False}, slice(0, 3)),
        (56, {"exp_deca_global_pose": True, "exp_deca_jaw_pose": True}, slice(0, 6)),
    ],
)
def test_the_configuration_says_which_pose_the_second_encoder_gives(tmp_path, outputs, flags, pose):
    checkpoint = saved(tmp_path / "a.ckpt", small(outputs))
    assert emoca.load(checkpoint, configured(tmp_path / "cfg.yaml", **flags)).pose == pose
    if outputs == 53:
        with pytest.raises(ToolFault, match=r"gives 53 numbers, so 3 of the pose; which 3, only cfg\.yaml says"):
            emoca.load(checkpoint, None)
    else:
        assert emoca.load(checkpoint, None).pose == pose


def test_a_configuration_of_another_checkpoint_is_refused(tmp_path):
    configuration = configured(tmp_path / "cfg.yaml", exp_deca_jaw_pose=True, exp_deca_global_pose=False)
    with pytest.raises(ToolFault, match=r"gives 50 numbers; by .*cfg\.yaml it gives 53"):
        emoca.load(saved(tmp_path / "a.ckpt", small(50)), configuration)
    with pytest.raises(ToolFault, match="gives 51 numbers; by its design it gives 50 or 53 or 56"):
        emoca.load(saved(tmp_path / "b.ckpt", small(51)), None)


@pytest.mark.parametrize("text", ["", "[1]", "model: {}", "detail: {model: 3}", "a: b: c", "detail: {model: null}"])
def test_a_damaged_configuration_is_refused(tmp_path, text):
    (tmp_path / "cfg.yaml").write_text(text)
    with pytest.raises(ToolFault, match=r"cfg\.yaml is no configuration of EMOCA"):
        emoca.load(saved(tmp_path / "a.ckpt", small()), tmp_path / "cfg.yaml")


def test_a_flag_that_is_no_flag_is_refused(tmp_path):
    with pytest.raises(ToolFault, match=r"are \(False, 'yes'\), not true or false"):
        emoca.load(saved(tmp_path / "a.ckpt", small()), configured(tmp_path / "cfg.yaml", exp_deca_jaw_pose="yes"))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"deca.E_flame.encoder.bn1.running_mean": None}, "lacks deca.E_flame.encoder.bn1.running_mean"),
        ({"deca.E_expression.layers.0.bias": torch.ones(5)}, r"bias of shape \[5\], not \[6\]"),
        ({"deca.E_expression.encoder.fc.weight": torch.ones(5)}, "has deca.E_expression.encoder.fc.weight besides"),
        ({"deca.E_flame.layers.2.weight": torch.ones(159, 6)}, "E_flame gives 159 numbers"),
        ({"deca.E_flame.encoder.conv1.weight": None}, "no weights of EMOCA's coarse encoders: it lacks deca.E_flame"),
    ],
)
def test_weights_of_something_else_are_refused(tmp_path, changed, said):
    state = {key: tensor for key, tensor in (small() | changed).items() if tensor is not None}
    with pytest.raises(ToolFault, match=said):
        emoca.load(saved(tmp_path / "a.ckpt", state), None)


@pytest.fixture
def foreign():
    """Classes as a checkpoint of Lightning may hold, of packages that are not there when it is read."""
    module = ModuleType("omegaconf_of_the_training")
    body = "class DictConfig:\n    def __setstate__(self, state): raise SystemExit\nclass AttributeDict(dict): pass\n"
    exec(body, module.__dict__)
    sys.modules[module.__name__] = module
    yield module
    sys.modules.pop(module.__name__, None)


def test_objects_of_the_training_are_passed_over(tmp_path, foreign):
    settings = foreign.DictConfig()
    settings.model = {"n_exp": 50, "path": Path("a")}
    besides = {
        "hyper_parameters": foreign.AttributeDict(model=settings),
        "callbacks": {foreign.DictConfig: {"best": np.float64(3.2), "score": torch.ones(1)}},
        "loops": {"names": {"a", "b"}, "places": [Path("a")]},
    }
    checkpoint = saved(tmp_path / "a.ckpt", small(), **besides)
    del sys.modules[foreign.__name__]
    net = emoca.load(checkpoint, None)
    assert torch.equal(net.state_dict()["E_expression.layers.2.bias"], small()[f"{LAST}.bias"])


class Harmful:
    """Runs a command when it is read by a reader that runs what a file says."""

    def __init__(self, function, *args):
        self.does = function, args

    def __reduce__(self):
        return self.does


@pytest.mark.parametrize(
    "does", [(os.system, "touch {0}"), (eval, "open('{0}', 'w')"), (Path.touch, Path("{0}")), (pickle.loads, b"{0}")]
)
def test_nothing_in_a_checkpoint_is_run(tmp_path, does):
    mark = tmp_path / "it ran"
    function, argument = does
    argument = type(argument)(str(argument).format(mark)) if not isinstance(argument, bytes) else pickle.dumps(mark)
    checkpoint = saved(tmp_path / "a.ckpt", small(), hyper_parameters=Harmful(function, argument))
    try:
        emoca.load(checkpoint, None)
    except ToolFault as fault:
        assert "does not load" in str(fault)  # noqa: PT017 - either end is right, as long as nothing ran
    assert not mark.exists()


def test_a_tensor_made_by_code_is_refused(tmp_path):
    state = small() | {f"{LAST}.bias": Harmful(os.getcwd)}
    with pytest.raises(ToolFault, match="does not load|no Lightning checkpoint"):
        emoca.load(saved(tmp_path / "a.ckpt", state), None)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "does not load"),
        (b"no checkpoint", "does not load"),
        ({"state_dict": 3}, "is no Lightning checkpoint"),
        ({"E_flame": {}}, "is no Lightning checkpoint"),
        (3, "is no Lightning checkpoint"),
        ({"state_dict": {"deca.E_flame.encoder.conv1.weight": 3}}, "is no Lightning checkpoint"),
    ],
)
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path, content, said):
    path = tmp_path / "a.ckpt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(ToolFault, match=said):
        emoca.load(path, None)


def test_a_truncated_checkpoint_is_refused(tmp_path):
    path = saved(tmp_path / "a.ckpt", small())
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(ToolFault, match="does not load"):
        emoca.load(path, None)


@pytest.mark.parametrize("square", [(226.3, 123.7, 151), (256, 200.9, 363), (40.25, 60.5, 300), (500, 500, 224)])
def test_squares_are_cut_as_by_the_reference_s_warp(square):
    """The reference calls skimage's `warp`, bicubic, with the similarity that takes the square to 0..223."""
    picture, (x, y, side) = data.astronaut(), square
    to_square = SimilarityTransform(scale=side / 223, translation=(x - 0.5 - side / 2, y - 0.5 - side / 2))
    expected = (warp(picture / 255, to_square, output_shape=(224, 224), order=3) * 255).astype(np.uint8)
    found = emoca.cut(torch.from_numpy(picture)[None], torch.tensor([square], dtype=torch.float32))
    levels = (found[0].permute(1, 2, 0) * 255).round().numpy()
    apart = np.abs(levels - expected)
    assert apart.max() <= 1 and (apart > 0).mean() < 0.005


def test_a_square_on_whole_pixels_keeps_every_level():
    picture = torch.from_numpy(data.astronaut())[None]
    found = emoca.cut(picture, torch.tensor([[112.0 + 50, 112 + 30, 223]]))
    assert torch.equal((found[0] * 255).round().byte().permute(1, 2, 0), picture[0, 30:254, 50:274])


def test_beyond_the_picture_it_is_black_and_every_picture_has_its_own_square():
    white = torch.full((2, 64, 64, 3), 255, dtype=torch.uint8)
    found = emoca.cut(white, torch.tensor([[32.0, 32, 446], [0, 32, 20]]))
    assert found[0].mean() == pytest.approx((64 / 446) ** 2, rel=0.05) and found[0, :, 112, 112].tolist() == [1, 1, 1]
    assert found[1, :, :, :85].max() == 0 and found[1, :, :, 140:].min() == 1
