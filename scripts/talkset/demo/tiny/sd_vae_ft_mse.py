"""An image VAE with few channels and random weights, saved as stabilityai/sd-vae-ft-mse is."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import AutoencoderKL


def make(folder: Path) -> None:
    """Write `config.json` and `diffusion_pytorch_model.safetensors`, the same each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        vae = AutoencoderKL(
            down_block_types=["DownEncoderBlock2D"] * 4,
            up_block_types=["UpDecoderBlock2D"] * 4,
            block_out_channels=[2, 4, 6, 6],  # at 512 x 512 pixels each more is felt in the demo's time
            layers_per_block=1,
            norm_num_groups=2,
            latent_channels=4,
        )
    vae.save_pretrained(folder)
