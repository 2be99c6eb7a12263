"""HuBERT-large with few channels and random weights, saved as the published one is: a CTC model with its head."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import HubertConfig, HubertForCTC

from talkset.files import write_json

# What the published model says of its input.
INPUT = {"do_normalize": True, "return_attention_mask": True, "sampling_rate": 16000}
# torch's weight norm was published under its old names.
OLD_NAMES = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}


def make(folder: Path) -> None:
    """Write `config.json`, `preprocessor_config.json` and `pytorch_model.bin`, the same each time."""
    config = HubertConfig(
        architectures=["HubertForCTC"],
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        conv_dim=(16,) * 7,
        conv_bias=True,
        feat_extract_norm="layer",
        do_stable_layer_norm=True,
        initializer_range=0.2,
    )
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        state = HubertForCTC(config).state_dict()
    for new, old in OLD_NAMES.items():
        state = {key.replace(new, old): tensor for key, tensor in state.items()}
    config.save_pretrained(folder)
    write_json(folder / "preprocessor_config.json", INPUT)
    torch.save(state, folder / "pytorch_model.bin")
