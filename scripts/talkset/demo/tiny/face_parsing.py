"""The face-parsing SegFormer with few channels and random weights, saved as the published one is."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import SegformerConfig, SegformerForSemanticSegmentation
from transformers.utils import logging

from talkset.files import write_json

# The published model's classes, in its order.
CLASSES = (
    *("background", "skin", "nose", "eye_g", "l_eye", "r_eye", "l_brow", "r_brow", "l_ear", "r_ear"),
    *("mouth", "u_lip", "l_lip", "hair", "hat", "ear_r", "neck_l", "neck", "cloth"),
)

# What it says of its input.
INPUT = {
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
    "resample": 2,
    "size": {"height": 512, "width": 512},
}


def make(folder: Path) -> None:
    """Write `config.json`, `preprocessor_config.json` and `model.safetensors`, the same each time."""
    logging.disable_progress_bar()
    config = SegformerConfig(
        hidden_sizes=[8, 16, 24, 32],
        depths=[1, 1, 1, 1],
        num_attention_heads=[1, 2, 3, 4],
        decoder_hidden_size=16,
        initializer_range=0.2,
        id2label=dict(enumerate(CLASSES)),
        label2id={name: number for number, name in enumerate(CLASSES)},
    )
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        SegformerForSemanticSegmentation(config).save_pretrained(folder)
    write_json(folder / "preprocessor_config.json", INPUT)
