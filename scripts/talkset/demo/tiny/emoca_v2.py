"""EMOCA v2's coarse encoders with few channels and random weights, saved as the published ones are."""

from __future__ import annotations

from pathlib import Path

import torch
import yaml

from talkset.nets import emoca

CHECKPOINT = "detail/checkpoints/deca-epoch=10-val_loss/dataloader_idx_0=3.25521111.ckpt"


def make(folder: Path) -> None:
    """Write `cfg.yaml` and the checkpoint, the same each time.

    Weights are random, but the last biases keep the numbers in the range of real ones (a head near the front that fills
    its square), so that all that is computed from them runs on such numbers.
    """
    generator = torch.Generator().manual_seed(0)
    encoders = [emoca.Encoder(8, [16, 32, 48, 64], [1, 1, 1, 1], 32, outputs) for outputs in (236, emoca.FLAME["exp"])]
    net = emoca.Emoca(*encoders, emoca.POSES[False, False])
    state = net.state_dict()
    for key, tensor in state.items():
        if tensor.ndim > 1:
            tensor.copy_((2 / tensor[0].numel()) ** 0.5 * torch.randn(tensor.shape, generator=generator))
        elif tensor.is_floating_point():
            tensor.copy_(0.1 * torch.randn(tensor.shape, generator=generator))
            if key.endswith(("normalization.weight", "running_var")):
                tensor.abs_().add_(1)
    pose, camera = slice(200, 206), slice(206, 209)
    last = "E_flame.layers.2"
    for part in (pose, camera):
        state[f"{last}.weight"][part] *= 0.02
    state[f"{last}.bias"][camera] = torch.tensor([8.0, 0.0, 0.02])
    checkpoint = folder / CHECKPOINT
    checkpoint.parent.mkdir(parents=True)
    torch.save({"epoch": 10, "state_dict": {emoca.published(key): tensor for key, tensor in state.items()}}, checkpoint)
    flags = {"exp_deca_global_pose": False, "exp_deca_jaw_pose": False}
    (folder / "cfg.yaml").write_text(yaml.safe_dump({emoca.STAGE: {"model": flags}}), encoding="utf-8")
