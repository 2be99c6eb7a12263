"""SyncNet with few channels and random weights, saved as the published one is."""

from __future__ import annotations

from pathlib import Path

import torch

from talkset.nets import syncnet

WIDTHS = {
    "netcnnaud": [4, 8, 8, 8, 8, 16],
    "netfcaud": [16, 32],
    "netcnnlip": [6, 8, 8, 8, 8, 16],
    "netfclip": [16, 32],
}


def make(folder: Path) -> None:
    """Write `syncnet_v2.model`, the same each time."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        torch.save(syncnet.SyncNet(WIDTHS).state_dict(), folder / "syncnet_v2.model")
