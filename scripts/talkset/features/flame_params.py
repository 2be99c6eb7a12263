"""FLAME parameters of every frame by EMOCA v2's coarse encoders: shape, expression, head and jaw pose, camera.

Input. A square about the face, cut from the crop frame by frame as EMOCA's video pipeline does
(github.com/radekd91/emoca at fef5472, gdl/datasets/ImageDatasetHelpers.py and FaceDataModuleBase.py): centre and size
are those of the box around 68 landmarks, the side is `int(1.25 * 1.1 * (width + height) / 2)` pixels, and the square is
scaled to 224 x 224 so that its edges fall onto the middles of the outermost pixels, by bicubic interpolation (Keys,
a = -0.5), black beyond the crop, cut down to whole levels. The pictures are RGB from 0 to 1, not normalised further.
The landmarks are not those of EMOCA's detector (FAN) but their counterparts in the face mesh (`LANDMARKS`).

Every frame has a row. Where the track has no face the square is interpolated linearly in time between the frames before
and after that have one (held at the ends), and the model sees what is there; the feature `landmarks` is NaN at such
frames. EMOCA smooths nothing, so the squares jitter with the landmarks; `smooth` takes their running median.

Camera. A point (x, y, z) of FLAME's mesh is seen at `s (x + t_x)`, `-s (y + t_y)` in units of half the side of the
square from its centre, x to the right and y down: in pixels of the crop at `crop[0] + crop[2] / 2 * s * (x + t_x)` and
`crop[1] - crop[2] / 2 * s * (y + t_y)`.
"""

from __future__ import annotations

import itertools

from talkset.faults import ClipFault, ToolFault
from talkset.registry import ArraySpec, FeatureSpec

CONFIGURATION = "cfg.yaml"
# Points of the 478-point mesh that stand for the 68 of iBUG's mark-up: jaw, brows, nose, eyes, mouth. The list in wide
# use, among others in version 1.5 of github.com/bytedance/LatentSync, latentsync/utils/image_processor.py.
LANDMARKS = (
    (162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389)
    + (71, 63, 105, 66, 107, 336, 296, 334, 293, 301)
    + (168, 197, 5, 4, 75, 97, 2, 326, 305)
    + (33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380)
    + (61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87)
)

SPEC = FeatureSpec(
    name="flame_params",
    version=1,
    title="FLAME shape, expression, pose and camera by EMOCA v2, 25 rows a second",
    env="models.yaml",
    threads=2,
    mem_mb=4000,
    gpus=1,
    models=("model",),
    arrays=(
        ArraySpec(
            name="flame",
            dtype="float32",
            shape="[T,159]",
            unit="FLAME component (0:150), radian (150:156), see talkset/features/flame_params.py (156:159)",
            description="row k = frame k: 0:100 shape, 100:150 expression, 150:156 pose as axis times angle (head, "
            "jaw), 156:159 camera s, t_x, t_y relative to the square crop[k]",
        ),
        ArraySpec(
            name="crop",
            dtype="float32",
            shape="[T,3]",
            unit="pixel of the crop",
            description="row k = frame k: centre x, centre y (0 is the left and upper edge) and side of the square "
            "that the model saw",
        ),
    ),
    options={
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "model": {
                "description": "name of the model in config/models.yaml; its folder is one of EMOCA's own, with "
                "cfg.yaml and one checkpoint below detail/",
                "type": "string",
                "default": "emoca-v2",
            },
            "smooth": {
                "description": "frames whose median gives centre and side of the square; 1 = as EMOCA, not smoothed",
                "type": "integer",
                "minimum": 1,
                "maximum": 251,
                "not": {"multipleOf": 2},
                "default": 1,
            },
            "batch_size": {
                "description": "frames the model sees at once; changes no value beyond rounding",
                "type": "integer",
                "minimum": 1,
                "maximum": 4096,
                "default": 64,
            },
        },
    },
)


def load(options: dict, models: dict):
    """The encoders, on the GPU if there is one.

    Raises:
        ToolFault: the folder does not hold the files of one of EMOCA's models.
    """
    from talkset import inference
    from talkset.nets import emoca

    device = inference.device()
    return emoca.load(checkpoint(models["model"]), models["model"].file(CONFIGURATION)).to(device)


def checkpoint(model):
    """Path of the checkpoint in a folder as EMOCA publishes it; its name holds epoch and loss.

    Args:
        model: `talkset.models.Model`.

    Raises:
        ToolFault: there is none below `detail/`, or more than one.
    """
    found = sorted((model.folder / "detail").rglob("*.ckpt"))
    if len(found) != 1:
        names = ", ".join(str(path.relative_to(model.folder)) for path in found) or "none"
        raise ToolFault(f"model {model.name}: {model.folder / 'detail'} has to hold one .ckpt file; found: {names}")
    return found[0]


def describe(model, options: dict) -> dict:
    """Which columns are what, and which of the pose the expression's encoder gave."""
    from talkset.nets import emoca

    ends = list(itertools.accumulate(emoca.FLAME.values()))
    columns = dict(zip(emoca.FLAME, map(list, itertools.pairwise([0, *ends])), strict=True))
    return {"columns": columns, "pose_by_expression_encoder": [model.pose.start, model.pose.stop]}


def extract(model, clips, options: dict):
    """Yield every clip with its `flame` and `crop`; a clip whose track has no face at all is the clip's fault."""
    import numpy as np
    import torch

    from talkset import inference
    from talkset.nets import emoca

    device = next(model.parameters()).device
    crops = {}

    def items(clip):
        crops[clip.clip] = squares(clip.track().landmarks, options["smooth"])
        for picture, square in zip(clip.pictures("rgb24"), crops[clip.clip], strict=True):
            # In one array with its square, as pictures of several clips share a batch.
            yield np.concatenate([picture.reshape(-1), square.view(np.uint8)])

    def run(batch):
        pictures, places = batch[:, :-12], batch[:, -12:].contiguous().view(torch.float32)
        size = round((pictures.shape[1] / 3) ** 0.5)
        return {"flame": model(emoca.cut(pictures.view(-1, size, size, 3), places))}

    for clip, found in inference.batched(clips, items, run, size=options["batch_size"], device=device):
        square = crops.pop(clip.clip, None)
        if not isinstance(found, ClipFault):
            found = {"flame": inference.stored(found["flame"], "float32", f"{clip.clip}/flame"), "crop": square}
        yield clip, found


def squares(landmarks, smooth: int = 1):
    """The square about the face at every frame.

    Args:
        landmarks: `[T,478,3]` pixels of the crop, NaN where the track has no face.
        smooth: odd number of frames whose median is taken.

    Returns:
        `[T,3]` float32: centre x, centre y, side (a whole number of pixels).

    Raises:
        ClipFault: no frame has a face.
    """
    import numpy as np

    points = np.asarray(landmarks, np.float64)[:, LANDMARKS, :2]
    seen = ~np.isnan(points).any(axis=(1, 2))
    if not seen.any():
        raise ClipFault("no face was followed")
    low, high = points[seen].min(axis=1), points[seen].max(axis=1)
    known = np.column_stack([(low + high) / 2, (high - low).sum(axis=1) / 2 * 1.1 * 1.25])
    time = np.arange(len(points))
    found = np.column_stack([np.interp(time, time[seen], column) for column in known.T])
    if smooth > 1:
        padded = np.pad(found, ((smooth // 2, smooth // 2), (0, 0)), mode="edge")
        found = np.median(np.lib.stride_tricks.sliding_window_view(padded, smooth, axis=0), axis=-1)
    found[:, 2] = np.floor(found[:, 2])
    return found.astype(np.float32)
