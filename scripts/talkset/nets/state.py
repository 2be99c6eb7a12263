"""Published weights into a network of ours: every tensor in its place, or an error that names what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import nn

from talkset.faults import ToolFault

SHOWN = 5  # differences that the error names


def fill(
    net: nn.Module, state: Mapping[str, torch.Tensor], published: Callable[[str], str], path: Path, what: str
) -> nn.Module:
    """Give a network its published weights; strictly: none may lack, none be left, none have another shape.

    Args:
        net: the network, on any device (`meta` costs nothing).
        state: published tensors by their keys; floating-point ones of any width.
        published: from a key of the network to the published one.
        path: where they are from, for the error.
        what: whose they should be, for the error.

    Returns:
        The network on the CPU in float32, ready to compute.

    Raises:
        ToolFault: names file, keys and shapes.
    """
    names = {key: published(key) for key in net.state_dict()}
    wanted = {names[key]: list(tensor.shape) for key, tensor in net.state_dict().items()}
    shapes = {key: list(tensor.shape) for key, tensor in state.items()}
    wrong = [
        *(f"lacks {key}" for key in wanted if key not in shapes),
        *(f"has {key} besides" for key in shapes if key not in wanted),
        *(
            f"has {key} of shape {shapes[key]}, not {shape}"
            for key, shape in wanted.items()
            if shapes.get(key, shape) != shape
        ),
    ]
    if wrong:
        shown = "; ".join(wrong[:SHOWN]) + (f"; and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else "")
        raise ToolFault(f"{path}: not the weights of {what}: it {shown}")
    net.load_state_dict({key: _own(state[name]) for key, name in names.items()}, assign=True)
    return net.eval().requires_grad_(False)


def _own(tensor: torch.Tensor) -> torch.Tensor:
    """A copy, so that the rest of a checkpoint can be forgotten."""
    return tensor.to(torch.float32 if tensor.is_floating_point() else tensor.dtype, copy=True)
