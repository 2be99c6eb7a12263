"""Implicit key points, expression and head pose of every frame by LivePortrait's motion extractor.

Input. The extractor sees the crop as it is, resized to 256 x 256 as LivePortrait resizes square driving videos (cv2,
bilinear), RGB from 0 to 1, not normalised further. LivePortrait cuts other driving videos by one box, averaged over the
clip; a crop's window is fixed over its clip in the same way, so translation, scale and roll keep their meaning over
time. They are relative to that window: compare them between clips only where the windows were made by one rule. Nothing
is masked: every frame has a row, and where no face is to be seen the row means nothing (the feature `landmarks` is NaN
there).

Output. The 133 numbers of the extractor in the layout `lp_p1`, see `talkset.nets.lp_p1`; its `unpack` gives them back.
"""

from __future__ import annotations

from talkset.registry import ArraySpec, FeatureSpec

# The published file, and what others made of it; the first that is there counts.
CHECKPOINTS = ("motion_extractor.pth", "motion_extractor.safetensors")

SPEC = FeatureSpec(
    name="struct_latents",
    version=1,
    title="LivePortrait's key points, expression and head pose, 25 rows a second",
    env="models.yaml",
    threads=2,
    mem_mb=4000,
    gpus=1,
    models=("model",),
    arrays=(
        ArraySpec(
            name="struct",
            dtype="float32",
            shape="[T,128]",
            unit="half side of the crop",
            description="layout lp_p1, row k = frame k: 0:63 transformed key points (21 x y z: right, down, away from "
            "the camera; 0 is the crop's middle), 63:126 expression (21 x y z), 126:128 translation x y",
        ),
        ArraySpec(
            name="side",
            dtype="float32",
            shape="[T,5]",
            unit="degree (0:3), factor (3), half side of the crop (4)",
            description="layout lp_p1, row k = frame k: pitch, yaw, roll by LivePortrait's signs, scale, translation z",
        ),
    ),
    options={
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "model": {
                "description": "name of the model in config/models.yaml; it holds LivePortrait's motion extractor",
                "type": "string",
                "default": "liveportrait-motion-extractor",
            },
            "batch_size": {
                "description": "frames the model sees at once; changes no value beyond rounding",
                "type": "integer",
                "minimum": 1,
                "maximum": 4096,
                "default": 64,
            },
            "precision": {
                "description": "type in which a GPU computes the network: float32, or float16 (autocast, as in "
                "LivePortrait itself: faster, less exact)",
                "enum": ["float32", "float16"],
                "default": "float32",
            },
        },
    },
)


def load(options: dict, models: dict):
    """The motion extractor, on the GPU if there is one.

    Raises:
        ToolFault: the checkpoint is not there or is none of LivePortrait's motion extractor.
    """
    from talkset import inference
    from talkset.nets import liveportrait

    device = inference.device()
    there = [name for name in CHECKPOINTS if (models["model"].folder / name).is_file()]
    return liveportrait.load(models["model"].file((there or CHECKPOINTS)[0])).to(device)


def describe(model, options: dict) -> dict:
    """The layout, and which of the 21 points move the lips and the eyes."""
    from talkset.nets import lp_p1

    return {"layout": lp_p1.NAME, "lip_points": list(lp_p1.LIPS), "eye_points": list(lp_p1.EYES)}


def extract(model, clips, options: dict):
    """Yield every clip with its `struct` and `side`."""
    from talkset import inference
    from talkset.faults import ClipFault
    from talkset.nets import lp_p1

    device = next(model.parameters()).device

    def run(pictures):
        with inference.autocast(options["precision"], device):
            return model(pictures.permute(0, 3, 1, 2) / 255)

    for clip, found in inference.batched(clips, pictures, run, size=options["batch_size"], device=device):
        if not isinstance(found, ClipFault):
            packed = lp_p1.pack(found)
            found = {name: inference.stored(array, "float32", f"{clip.clip}/{name}") for name, array in packed.items()}
        yield clip, found


def pictures(clip):
    """Yield the frames of a clip as the extractor sees them, each `[256,256,3]` uint8 RGB."""
    import cv2

    from talkset.nets.liveportrait import SIDE

    for picture in clip.pictures("rgb24"):
        yield cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
