"""DINOv2-large with few channels and random weights, saved as the published one is."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import Dinov2Config, Dinov2Model
from transformers.utils import logging

from talkset.files import write_json

# What the published model says of its input.
INPUT = {
    "crop_size": {"height": 224, "width": 224},
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
    "resample": 3,
    "size": {"shortest_edge": 256},
}


def make(folder: Path) -> None:
    """Write `config.json`, `preprocessor_config.json` and `model.safetensors`, the same each time."""
    logging.disable_progress_bar()
    config = Dinov2Config(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        patch_size=14,
        image_size=518,
        layerscale_value=1.0,
        initializer_range=0.2,
    )
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        Dinov2Model(config).save_pretrained(folder)
    write_json(folder / "preprocessor_config.json", INPUT)
