"""LivePortrait's motion extractor: ConvNeXt V2 with seven linear heads on the pooled features.

Source: J. Guo et al., "LivePortrait: Efficient Portrait Animation with Stitching and Retargeting Control", 2024;
github.com/KwaiVGI/LivePortrait at 1986663, src/modules/motion_extractor.py, src/modules/convnextv2.py and
src/utils/camera.py. The backbone is that of the library transformers, under the published names of the tensors.
"""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import nn
from transformers import ConvNextV2Config, ConvNextV2Model

from talkset.faults import ToolFault
from talkset.nets import lp_p1
from talkset.nets.state import fill

SIDE = 256  # pixels of the pictures that it sees
BINS = 66  # classes of an angle, 3 degrees each, the middle of the range being 0
ANGLES = ("pitch", "yaw", "roll")
HEADS = {"kp": 3 * lp_p1.POINTS, "exp": 3 * lp_p1.POINTS, "t": 3, "scale": 1} | dict.fromkeys(ANGLES, BINS)

# Names in the library's backbone, and as published under "detector.".
RENAMES = (
    (r"^embeddings\.patch_embeddings\.", "downsample_layers.0.0."),
    (r"^embeddings\.layernorm\.", "downsample_layers.0.1."),
    (r"^encoder\.stages\.(\d+)\.downsampling_layer\.", r"downsample_layers.\1."),
    (r"^encoder\.stages\.(\d+)\.layers\.", r"stages.\1."),
    (r"\bgrn\.weight$", "grn.gamma"),
    (r"\bgrn\.bias$", "grn.beta"),
    (r"\blayernorm\.", "norm."),
)
# Tensors whose shapes say how wide the network is.
WIDTHS = [f"detector.downsample_layers.{stage}.{int(stage > 0)}.weight" for stage in range(4)]


class MotionExtractor(nn.Module):
    """The network.

    Args:
        depths: blocks of each of the four stages.
        widths: channels of each stage.
    """

    def __init__(self, depths: list[int], widths: list[int]) -> None:
        super().__init__()
        config = ConvNextV2Config(depths=depths, hidden_sizes=widths, layer_norm_eps=1e-6)
        self.backbone = ConvNextV2Model(config)
        self.heads = nn.ModuleDict({name: nn.Linear(widths[-1], size) for name, size in HEADS.items()})

    def forward(self, pictures: torch.Tensor) -> dict[str, torch.Tensor]:
        """What the motion extractor says of pictures.

        Args:
            pictures: `[n,3,256,256]` RGB, 0 to 1.

        Returns:
            `kp` and `exp` `[n,63]`, `t [n,3]`, `scale [n,1]`, `pitch`, `yaw` and `roll` `[n,1]` in degrees, all
            float32; for their meaning see `talkset.nets.lp_p1`.
        """
        pooled = self.backbone(pictures).pooler_output
        found = {name: head(pooled).float() for name, head in self.heads.items()}
        return found | {name: degrees(found[name]) for name in ANGLES}


def degrees(logits: torch.Tensor) -> torch.Tensor:
    """Expected angle `[n,1]` of a distribution over bins, -97.5 to 97.5 degrees; `logits` `[n,66]`."""
    middles = 3 * torch.arange(BINS, dtype=logits.dtype, device=logits.device) - 97.5
    return (logits.softmax(dim=1) * middles).sum(dim=1, keepdim=True)


def load(path: Path) -> MotionExtractor:
    """The network with a checkpoint's weights, as wide and deep as these are, for inference.

    Args:
        path: `.safetensors`, else what `torch.save` writes: tensors by name, named as published.

    Raises:
        ToolFault: the file cannot be read, or its tensors are not those of a motion extractor.
    """
    state = _read(path)
    shapes = {key: tuple(tensor.shape) for key, tensor in state.items()}
    lacking = [key for key in WIDTHS if len(shapes.get(key, ())) != 4]
    if lacking:
        raise ToolFault(f"{path}: no weights of LivePortrait's motion extractor: it lacks {', '.join(lacking)}")
    blocks = [re.match(r"detector\.stages\.([0-3])\.(\d+)\.", key) for key in shapes]
    depths = [max([1, *(int(b[2]) + 1 for b in blocks if b and int(b[1]) == stage)]) for stage in range(4)]
    with torch.device("meta"):
        net = MotionExtractor(depths, [shapes[key][0] for key in WIDTHS])
    return fill(net, state, published, path, "LivePortrait's motion extractor")


def published(key: str) -> str:
    """Published name of one of the network's tensors."""
    part, _, name = key.partition(".")
    if part == "heads":
        return f"detector.fc_{name}"
    for pattern, replacement in RENAMES:
        name = re.sub(pattern, replacement, name)
    return f"detector.{name}"


def _read(path: Path) -> dict[str, torch.Tensor]:
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, pickle.UnpicklingError, safetensors.SafetensorError) as error:
        raise ToolFault(f"{path} does not load ({error}); fetch it again") from error
    if not isinstance(state, dict) or not all(isinstance(tensor, torch.Tensor) for tensor in state.values()):
        raise ToolFault(f"{path} does not hold tensors by name, as the published file does; fetch that one")
    return state
