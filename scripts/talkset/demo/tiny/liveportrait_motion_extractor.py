"""LivePortrait's motion extractor with few channels and random weights, saved as the published one is."""

from __future__ import annotations

from pathlib import Path

import torch

from talkset.nets import liveportrait


def make(folder: Path) -> None:
    """Write `motion_extractor.pth`, the same each time.

    Weights are random, but biases keep the decoded numbers in the range of real ones (a head near the front, scale
    near 1.4, small expressions), so that the layout's arithmetic runs on such numbers.
    """
    net = liveportrait.MotionExtractor(depths=[1, 1, 2, 1], widths=[8, 16, 24, 32])
    generator = torch.Generator().manual_seed(0)

    def random(size: torch.Size, spread: float) -> torch.Tensor:
        return spread * torch.randn(size, generator=generator)

    state = net.state_dict()
    for key, tensor in state.items():
        if tensor.ndim > 1:
            fan_in = 200 if ".grn." in key else tensor[0].numel()
            tensor.copy_(random(tensor.shape, (2 / fan_in) ** 0.5))
        else:
            tensor.copy_(random(tensor.shape, 0.1) + float(key.endswith("norm.weight")))
    for name, spread in {"kp": 0.02, "exp": 0.05, "t": 0.1, "scale": 0.1}.items():
        state[f"heads.{name}.weight"].mul_(spread)
    state["heads.kp.bias"].copy_(random(state["heads.kp.bias"].shape, 0.2))
    state["heads.scale.bias"].fill_(1.4)
    for name in liveportrait.ANGLES:
        bins = torch.arange(liveportrait.BINS) - (liveportrait.BINS - 1) / 2
        state[f"heads.{name}.bias"].copy_(-(bins**2) / 32)
    torch.save({liveportrait.published(key): tensor for key, tensor in state.items()}, folder / "motion_extractor.pth")
