"""A causal video VAE with few channels and random weights, saved as Wan 2.1's is."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import AutoencoderKLWan


def make(folder: Path) -> None:
    """Write `config.json` and `diffusion_pytorch_model.safetensors`, the same each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        vae = AutoencoderKLWan(base_dim=4)
    vae.save_pretrained(folder)
