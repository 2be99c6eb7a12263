"""Loads transformers models from a folder, and only if the folder holds every weight that the model computes with."""

from __future__ import annotations

import json
import pickle

import torch
import transformers
from safetensors import SafetensorError
from transformers import PreTrainedModel

from talkset.faults import ToolFault
from talkset.models import Model

CONFIG, PREPROCESSOR = "config.json", "preprocessor_config.json"
# Weights of the same layers, whichever of the files a publisher chose.
WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")


def settings(model: Model, name: str) -> dict:
    """One of a model's JSON files.

    Raises:
        ToolFault: it is not there, or is no JSON object.
    """
    path = model.file(name)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ToolFault(f"model {model.name}: {path} is damaged ({error}); fetch or copy it again") from error
    if not isinstance(found, dict):
        raise ToolFault(f"model {model.name}: {path} holds no JSON object; fetch or copy it again")
    return found


def preprocessor(model: Model) -> dict:
    """What the model's publisher says about its input; empty if the folder has no such file."""
    return settings(model, PREPROCESSOR) if (model.folder / PREPROCESSOR).is_file() else {}


def model_class(model: Model, known: dict[str, type[PreTrainedModel]]) -> type[PreTrainedModel]:
    """The class for a model, by the `model_type` in its config.json.

    Raises:
        ToolFault: it is none of the `known`.
    """
    kind = settings(model, CONFIG).get("model_type")
    if kind not in known:
        raise ToolFault(
            f"model {model.name}: {model.folder / CONFIG} says model_type {kind!r}, "
            f"which does not fit here; known: {', '.join(known)}"
        )
    return known[kind]


def load(
    kind: type[PreTrainedModel],
    model: Model,
    device: torch.device,
    *,
    unused: tuple[str, ...] = (),
    idle: tuple[str, ...] = (),
) -> PreTrainedModel:
    """A model in float32, ready to compute.

    Args:
        kind: the class.
        model: its folder holds config.json and one of `WEIGHTS`.
        device: where it will compute.
        unused: beginnings of names of published weights that the class has no use for, such as a training head.
        idle: names of weights of the class that play no part outside training; they may be lacking.

    Raises:
        ToolFault: the folder lacks a file or a weight, or holds weights of another shape or for other layers.
    """
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    model.file(CONFIG)
    if not any((model.folder / name).is_file() for name in WEIGHTS):
        model.file(WEIGHTS[0])
    try:
        net, report = kind.from_pretrained(
            model.folder,
            local_files_only=True,
            dtype=torch.float32,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are named below, which the class's own error does not do
        )
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, SafetensorError, pickle.UnpicklingError) as error:
        said = " ".join(str(error).split())[:300]
        raise ToolFault(
            f"model {model.name}: {model.folder} does not load as {kind.__name__} ({said}); "
            "are all its files whole and from one model?"
        ) from error
    for what, names in (
        ("lacks the weights", set(report["missing_keys"]) - set(idle)),
        ("holds weights of another shape:", {str(key) for key in report["mismatched_keys"]}),
        (
            "holds weights that no layer takes:",
            {key for key in report["unexpected_keys"] if not key.startswith(unused)},
        ),
    ):
        if names:
            named = ", ".join(sorted(names)[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
            raise ToolFault(
                f"model {model.name}: {model.folder} {what} {named}; "
                f"its config.json and its weights are not of one {kind.__name__}"
            )
    return net.eval().to(device)
