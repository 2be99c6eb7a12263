"""How much of the face is hidden by what is not face: hands, microphones, hair, text over the picture.

A frame's share: of the pixels inside the face hull, those that a face-parsing model does not see as face. The hull is
the convex hull of the mesh's 468 surface points; what of it lies outside the crop does not count. The mesh says where
the face is also where it is covered, the parser says what is to be seen there.

Face are the parser's classes in the option `face`, by name: skin, nose, eyes, brows, mouth, lips, ears (part of the
head, never in front of the face) and glasses, which people wear all the time. So hair over the forehead, hats,
earrings, necks, clothes and the background are not. Limits: sunglasses count as face unless `eye_g` is taken out of the
list, and a bare hand is skin to a parser that was trained on faces alone: it may see only a part of one.

The picture goes in as the checkpoint's preprocessor_config.json says (without one: 512 x 512, bilinear, ImageNet's mean
and standard deviation); the model's class scores, a quarter as large, are enlarged bilinearly to that size and the
largest wins.

Default model: a SegFormer (E. Xie et al., NeurIPS 2021; transformers' class) trained on CelebAMask-HQ (C.-H. Lee et
al., CVPR 2020), 19 classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from talkset.faults import ClipFault, ToolFault
from talkset.registry import Column, ScoreSpec
from talkset.timeline import FPS

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

SURFACE = 468  # landmarks on the face's surface; those after them are the irises
SIDE = 512
BILINEAR = 2  # PIL's number
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
FACE = ("skin", "nose", "l_eye", "r_eye", "l_brow", "r_brow", "l_ear", "r_ear", "mouth", "u_lip", "l_lip", "eye_g")

SPEC = ScoreSpec(
    name="occlusion",
    version=1,
    title="share of the face that is hidden",
    env="models.yaml",
    threads=2,
    mem_mb=6000,
    gpus=1,
    models=("model",),
    columns=(
        Column(
            "occlusion",
            "share",
            "pixels inside the convex hull of the face mesh that the face-parsing model does not see as face; median "
            "over the looked-at frames with a face; empty if there is none",
        ),
        Column("occlusion_p95", "share", "the same, 95th percentile over these frames"),
    ),
    options={
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "model": {
                "description": "name of a SegFormer face-parsing model in config/models.yaml",
                "type": "string",
                "default": "face-parsing",
            },
            "rate": {
                "description": "frames looked at per second",
                "type": "integer",
                "minimum": 1,
                "maximum": FPS,
                "default": 5,
            },
            "face": {
                "description": "the model's classes that count as face, by their names in its config.json",
                "type": "array",
                "items": {"type": "string"},
                "minItems": 1,
                "uniqueItems": True,
                "default": list(FACE),
            },
            "batch_size": {
                "description": "frames the model sees at once; changes no value beyond rounding",
                "type": "integer",
                "minimum": 1,
                "maximum": 256,
                "default": 8,
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
class Parser:
    """A loaded face-parsing model.

    Attributes:
        net: the network, on `device`.
        device: where it computes.
        face: `[classes]` bool tensor, true for those that count as face.
        side: of the picture that it sees, pixels.
        mean: of RGB from 0 to 1.
        std: the same.
        resample: PIL's number of the interpolation.
        precision: the option.
    """

    net: Any
    device: Any
    face: Any
    side: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    resample: int
    precision: str

    def run(self, pictures) -> dict:
        """`[n,side,side,4]` uint8, RGB and hull, to `{"hidden": [n]}`."""
        import torch

        from talkset import inference

        mean, std = (torch.tensor(values, device=pictures.device) for values in (self.mean, self.std))
        inputs = ((pictures[..., :3] / 255 - mean) / std).permute(0, 3, 1, 2)
        with inference.autocast(self.precision, self.device):
            scores = self.net(inputs).logits
        return {"hidden": hidden(scores.float(), self.face, pictures[..., 3] > 0)}


def load(options: dict, models: dict) -> Parser:
    """The face-parsing model.

    Raises:
        ToolFault: it does not load, or has no class of a name in `face`.
    """
    from transformers import SegformerForSemanticSegmentation

    from talkset import inference, pretrained

    model = models["model"]
    device = inference.device()
    kind = pretrained.model_class(model, {"segformer": SegformerForSemanticSegmentation})
    net = pretrained.load(kind, model, device)
    said = pretrained.preprocessor(model)
    size = said.get("size", SIDE)
    return Parser(
        net=net,
        device=device,
        face=chosen(net.config.id2label, options["face"], model.name).to(device),
        side=size["height"] if isinstance(size, dict) else size,
        mean=tuple(said.get("image_mean", IMAGENET[0])),
        std=tuple(said.get("image_std", IMAGENET[1])),
        resample=said.get("resample", BILINEAR),
        precision=options["precision"],
    )


def chosen(id2label: dict[int, str], face: list[str], model: str):
    """Which classes count as face, `[classes]` bool tensor.

    Args:
        id2label: class names by number, from the model's config.json; an ending `.png` is ignored.
        face: names of the classes that count.
        model: the model's name, for the error.

    Raises:
        ToolFault: the model has no class of one of the names.
    """
    import torch

    names = [id2label[number].removesuffix(".png") for number in range(len(id2label))]
    for name in face:
        if name not in names:
            raise ToolFault(f"occlusion: face names {name!r}, which {model} does not know; it knows {', '.join(names)}")
    return torch.tensor([name in face for name in names])


def score(model: Parser, clips, options: dict):
    """Yield every clip with the columns of `SPEC`, or with the reason why it has no value."""
    import numpy as np

    from talkset import inference

    def items(clip):
        return looked_at(clip, options["rate"], model.side, model.resample)

    size, device = options["batch_size"], model.device
    for clip, found in inference.batched(clips, items, model.run, size=size, device=device):
        if not isinstance(found, ClipFault):
            shares = found["hidden"].astype(np.float64)
            found = {"occlusion": float(np.median(shares)), "occlusion_p95": float(np.percentile(shares, 95))}
        yield clip, found


def looked_at(clip, rate: int, side: int, resample: int) -> Iterator[np.ndarray]:
    """Yield the frames with a face among `rate` a second from the first on, each `[side,side,4]` uint8: RGB and hull.

    Raises:
        ClipFault: there is none.
    """
    import numpy as np
    from PIL import Image

    landmarks = clip.track().landmarks[:, :SURFACE, :2] * (side / clip.record["size"])
    wanted = {-(-number * FPS // rate) for number in range(clip.frames)}
    found = False
    for frame, picture in enumerate(clip.pictures("rgb24")):
        if frame in wanted and not np.isnan(landmarks[frame]).any():
            hull = filled_hull(landmarks[frame], side)
            if hull.any():
                small = Image.fromarray(picture).resize((side, side), Image.Resampling(resample))
                yield np.dstack([np.asarray(small), hull])
                found = True
    if not found:
        raise ClipFault(f"no face in any of the frames looked at ({rate} a second)")


def filled_hull(points: np.ndarray, side: int) -> np.ndarray:
    """The convex hull of points as a picture.

    Args:
        points: `[n,2]`, pixels; left and upper edge of the picture are 0.
        side: of the picture.

    Returns:
        `[side,side]` uint8, 1 inside and 0 outside.
    """
    import cv2
    import numpy as np

    # cv2 counts from the middle of the first pixel, in 16ths of a pixel here.
    hull = cv2.convexHull(np.round((points - 0.5) * 16).astype(np.int32))
    return cv2.fillConvexPoly(np.zeros((side, side), np.uint8), hull, 1, shift=4)


def hidden(scores, face, hull):
    """Share of each hull that is not seen as face.

    Args:
        scores: `[n,classes,h,w]` float tensor, at any size.
        face: `[classes]` bool tensor.
        hull: `[n,H,W]` bool tensor, nowhere empty.

    Returns:
        `[n]` float32 tensor.
    """
    import torch

    enlarged = torch.nn.functional.interpolate(scores, size=hull.shape[1:], mode="bilinear", align_corners=False)
    seen = face[enlarged.argmax(dim=1)]
    return (hull & ~seen).sum(dim=(1, 2)) / hull.sum(dim=(1, 2))
