"""Latents of a clip's pictures by a VAE: one a frame (image VAE), or one for every four frames (Wan's video VAE).

A latent is the mean of the encoder's posterior, so the same picture always gives the same one. By default it is not
scaled: it stands for `vae.encode(x).latent_dist.mode()`, which trainers multiply by the VAE's factor themselves (hallo,
LatentSync and MuseTalk do); shift and factor are in the metadata.

An image VAE (`AutoencoderKL`) gives latent k of frame k. A video VAE (`AutoencoderKLWan`) is causal and has a grid of
its own: latent 0 is frame 0, latent j is of frames 4j-3 to 4j and sees those before. A clip that does not end on the
grid (4n+1 frames) is completed with its last frame, or cut off by choice; `frames` says how many there were and how
many were encoded. The frames go through the encoder four at a time with what it remembers of those before, as `encode`
itself does (tested), so that memory does not grow with the clip.

In float16 both VAEs' latents differ from float32's by 0.15 % of their standard deviation (root mean square; at most
1.3 %): published sizes, random weights, a photograph, every weight and every layer's output rounded to float16.
Storing them in float16 adds 0.02 %.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from talkset.faults import ClipFault, ToolFault
from talkset.registry import ArraySpec, FeatureSpec
from talkset.timeline import FPS

# Pixels a side that become one of a latent, in both VAEs.
SIDE = 8
# Frames that become one latent of the video VAE, after the first.
CHUNK = 4

SPEC = FeatureSpec(
    name="video_latents",
    version=1,
    title="latents of the pictures by a VAE",
    env="models.yaml",
    threads=2,
    mem_mb=8000,
    gpus=1,
    arrays=(
        ArraySpec(
            name="latents",
            dtype="float16|float32",
            shape="[T',C,h,w]",
            usual="[T,4,64,64]",
            unit="as the VAE gives them, or multiplied by its factor if the option scaled says so",
            description="mean of the VAE's posterior of RGB pictures in -1 to 1; latent_fps rows a second, row j ends "
            "with frame t_stride j + t_offset; h and w are an eighth of the crop's side",
        ),
        ArraySpec(
            name="frames",
            dtype="int32",
            shape="[2]",
            unit="frames",
            description="frames of the clip; frames that were encoded, more where the last one was repeated",
        ),
    ),
    options={
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "model": {
                "description": "an AutoencoderKL (sd-vae-ft-mse: [T,4,64,64]) or AutoencoderKLWan (wan2.1-vae: "
                "[T',16,64,64])",
                "type": "string",
                "default": "sd-vae-ft-mse",
            },
            "scaled": {
                "description": "multiply by the VAE's factor, (latent - shift) * factor; false = leave it to training",
                "type": "boolean",
                "default": False,
            },
            "tail": {
                "description": "video VAE: frames after the last 4n+1: repeat = complete them with the last frame, "
                "trim = leave them out",
                "enum": ["repeat", "trim"],
                "default": "repeat",
            },
            "dtype": {
                "description": "type in which the latents are stored",
                "enum": ["float16", "float32"],
                "default": "float16",
            },
            "precision": {
                "description": "type in which a GPU computes; a CPU always computes in float32",
                "enum": ["float16", "float32"],
                "default": "float16",
            },
            "batch_size": {
                "description": "image VAE: frames that are encoded at a time",
                "type": "integer",
                "minimum": 1,
                "maximum": 1024,
                "default": 8,
            },
        },
    },
    models=("model",),
)


@dataclass
class Encoder:
    """A loaded VAE, without its decoder.

    Attributes:
        vae: the network, on `device`.
        device: where it computes.
        dtype: in which it computes.
        shift: `[C]` of the scaling.
        factor: `[C]` of the scaling.
        stride: frames that become one latent, after the first.
        scaled: the option.
        seen: what the video VAE remembers of the clip's frames so far, for each of its convolutions.
    """

    vae: Any
    device: Any
    dtype: Any
    shift: list[float]
    factor: list[float]
    stride: int
    scaled: bool
    seen: list = field(default_factory=list)

    def run(self, pictures) -> dict:
        """Pictures of `items`, `[n,H,W,3]` or `[1,t,H,W,3]` uint8, to `{"latents": [n,C,H/8,W/8]}`.

        The video VAE's must come in the order of the clip; one of a single frame begins the next clip.
        """
        import torch

        values = (pictures.movedim(-1, 1).contiguous() / 127.5 - 1).to(self.dtype)
        if self.stride == 1:
            posterior = self.vae.quant_conv(self.vae.encoder(values))
        else:
            if values.shape[2] == 1:
                self.seen = [None] * len(self.seen)
            posterior = self.vae.encoder(values, feat_cache=self.seen, feat_idx=[0])
            posterior = self.vae.quant_conv(posterior)[:, :, 0]
        latents = posterior[:, : len(self.shift)].float()
        if self.scaled:
            shift, factor = (torch.tensor(values, device=self.device) for values in (self.shift, self.factor))
            latents = (latents - shift[:, None, None]) * factor[:, None, None]
        return {"latents": latents}

    def encoded(self, frames: int, tail: str) -> int:
        """How many frames are encoded of a clip that has `frames`."""
        after = frames - 1
        return 1 + (after // self.stride if tail == "trim" else -(-after // self.stride)) * self.stride


def load(options: dict, models: dict) -> Encoder:
    """The VAE's encoder.

    Raises:
        ToolFault: the model does not load, or is none of the two kinds.
    """
    import json

    import diffusers
    import torch

    from talkset import inference

    model = models["model"]
    device = inference.device()
    config = model.file("config.json")
    try:
        kind = json.loads(config.read_text(encoding="utf-8"))["_class_name"]
    except (ValueError, KeyError, TypeError) as error:
        raise ToolFault(f"model {model.name}: {config} is not diffusers' description of a model ({error!r})") from error
    if kind not in ("AutoencoderKL", "AutoencoderKLWan"):
        raise ToolFault(f"video_latents: {model.name} is of class {kind}; known: AutoencoderKL, AutoencoderKLWan")
    model.file("diffusion_pytorch_model.safetensors")
    diffusers.utils.logging.set_verbosity_error()
    try:
        vae, report = getattr(diffusers, kind).from_pretrained(
            model.folder, local_files_only=True, low_cpu_mem_usage=False, use_safetensors=True, output_loading_info=True
        )
    except (OSError, RuntimeError, ValueError, TypeError) as error:
        said = " ".join(str(error).split())[:300]
        raise ToolFault(f"model {model.name}: {model.folder} does not load as {kind} ({said})") from error
    for what in ("missing", "unexpected"):
        names = report[f"{what}_keys"]
        if names:
            raise ToolFault(f"model {model.name}: {len(names)} weights are {what}, such as {sorted(names)[0]}")
    vae.decoder = vae.post_quant_conv = None
    dtype = torch.float16 if options["precision"] == "float16" and device.type == "cuda" else torch.float32
    return _encoder(model.name, vae.eval().to(device, dtype), device, dtype, options["scaled"])


def _encoder(name: str, vae, device, dtype, scaled: bool) -> Encoder:
    import diffusers

    config = vae.config
    if isinstance(vae, diffusers.AutoencoderKL):
        side, channels = 2 ** (len(config.block_out_channels) - 1), config.latent_channels
        shift, factor = [config.shift_factor or 0.0] * channels, [config.scaling_factor] * channels
        stride, seen = 1, []
    else:
        from diffusers.models.autoencoders.autoencoder_kl_wan import WanCausalConv3d

        side = 2 ** len(config.temperal_downsample) * (config.patch_size or 1)
        shift, factor = list(config.latents_mean), [1 / deviation for deviation in config.latents_std]
        stride = 2 ** sum(config.temperal_downsample)
        seen = [None] * sum(isinstance(layer, WanCausalConv3d) for layer in vae.encoder.modules())
    if side != SIDE or stride not in (1, CHUNK) or getattr(config, "patch_size", None):
        raise ToolFault(
            f"video_latents: {name} makes one latent of {side} x {side} pixels and {stride} frames; "
            f"known: {SIDE} x {SIDE} pixels, 1 or {CHUNK} frames, without patches"
        )
    return Encoder(vae, device, dtype, shift, factor, stride, scaled, seen)


def describe(model: Encoder, options: dict) -> dict:
    """Which frames a latent is of, and how it is scaled."""
    of_latent = "latent k is of frame k"
    if model.stride > 1:
        of_latent = f"latent 0 is of frame 0, latent j of frames {CHUNK}j-{CHUNK - 1} to {CHUNK}j and those before"
    return {
        "layout": of_latent,
        "latent_fps": FPS / model.stride,
        "t_stride": model.stride,
        "t_offset": 0,
        "scaled": model.scaled,
        "scaling": {"formula": "(latent - shift) * factor", "shift": model.shift, "factor": model.factor},
    }


def extract(model: Encoder, clips, options: dict):
    """Yield every clip with its `latents` and `frames`."""
    import numpy as np

    from talkset import inference

    size = options["batch_size"] if model.stride == 1 else 1
    found = inference.batched(
        clips, lambda clip: items(clip, model.stride, options["tail"]), model.run, size=size, device=model.device
    )
    for clip, result in found:
        if not isinstance(result, ClipFault):
            frames = np.array([clip.frames, model.encoded(clip.frames, options["tail"])], np.int32)
            latents = result["latents"]
            if len(latents) != 1 + (frames[1] - 1) // model.stride:
                raise ValueError(f"{clip.clip}: {len(latents)} latents of {frames[1]} frames")
            result = {"latents": inference.stored(latents, options["dtype"], f"{clip.clip}/latents"), "frames": frames}
        yield clip, result


def items(clip, stride: int, tail: str):
    """Yield a clip's frames as the encoder takes them.

    Args:
        clip: the crop.
        stride: `Encoder.stride`.
        tail: the option.

    Yields:
        `[H,W,3]` uint8 if the stride is 1; else the first frame, `[1,H,W,3]`, and then `[stride,H,W,3]` at a time.

    Raises:
        ToolFault: the crop's side is no multiple of 8.
    """
    import numpy as np

    side = clip.record["size"]
    if side % SIDE:
        raise ToolFault(
            f"video_latents: crops are {side} pixels wide, the VAE takes multiples of {SIDE}; set crop: size"
        )
    pictures = clip.pictures("rgb24")
    if stride == 1:
        yield from pictures
        return
    yield next(pictures)[None]
    chunk = []
    for picture in pictures:
        chunk.append(picture)
        if len(chunk) == stride:
            yield np.stack(chunk)
            chunk = []
    if chunk and tail == "repeat":
        yield np.stack(chunk + chunk[-1:] * (stride - len(chunk)))
