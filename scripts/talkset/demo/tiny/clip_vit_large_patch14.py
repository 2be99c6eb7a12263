"""CLIP ViT-L/14 with few channels and random weights, saved as the published one is: the text half beside the other."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import CLIPConfig, CLIPModel
from transformers.utils import logging

from talkset.files import write_json

# What the published model says of its input.
INPUT = {
    "crop_size": 224,
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
    "resample": 3,
    "size": 224,
}


def make(folder: Path) -> None:
    """Write `config.json`, `preprocessor_config.json` and `model.safetensors`, the same each time."""
    logging.disable_progress_bar()
    narrow = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = CLIPConfig(
        vision_config=narrow | {"patch_size": 14, "image_size": 224, "projection_dim": 24},
        text_config=narrow | {"vocab_size": 64, "projection_dim": 24, "bos_token_id": 62, "eos_token_id": 63},
        projection_dim=24,
    )
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        CLIPModel(config).save_pretrained(folder)
    write_json(folder / "preprocessor_config.json", INPUT)
