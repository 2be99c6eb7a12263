"""Appearance of the person in a few frames of a clip, as DINOv2 or CLIP sees them.

Which frames. The frames with a followed face are cut, in order of time, into `count` parts of equal number. Of each
part those count whose head angle (between where the face points and the way to the camera, see `talkset.pose`) is at
most 5 degrees above the part's smallest; of these the sharpest is taken (variance of the Laplacian of the face, as in
the score `blur`), and the earliest of equally sharp ones. A clip with fewer frames with a face than `count` has all of
them. `frames` holds which they are.

What the model sees. The whole crop, resized to `side` x `side` pixels in one step. (DINOv2's processor on the hub
resizes to 256 and cuts off the edges to 224, where a head crop has hair and chin.) Resampling, mean and standard
deviation are those of the checkpoint's preprocessor_config.json; without one bicubic, and ImageNet's (DINOv2) or
OpenAI's (CLIP).

What is stored. `ref`: DINOv2's class token after the final layer norm (`pooler_output`), CLIP's projected
`image_embeds`, neither scaled to unit length. `patches`, if asked for: DINOv2's after the final layer norm, without
register tokens; CLIP's as its last layer gives them, not projected.

DINOv2: M. Oquab et al., TMLR 2024; registers: T. Darcet et al., ICLR 2024. CLIP: A. Radford et al., ICML 2021.
Networks: transformers' classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from talkset.faults import ClipFault, ToolFault
from talkset.registry import ArraySpec, FeatureSpec

if TYPE_CHECKING:
    import numpy as np

SLACK = 5.0  # degrees of head angle that sharpness may cost
FACE = 256  # side at which faces are compared by sharpness, pixels
BICUBIC = 3  # PIL's number
# Mean and standard deviation of RGB from 0 to 1, where the checkpoint does not say.
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
OPENAI = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
# Parts of a whole CLIP checkpoint that read text; and a counter that old checkpoints hold.
TEXT = ("text_model.", "text_projection.", "logit_scale", "vision_model.embeddings.position_ids")

SPEC = FeatureSpec(
    name="ref_features",
    version=1,
    title="appearance in a few sharp, frontal frames (DINOv2, CLIP)",
    env="models.yaml",
    threads=2,
    mem_mb=6000,
    gpus=1,
    models=("model",),
    arrays=(
        ArraySpec(
            name="ref",
            dtype="float16|float32",
            shape="[N,D]",
            usual="[4,1024]",
            unit="the model's own",
            description="one row for each of `frames`: DINOv2's class token, CLIP's image embedding; D is the model's "
            "width (dinov2-large: 1024)",
        ),
        ArraySpec(
            name="patches",
            dtype="float16|float32",
            shape="[N,P,C]",
            usual="[4,0,1024]",
            unit="the model's own",
            description="patch tokens of the same frames, row by row from the upper left; P is 0 unless the option "
            "patches is true; C is the width of the model's layers (dinov2-large: 1024)",
        ),
        ArraySpec(
            name="frames",
            dtype="int32",
            shape="[N]",
            usual="[4]",
            unit="frame of the crop",
            description="which frames, in order of time: sharp, frontal, spread over the clip",
        ),
    ),
    options={
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "model": {
                "description": "name of a DINOv2 (with or without registers) or CLIP model in config/models.yaml",
                "type": "string",
                "default": "dinov2-large",
            },
            "count": {
                "description": "frames a clip",
                "type": "integer",
                "minimum": 1,
                "maximum": 256,
                "default": 4,
            },
            "side": {
                "description": "side of the picture that the model sees, pixels; a multiple of DINOv2's patch (14), "
                "for CLIP the side that it was trained at",
                "type": "integer",
                "minimum": 28,
                "maximum": 1022,
                "default": 224,
            },
            "patches": {
                "description": "store the patch tokens too: at side 224 of a large model 257 times as many values",
                "type": "boolean",
                "default": False,
            },
            "batch_size": {
                "description": "frames the model sees at once; changes no value beyond rounding",
                "type": "integer",
                "minimum": 1,
                "maximum": 1024,
                "default": 16,
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
class Eye:
    """A loaded picture model.

    Attributes:
        net: the network, on `device`.
        device: where it computes.
        prefix: tokens before the patch tokens.
        mean: of RGB from 0 to 1.
        std: the same.
        resample: PIL's number of the interpolation.
    """

    net: Any
    device: Any
    prefix: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    resample: int

    def run(self, pictures, patches: bool, precision: str) -> dict:
        """`[n,side,side,3]` uint8 to `{"ref": [n,D], "patches": [n,P,C]}`; P is 0 without `patches`."""
        import torch

        from talkset import inference

        mean, std = (torch.tensor(values, device=pictures.device) for values in (self.mean, self.std))
        inputs = ((pictures / 255 - mean) / std).permute(0, 3, 1, 2)
        with inference.autocast(precision, self.device):
            found = self.net(inputs)
        tokens = found.last_hidden_state[:, self.prefix :]
        ref = found.image_embeds if "image_embeds" in found else found.pooler_output
        return {"ref": ref, "patches": tokens if patches else tokens[:, :0]}


def load(options: dict, models: dict) -> Eye:
    """The picture model.

    Raises:
        ToolFault: it does not load, or does not take pictures of this side.
    """
    from transformers import CLIPVisionModelWithProjection, Dinov2Model, Dinov2WithRegistersModel

    from talkset import inference, pretrained

    model, side = models["model"], options["side"]
    device = inference.device()
    kinds = {
        "dinov2": Dinov2Model,
        "dinov2_with_registers": Dinov2WithRegistersModel,
        "clip": CLIPVisionModelWithProjection,
        "clip_vision_model": CLIPVisionModelWithProjection,
    }
    kind = pretrained.model_class(model, kinds)
    is_clip = kind is CLIPVisionModelWithProjection
    net = pretrained.load(kind, model, device, unused=TEXT if is_clip else ("classifier.",))
    if is_clip and side != net.config.image_size:
        raise ToolFault(f"ref_features: side is {side}, {model.name} takes {net.config.image_size}; set side to that")
    if side % net.config.patch_size:
        raise ToolFault(
            f"ref_features: side is {side}, {model.name} takes multiples of {net.config.patch_size}; change it"
        )
    said = pretrained.preprocessor(model)
    mean, std = OPENAI if is_clip else IMAGENET
    return Eye(
        net=net,
        device=device,
        prefix=1 + getattr(net.config, "num_register_tokens", 0),
        mean=tuple(said.get("image_mean", mean)),
        std=tuple(said.get("image_std", std)),
        resample=said.get("resample", BICUBIC),
    )


def extract(model: Eye, clips, options: dict):
    """Yield every clip with its `ref`, `patches` and `frames`, or with the reason why it has none."""
    import numpy as np

    from talkset import inference

    chosen: dict[str, list[int]] = {}

    def items(clip):
        found = choose(clip, options["count"])
        chosen[clip.clip] = [frame for frame, _ in found]
        for _, picture in found:
            yield resized(picture, options["side"], model.resample)

    def run(pictures):
        return model.run(pictures, options["patches"], options["precision"])

    size, device = options["batch_size"], model.device
    for clip, found in inference.batched(clips, items, run, size=size, device=device):
        frames = chosen.pop(clip.clip, [])
        if not isinstance(found, ClipFault):
            found = {
                name: inference.stored(found[name], options["dtype"], f"{clip.clip}/{name}")
                for name in ("ref", "patches")
            } | {"frames": np.array(frames, np.int32)}
        yield clip, found


def describe(model: Eye, options: dict) -> dict:
    """What the file says about itself besides its options: how pictures became the model's input."""
    return {"image_mean": list(model.mean), "image_std": list(model.std), "resample": model.resample}


def choose(clip, count: int) -> list[tuple[int, np.ndarray]]:
    """The frames of a clip that show its person best, in order of time, each with its picture.

    Args:
        clip: the `CropClip`.
        count: how many.

    Raises:
        ClipFault: no face was followed at any frame.
    """
    from talkset import blur, pose

    track = clip.track()
    rivals = candidates(pose.head_angle(track.pose[:, 0], track.pose[:, 1]), count)
    if not rivals:
        raise ClipFault("no face was followed")
    part_of = {int(frame): part for part, frames in enumerate(rivals) for frame in frames}
    best: list[tuple[float, int, np.ndarray | None]] = [(-1.0, -1, None)] * len(rivals)
    for frame, picture in enumerate(clip.pictures("rgb24")):
        part = part_of.get(frame)
        if part is not None:
            sharpness = blur.sharpness(picture, track.box[frame], FACE) or 0.0
            if sharpness > best[part][0]:
                best[part] = sharpness, frame, picture
    return [(frame, picture) for _, frame, picture in best]


def candidates(angle: np.ndarray, count: int) -> list[np.ndarray]:
    """For each part of a clip the frames that are frontal enough.

    Args:
        angle: `[T]` head angle in degrees, NaN where there is no face.
        count: parts; as many as there are frames with a face if these are fewer.
    """
    import numpy as np

    known = np.flatnonzero(~np.isnan(angle))
    parts = np.array_split(known, min(count, len(known))) if len(known) else []
    return [part[angle[part] <= angle[part].min() + SLACK] for part in parts]


def resized(picture: np.ndarray, side: int, resample: int) -> np.ndarray:
    """A picture `[H,W,3]` uint8 as `[side,side,3]` uint8, by PIL."""
    import numpy as np
    from PIL import Image

    return np.asarray(Image.fromarray(picture).resize((side, side), Image.Resampling(resample)))
