"""EMOCA v2's coarse encoders: two ResNet-50 with a small head each, from a face to FLAME parameters.

One encoder is DECA's (shape, texture, expression, pose, camera, light), the other finds the expression anew and, in
some trained versions, part of the pose; what both give is taken from the second. Nothing of FLAME itself is needed.

Source: R. Danecek et al., "EMOCA: Emotion Driven Monocular Face Capture and Animation", CVPR 2022; Y. Feng et al.,
"Learning an Animatable Detailed 3D Face Model from In-The-Wild Images" (DECA), SIGGRAPH 2021; github.com/radekd91/emoca
at fef5472, gdl/models/DecaEncoder.py, gdl/models/ResNet.py, gdl/models/DECA.py (`decompose_code`) and
gdl/datasets/ImageDatasetHelpers.py (`bbpoint_warp`). The backbone is that of the library transformers, under the
published names of the tensors.
"""

from __future__ import annotations

import pickle
import re
from collections import OrderedDict
from pathlib import Path

import torch
import yaml
from torch import nn
from transformers import ResNetConfig, ResNetModel

from talkset.faults import ToolFault
from talkset.nets.state import fill

SIDE = 224  # pixels of the pictures that it sees
# What DECA's encoder gives, in this order.
CODE = {"shape": 100, "tex": 50, "exp": 50, "pose": 6, "cam": 3, "light": 27}
FLAME = {"shape": 100, "exp": 50, "pose": 6, "cam": 3}
# What the second encoder gives after the 50 numbers of expression, by the two flags of the configuration:
# exp_deca_global_pose and exp_deca_jaw_pose.
POSES = {(False, False): slice(0, 0), (True, False): slice(0, 3), (False, True): slice(3, 6), (True, True): slice(0, 6)}
STAGE = "detail"  # of the two trainings; the published demos use the second one's checkpoint

# Names in the library's backbone, and as published under "encoder.".
RENAMES = (
    (r"^embedder\.embedder\.convolution\.", "conv1."),
    (r"^embedder\.embedder\.normalization\.", "bn1."),
    (r"^encoder\.stages\.(\d+)\.layers\.(\d+)\.", lambda found: f"layer{int(found[1]) + 1}.{found[2]}."),
    (r"\.shortcut\.convolution\.", ".downsample.0."),
    (r"\.shortcut\.normalization\.", ".downsample.1."),
    (r"\.layer\.(\d+)\.convolution\.", lambda found: f".conv{int(found[1]) + 1}."),
    (r"\.layer\.(\d+)\.normalization\.", lambda found: f".bn{int(found[1]) + 1}."),
)


class Encoder(nn.Module):
    """ResNet with bottlenecks, and a perceptron on its pooled features.

    Args:
        stem: channels of the first layer.
        widths: channels that each of the four stages gives.
        depths: blocks of each stage.
        hidden: width of the perceptron.
        outputs: numbers that it gives.
    """

    def __init__(self, stem: int, widths: list[int], depths: list[int], hidden: int, outputs: int) -> None:
        super().__init__()
        self.encoder = ResNetModel(
            ResNetConfig(
                embedding_size=stem,
                hidden_sizes=widths,
                depths=depths,
                layer_type="bottleneck",
                downsample_in_bottleneck=False,
            )
        )
        self.layers = nn.Sequential(nn.Linear(widths[-1], hidden), nn.ReLU(), nn.Linear(hidden, outputs))

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """`[n,outputs]` of pictures `[n,3,224,224]`."""
        return self.layers(self.encoder(pictures).pooler_output.flatten(1))


class Emoca(nn.Module):
    """The two encoders.

    Args:
        flame: DECA's; gives `CODE`.
        expression: gives the expression and the part `pose` of the pose.
        pose: one of `POSES`.
    """

    def __init__(self, flame: Encoder, expression: Encoder, pose: slice) -> None:
        super().__init__()
        self.E_flame, self.E_expression = flame, expression
        self.pose = pose

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """FLAME parameters of faces.

        Args:
            pictures: `[n,3,224,224]` RGB, 0 to 1, not normalised further.

        Returns:
            `[n,159]` in the order of `FLAME`: shape and expression in FLAME's components, pose as axis times angle in
            radians (0:3 head, 3:6 jaw), camera `s, t_x, t_y`.
        """
        return compose(self.E_flame(pictures), self.E_expression(pictures), self.pose)


def compose(code: torch.Tensor, expression: torch.Tensor, pose: slice) -> torch.Tensor:
    """What the two encoders give, as one: the second one's where both have it.

    Args:
        code: `[n,236]`, see `CODE`.
        expression: `[n,50 + length of pose]`.
        pose: part of the six numbers of the pose that `expression` holds.

    Returns:
        `[n,159]`, see `FLAME`.
    """
    parts = dict(zip(CODE, code.split(list(CODE.values()), dim=1), strict=True))
    turned = parts["pose"].clone()
    turned[:, pose] = expression[:, FLAME["exp"] :]
    return torch.cat([parts["shape"], expression[:, : FLAME["exp"]], turned, parts["cam"]], dim=1)


def cut(pictures: torch.Tensor, squares: torch.Tensor) -> torch.Tensor:
    """Squares of pictures as EMOCA's video pipeline cuts them: bicubic, black beyond the picture, in whole levels.

    The square's edges fall onto the middles of the outermost of the 224 pixels.

    Args:
        pictures: `[n,H,W,3]` uint8.
        squares: `[n,3]` centre x, centre y, side in pixels of the picture, whose left and upper edges are 0.

    Returns:
        `[n,3,224,224]`, 0 to 1.
    """
    levels = pictures.permute(0, 3, 1, 2).float()
    x, y, side = squares.double().unbind(1)
    down = _interpolation(y, side, levels.shape[2])
    across = _interpolation(x, side, levels.shape[3])
    found = down[:, None] @ levels @ across[:, None].transpose(2, 3)
    # A thousandth of a level, so that rounding takes no level from pixels that were not interpolated.
    return (found + 1e-3).floor().clamp(0, 255) / 255


def _interpolation(centre: torch.Tensor, side: torch.Tensor, length: int) -> torch.Tensor:
    """Weights `[n,224,length]` of a line's pixels in those of the square; Keys' cubic convolution with a = -0.5."""
    step = torch.arange(SIDE, dtype=side.dtype, device=side.device) / (SIDE - 1) - 0.5
    place = centre[:, None] - 0.5 + side[:, None] * step  # 0 is the middle of the first pixel, hence the half
    first = place.floor()
    part = place - first
    weights = torch.stack(
        [
            (-part + 2 * part**2 - part**3) / 2,
            (2 - 5 * part**2 + 3 * part**3) / 2,
            (part + 4 * part**2 - 3 * part**3) / 2,
            (part**3 - part**2) / 2,
        ],
        dim=2,
    )
    pixel = first.long()[:, :, None] + torch.arange(-1, 3, device=side.device)
    weights = weights.where((pixel >= 0) & (pixel < length), 0).float()
    matrix = torch.zeros(*place.shape, length, device=side.device)
    return matrix.scatter_add_(2, pixel.clamp(0, length - 1), weights)


def load(checkpoint: Path, configuration: Path | None) -> Emoca:
    """The encoders with a checkpoint's weights, as wide and deep as these are, for inference.

    Args:
        checkpoint: what Lightning wrote: `state_dict` holds, among others, the tensors of both encoders.
        configuration: the `cfg.yaml` beside it; only a checkpoint with 53 outputs cannot do without.

    Raises:
        ToolFault: a file cannot be read, or does not hold EMOCA's coarse encoders.
    """
    state = _read(checkpoint)
    with torch.device("meta"):
        flame = _blank(state, "E_flame", checkpoint)
        expression = _blank(state, "E_expression", checkpoint)
    outputs = flame.layers[-1].out_features
    if outputs != sum(CODE.values()):
        raise ToolFault(f"{checkpoint}: E_flame gives {outputs} numbers, EMOCA's gives {sum(CODE.values())}")
    net = Emoca(flame, expression, _pose(checkpoint, expression.layers[-1].out_features, configuration))
    return fill(net, state, published, checkpoint, "EMOCA's coarse encoders")


def _blank(state: dict[str, torch.Tensor], name: str, checkpoint: Path) -> Encoder:
    """An encoder as wide and deep as its tensors are."""
    start = f"deca.{name}."
    telling = ["encoder.conv1.weight", *(f"encoder.layer{stage}.0.downsample.0.weight" for stage in range(1, 5))]
    telling += ["layers.0.weight", "layers.2.weight"]
    lacking = [start + key for key in telling if start + key not in state]
    if lacking:
        raise ToolFault(f"{checkpoint}: no weights of EMOCA's coarse encoders: it lacks {', '.join(lacking)}")
    stem, *widths, hidden, outputs = (len(state[start + key]) for key in telling)
    blocks = re.findall(rf"^{re.escape(start)}encoder\.layer([1-4])\.(\d+)\.", "\n".join(state), re.MULTILINE)
    depths = [1 + max(int(block) for stage, block in blocks if stage == number) for number in "1234"]
    return Encoder(stem, widths, depths, hidden, outputs)


def _pose(checkpoint: Path, outputs: int, configuration: Path | None) -> slice:
    """The part of the pose that the second encoder gives."""
    possible = list(POSES.values()) if configuration is None else [POSES[_flags(configuration)]]
    fitting = [pose for pose in possible if FLAME["exp"] + pose.stop - pose.start == outputs]
    if len(fitting) == 1:
        return fitting[0]
    said = f"{checkpoint}: E_expression gives {outputs} numbers"
    if fitting:
        raise ToolFault(f"{said}, so 3 of the pose; which 3, only cfg.yaml says: put that of the download beside it")
    expected = " or ".join(sorted({str(FLAME["exp"] + pose.stop - pose.start) for pose in possible}))
    raise ToolFault(
        f"{said}; by {configuration or 'its design'} it gives {expected}: take both files from one download"
    )


def _flags(configuration: Path) -> tuple[bool, bool]:
    """`exp_deca_global_pose` and `exp_deca_jaw_pose` of the stage's model."""
    try:
        settings = yaml.safe_load(configuration.read_text(encoding="utf-8"))
        model = settings[STAGE]["model"]
        flags = tuple(model.get(f"exp_deca_{part}_pose", False) for part in ("global", "jaw"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError) as error:
        said = " ".join(str(error).split())[:200]
        raise ToolFault(
            f"{configuration} is no configuration of EMOCA ({said}); copy it from the download again"
        ) from error
    if flags not in POSES:
        raise ToolFault(f"{configuration}: exp_deca_global_pose and exp_deca_jaw_pose are {flags}, not true or false")
    return flags


class _Ignored:
    """Stands for an object of a class that only the training needs; takes what it is given and keeps nothing."""

    def __init__(self, *args, **keywords) -> None:
        pass

    def __setstate__(self, state) -> None:
        pass


def _ignored(name: str) -> type:
    """What stands for a class of that name; for one that is named like a dict it is a dict, since items are put in."""
    body = {"__new__": lambda cls, *args, **keywords: OrderedDict()} if name.lower().endswith("dict") else {}
    return type("Ignored", (_Ignored,), body)


def _read(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of the two encoders by published name.

    Lightning's checkpoints also hold settings and the state of the training, as objects of classes that are not here.
    torch's restricted reader (`weights_only`) runs no code of a file; for every class that it does not know it gets one
    that ignores all, so the file's tensors are read and nothing of it is run.
    """
    try:
        names = torch.serialization.get_unsafe_globals_in_checkpoint(path)
        with torch.serialization.safe_globals([(_ignored(name), name) for name in names]):
            # Mapped, since most of the file is the training's and need not be read.
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (
        OSError,
        EOFError,
        RuntimeError,
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
        pickle.UnpicklingError,
    ) as error:
        # Without torch's advice, which is to run what the file says.
        said = " ".join(line for line in str(error).splitlines() if line and "weights_only" not in line)[:300]
        raise ToolFault(f"{path} does not load ({said}); copy it from the download again") from error
    tensors = content.get("state_dict") if isinstance(content, dict) else None
    if not isinstance(tensors, dict) or not all(isinstance(tensor, torch.Tensor) for tensor in tensors.values()):
        raise ToolFault(f"{path} is no Lightning checkpoint: it has no state_dict of tensors; take EMOCA's .ckpt file")
    used = re.compile(r"deca\.E_(flame|expression)\.")
    return {key: tensor for key, tensor in tensors.items() if used.match(key)}


def published(key: str) -> str:
    """Published name of one of the network's tensors."""
    encoder, part, name = key.split(".", 2)
    if part == "encoder":
        for pattern, replacement in RENAMES:
            name = re.sub(pattern, replacement, name)
    return f"deca.{encoder}.{part}.{name}"
