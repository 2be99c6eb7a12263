"""Hidden states of a speech model (HuBERT or wav2vec 2.0): exactly two rows per video frame, at 50 Hz.

Row `j` is centred at sample `320 j + 160` of the clip: the model's convolutions make it from samples `320 j - 40` to
`320 j + 359` (400 samples, 25 ms). So row `2k` starts at frame `k`, whose samples are `640 k` to `640 k + 639`, and
`[2T,D]` reshapes to `[T,2,D]`. To that end 40 zeros are put on each side of the clip's `640 T` samples, after these
were normalised; without them the model would give `2T - 1` rows. Everything beyond 25 ms comes from the transformer,
whose attention reaches over the whole clip.

Normalised means zero mean and unit variance over the clip, `(x - mean) / sqrt(variance + 1e-7)`, if the checkpoint's
preprocessor_config.json says `do_normalize`, or if there is none; a clip of one constant value becomes zeros.

Layers. `last_hidden_state` is what the model returns: in models with a stable layer norm (all large ones) it has gone
through the final layer norm. A number `n` is the output of transformer layer `n` before that norm, 0 the input of the
first layer. So in a large model of 24 layers, 24 is not `last_hidden_state`; in a base model of 12 layers, 12 is.

Clips are never padded to each other's length, so a clip's values do not depend on its shard mates, and the attention
mask that the model gets is all ones. Clips longer than `window` seconds are computed in windows of that length that
overlap by at least 10 s; each row comes from the window in whose inside it lies, at least 5 s from where that window
was cut from the clip. The windows' samples are those of the clip normalised as a whole.

HuBERT: W.-N. Hsu et al., "HuBERT: Self-supervised speech representation learning by masked prediction of hidden
units", IEEE/ACM TASLP 29, 2021. wav2vec 2.0: A. Baevski et al., NeurIPS 2020. Networks: transformers' classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from talkset.faults import ClipFault, ToolFault
from talkset.registry import ArraySpec, FeatureSpec
from talkset.timeline import FPS, RATE

if TYPE_CHECKING:
    import numpy as np

ROW = 320  # samples from one row to the next
FIELD = 400  # samples that one row sees
PAD = (FIELD - ROW) // 2  # zeros on each side, so that a clip has whole rows
ROWS = RATE // FPS // ROW  # a frame
CONTEXT = 5 * FPS  # frames between a row and the cut end of the window that it is taken from

# Parts of published checkpoints that only serve their training or another task.
HEADS = ("lm_head.", "classifier.", "projector.", "quantizer.", "project_q.", "project_hid.", "layer_weights")
# Stands in for masked sound in training; wav2vec2-base-960h is published without it.
IDLE = ("masked_spec_embed",)

SPEC = FeatureSpec(
    name="audio_features",
    version=1,
    title="hidden states of a speech model (HuBERT), 50 rows a second",
    env="models.yaml",
    threads=2,
    mem_mb=8000,
    gpus=1,
    models=("model",),
    arrays=(
        ArraySpec(
            name="audio",
            dtype="float16|float32",
            shape="[2T,D]",
            usual="[2T,1024]",
            unit="the model's own",
            description="50 rows a second, row j centred at sample 320 j + 160 of the clip, rows 2k and 2k + 1 lie in "
            "frame k; D is the model's width (hubert-large: 1024)",
        ),
    ),
    options={
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "model": {
                "description": "name of a HuBERT or wav2vec 2.0 model in config/models.yaml; choose one that knows the "
                "dataset's language",
                "type": "string",
                "default": "hubert-large-ls960-ft",
            },
            "layer": {
                "description": "last_hidden_state, or a number: the output of that transformer layer before any final "
                "layer norm (0 = the input of the first)",
                "anyOf": [{"const": "last_hidden_state"}, {"type": "integer", "minimum": 0}],
                "default": "last_hidden_state",
            },
            "window": {
                "description": "longest stretch computed at once, seconds; longer clips are computed in windows of "
                "this length that overlap, since the memory for attention grows with the length",
                "type": "integer",
                "minimum": 20,
                "maximum": 600,
                "default": 60,
            },
            "batch_size": {
                "description": "clips or windows of one length that the model sees at once; changes no value beyond "
                "rounding",
                "type": "integer",
                "minimum": 1,
                "maximum": 64,
                "default": 4,
            },
            "dtype": {
                "description": "type in which the values are stored",
                "enum": ["float16", "float32"],
                "default": "float16",
            },
            "precision": {
                "description": "type in which a GPU computes: float32, or float16 (autocast: faster, less exact)",
                "enum": ["float32", "float16"],
                "default": "float32",
            },
        },
    },
)


@dataclass(frozen=True)
class Speech:
    """A loaded speech model.

    Attributes:
        net: the network, on `device`.
        device: where it computes.
        normalise: whether it wants sound of zero mean and unit variance.
        layer: the option.
        precision: the option.
    """

    net: Any
    device: Any
    normalise: bool
    layer: str | int
    precision: str

    def run(self, samples) -> dict:
        """`[n, 320 r + 80]` samples to `{"audio": [n, r, D]}`."""
        import torch

        from talkset import inference

        mask = torch.ones(samples.shape, dtype=torch.long, device=samples.device)
        named = self.layer == "last_hidden_state"
        with inference.autocast(self.precision, self.device):
            found = self.net(samples, attention_mask=mask, output_hidden_states=not named)
        return {"audio": found.last_hidden_state if named else found.hidden_states[self.layer]}


def load(options: dict, models: dict) -> Speech:
    """The speech model.

    Raises:
        ToolFault: it does not load, its rows are not 20 ms apart, or it has no such layer.
    """
    from transformers import HubertModel, Wav2Vec2Model

    from talkset import inference, pretrained

    model = models["model"]
    device = inference.device()
    kind = pretrained.model_class(model, {"hubert": HubertModel, "wav2vec2": Wav2Vec2Model})
    said = pretrained.preprocessor(model)
    if said.get("sampling_rate", RATE) != RATE:
        raise ToolFault(
            f"audio_features: {model.name} wants {said['sampling_rate']} samples a second, crops have {RATE}"
        )
    net = pretrained.load(kind, model, device, unused=HEADS, idle=IDLE)
    field, step = receptive_field(net.config.conv_kernel, net.config.conv_stride)
    if (field, step) != (FIELD, ROW):
        raise ToolFault(
            f"audio_features: {model.name} makes a row of {field} samples every {step}; "
            f"two rows a frame need {FIELD} every {ROW}: use another model"
        )
    layers, layer = net.config.num_hidden_layers, options["layer"]
    if layer != "last_hidden_state" and layer > layers:
        raise ToolFault(f"audio_features: layer is {layer}, {model.name} has {layers}; lower it")
    return Speech(net, device, said.get("do_normalize", True), layer, options["precision"])


def receptive_field(kernels, strides) -> tuple[int, int]:
    """Samples that one output of a stack of convolutions sees, and samples from one output to the next."""
    field, step = 1, 1
    for kernel, stride in zip(kernels, strides, strict=True):
        field += (kernel - 1) * step
        step *= stride
    return field, step


def extract(model: Speech, clips, options: dict):
    """Yield every clip with its `audio`, or with the reason why it has none."""
    from talkset import inference

    def items(clip):
        samples = prepared(clip.pcm(), model.normalise)
        for first, last in windows(clip.frames, options["window"] * FPS):
            yield samples[ROW * ROWS * first : ROW * ROWS * last + 2 * PAD]

    size, device = options["batch_size"], model.device
    for clip, found in inference.batched(clips, items, model.run, size=size, device=device):
        if not isinstance(found, ClipFault):
            audio = joined(found["audio"], clip.frames, options["window"] * FPS)
            found = {"audio": inference.stored(audio, options["dtype"], f"{clip.clip}/audio")}
        yield clip, found


def describe(model: Speech, options: dict) -> dict:
    """What the file says about itself besides its options."""
    return {"normalised": model.normalise, "layout": "row j is centred at sample 320 j + 160 of the clip"}


def prepared(samples: np.ndarray | None, normalise: bool) -> np.ndarray:
    """A clip's samples as the model wants them.

    Args:
        samples: `[640 T]` float32 in [-1, 1); `None` if the clip has no sound.
        normalise: to zero mean and unit variance.

    Returns:
        `[640 T + 80]` float32.

    Raises:
        ClipFault: the clip has no sound.
    """
    import numpy as np

    if samples is None:
        raise ClipFault("no sound")
    if normalise:
        # In float64 the mean of equal samples is that very value, so silence becomes zeros and no noise of rounding.
        exact = samples.astype(np.float64)
        samples = ((exact - exact.mean()) / np.sqrt(exact.var() + 1e-7)).astype(np.float32)
    return np.pad(samples, PAD)


def windows(frames: int, longest: int) -> list[tuple[int, int]]:
    """First frame and frame after the last of each window; all are as long, spread evenly, and overlap.

    Args:
        frames: `T`.
        longest: frames a window; a clip no longer than that is one window.
    """
    if frames <= longest:
        return [(0, frames)]
    count = -(-(frames - 2 * CONTEXT) // (longest - 2 * CONTEXT))
    starts = [round(number * (frames - longest) / (count - 1)) for number in range(count)]
    return [(start, start + longest) for start in starts]


def joined(rows: np.ndarray, frames: int, longest: int) -> np.ndarray:
    """A clip's rows from those of its windows: up to the middle of each overlap from the earlier one.

    Args:
        rows: `[windows, 2 x frames of a window, D]`.
        frames: `T`.
        longest: as for `windows`.

    Returns:
        `[2T,D]`.
    """
    import numpy as np

    places = windows(frames, longest)
    cuts = [(last + first) // 2 for (_, last), (first, _) in zip(places, places[1:], strict=False)]
    parts = [
        found[ROWS * (begin - first) : ROWS * (end - first)]
        for found, (first, _), begin, end in zip(rows, places, [0, *cuts], [*cuts, frames], strict=True)
    ]
    return np.concatenate(parts)
