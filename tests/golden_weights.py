"""Seeded weights for comparing our networks with their reference implementations.

Every tensor is drawn from a generator seeded by its own key, so that the same key and shape give the same numbers
in any implementation, in any order, with any version of torch.
"""

import math
import zlib

import numpy as np
import torch


def state(shapes: dict[str, list[int]], seed: int = 0) -> dict[str, torch.Tensor]:
    """A state dict with the given keys and shapes whose activations neither vanish nor blow up.

    Args:
        shapes: shape of every tensor by key, as published.
        seed: of all generators, together with the key.
    """
    return {key: _tensor(key, tuple(shape), seed) for key, shape in shapes.items()}


def _tensor(key: str, shape: tuple[int, ...], seed: int) -> torch.Tensor:
    if key.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=torch.int64)
    values = np.random.default_rng([seed, zlib.crc32(key.encode())]).standard_normal(shape)
    if key.endswith("running_var"):
        values = 1 + 0.1 * np.abs(values)
    elif len(shape) > 1 and math.prod(shape[1:]) > 1 and not key.endswith(("grn.gamma", "grn.beta")):
        values *= math.sqrt(2 / math.prod(shape[1:]))
    elif key.endswith("weight"):
        values = 1 + 0.1 * values
    else:
        values *= 0.1
    return torch.from_numpy(values.astype(np.float32))
