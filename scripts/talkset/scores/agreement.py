"""Where LivePortrait's motion extractor and EMOCA part: head pose and expression, frame by frame.

Two networks that learned from different data look at every frame as they do for `struct_latents` and `flame_params`.
Where they tell different stories, at least one of them is wrong: a half-turned or hidden face, a cut, an overlay.

Head pose. Both rotations are put into the camera's axes (x right, y down, z away): LivePortrait's is in them
(`talkset.nets.lp_p1`), FLAME's has y up and z towards the camera. The two mean different heads by "at rest", so they
differ by a rotation `R_emoca^T R_liveportrait` that is the same at every frame as long as they agree. It is estimated
as the rotation from which the frames' own are the least degrees away in sum (the geometric median: up to half of the
frames may be wrong), and a frame's value is the angle between its own and that.

Expression. The two have no units or axes in common, but both say how alike the expressions of two frames are: by the
distance of their numbers. A frame's value is Spearman's rank correlation between its distances to up to `OTHERS` other
frames, spread evenly over the clip, by LivePortrait and by EMOCA: 1 = both find the same frames alike, 0 = no relation.
For EMOCA the expression's 50 numbers and the jaw's 3 count equally, each divided by its spread over the clip. A clip of
fewer than `FEW` frames with a face, or whose face never moves, has no value.

A frame parts if the angle is above `pose_degrees`, or if the correlation is below `expression_floor` in a clip whose
median correlation is at least `RELATED`: in a clip whose face hardly moves all correlations are noise. Frames where the
track has no face are not judged and do not part.
"""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING

from talkset.faults import ClipFault
from talkset.registry import Column, ScoreSpec

if TYPE_CHECKING:
    import numpy as np

OTHERS = 128
FEW = 10
RELATED = 0.3

SPEC = ScoreSpec(
    name="agreement",
    version=1,
    title="agreement of LivePortrait and EMOCA on head pose and expression",
    env="models.yaml",
    threads=2,
    mem_mb=6000,
    gpus=1,
    models=("struct_model", "flame_model"),
    columns=(
        Column(
            "agreement_pose_p95",
            "degree",
            "angle between the two head rotations but for a constant one, see talkset/scores/agreement.py; 95th "
            "percentile over the frames with a face",
        ),
        Column(
            "agreement_expression",
            "",
            "rank correlation of the two models' distances between frames, -1 to 1; median over the frames with a "
            "face; empty if these are few or the face never moves",
        ),
        Column("parted_share", "share", "frames with a face at which the two part, of all frames with a face"),
        Column("parted_frames", "", "these frames, counted from 0, as runs: `12-19 40`; empty if there is none"),
    ),
    options={
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "struct_model": {
                "description": "name of a model in config/models.yaml that holds LivePortrait's motion extractor",
                "type": "string",
                "default": "liveportrait-motion-extractor",
            },
            "flame_model": {
                "description": "name of a model in config/models.yaml that holds EMOCA's coarse encoders",
                "type": "string",
                "default": "emoca-v2",
            },
            "pose_degrees": {
                "description": "the two part at a frame where their head rotations differ by more, degrees",
                "type": "number",
                "exclusiveMinimum": 0,
                "maximum": 180,
                "default": 10,
            },
            "expression_floor": {
                "description": "the two part at a frame where the rank correlation of their expressions is lower",
                "type": "number",
                "minimum": -1,
                "maximum": 1,
                "default": 0,
            },
            "batch_size": {
                "description": "frames a model sees at once; changes no value beyond rounding",
                "type": "integer",
                "minimum": 1,
                "maximum": 4096,
                "default": 64,
            },
        },
    },
)


def load(options: dict, models: dict):
    """Both networks: LivePortrait's and EMOCA's.

    Raises:
        ToolFault: as the two features' own `load`.
    """
    from talkset.features import flame_params, struct_latents

    struct = struct_latents.load(settings(struct_latents, options), {"model": models["struct_model"]})
    return struct, flame_params.load(settings(flame_params, options), {"model": models["flame_model"]})


def settings(feature, options: dict) -> dict:
    """A feature's options: its defaults, with this score's batch size."""
    defaults = {name: option["default"] for name, option in feature.SPEC.options["properties"].items()}
    return defaults | {"batch_size": options["batch_size"]}


def score(model, clips, options: dict):
    """Yield every clip with the columns of `SPEC`; without a face at any frame it is the clip's fault."""
    import numpy as np

    from talkset.features import flame_params, struct_latents

    clips = list(clips)  # as both run over them, each with threads of its own
    struct = struct_latents.extract(model[0], iter(clips), settings(struct_latents, options))
    flame = flame_params.extract(model[1], iter(clips), settings(flame_params, options))
    with contextlib.closing(struct), contextlib.closing(flame):
        for (clip, first), (_, second) in zip(struct, flame, strict=True):
            fault = next((found for found in (first, second) if isinstance(found, ClipFault)), None)
            if fault is None:
                seen = ~np.isnan(clip.track().landmarks).any(axis=(1, 2))
                yield clip, compare(first["struct"], first["side"], second["flame"], seen, options)
            else:
                yield clip, fault


def compare(struct: np.ndarray, side: np.ndarray, flame: np.ndarray, seen: np.ndarray, options: dict) -> dict:
    """The columns of `SPEC` from the two features.

    Args:
        struct: `[T,128]`, as of `struct_latents`.
        side: `[T,5]`, likewise.
        flame: `[T,159]`, as of `flame_params`.
        seen: `[T]` bool, true at the frames to be judged; at least one.
        options: `pose_degrees` and `expression_floor`.
    """
    import numpy as np

    from talkset.nets import lp_p1

    angles = pose_angles(head_rotations(flame[seen, 150:153]), lp_p1.rotations(side[seen, :3]))
    parted = angles > options["pose_degrees"]
    likeness = expression_likeness([struct[seen, 63:126]], [flame[seen, 100:150], flame[seen, 153:156]])
    median = None if likeness is None else float(np.median(likeness))
    if median is not None and median >= RELATED:
        parted |= likeness < options["expression_floor"]
    mask = np.zeros(len(seen), bool)
    mask[seen] = parted
    return {
        "agreement_pose_p95": float(np.percentile(angles, 95)),
        "agreement_expression": median,
        "parted_share": float(parted.mean()),
        "parted_frames": to_text(mask),
    }


def head_rotations(turned: np.ndarray) -> np.ndarray:
    """FLAME's head rotations in the camera's axes (x right, y down, z away), `[T,3,3]` float64.

    Args:
        turned: `[T,3]` axis times angle in FLAME's axes (x right, y up, z towards the camera), radians.
    """
    import numpy as np

    turned = np.asarray(turned, np.float64)
    angle = np.linalg.norm(turned, axis=1)[:, None, None]
    x, y, z = (turned / np.maximum(angle[:, 0], 1e-12)).T
    zero = np.zeros_like(x)
    cross = np.array([[zero, -z, y], [z, zero, -x], [-y, x, zero]]).transpose(2, 0, 1)
    rotations = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    flip = np.array([1, -1, -1])
    return flip[:, None] * rotations * flip


def pose_angles(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Angle at every frame between two heads' rotations but for the constant one between their rests.

    The constant rotation is the geometric median, by E. Weiszfeld's iteration ("Sur le point pour lequel la somme des
    distances de n points donnes est minimum", Tohoku Mathematical Journal 43, 1937) on rotations.

    Args:
        first: `[T,3,3]`.
        second: `[T,3,3]`, in the same axes.

    Returns:
        `[T]` degrees.
    """
    import numpy as np

    between = first.transpose(0, 2, 1) @ second
    weights = np.ones(len(between))
    for _ in range(100):
        left, _, right = np.linalg.svd((weights[:, None, None] * between).sum(axis=0))
        constant = left @ np.diag([1, 1, np.linalg.det(left @ right)]) @ right
        # Half the chord is the sine of half the angle; exact for small angles, which the trace is not.
        half_chord = np.linalg.norm(between - constant, axis=(1, 2)) / np.sqrt(8)
        angles = 2 * np.arcsin(np.minimum(half_chord, 1))
        weights = 1 / np.maximum(angles, 1e-6)
    return np.degrees(angles)


def expression_likeness(first: list[np.ndarray], second: list[np.ndarray]) -> np.ndarray | None:
    """How far two descriptions of the same frames agree about which of these are alike.

    Args:
        first: parts of the one description, each `[T,n]`; every part counts equally.
        second: parts of the other.

    Returns:
        `[T]` rank correlations; `None` if the frames are fewer than `FEW` or do not differ in one description.
    """
    import numpy as np

    frames = len(first[0])
    if frames < FEW:
        return None
    others = np.unique(np.linspace(0, frames - 1, min(OTHERS, frames)).round().astype(int))
    apart = [distances(parts, others) for parts in (first, second)]
    if any(table is None for table in apart):
        return None
    found = np.empty(frames)
    for frame in range(frames):
        mine = others != frame
        # Stable, so that frames that are alike to both have one order.
        ranks = [table[frame, mine].argsort(kind="stable").argsort() for table in apart]
        found[frame] = np.corrcoef(*ranks)[0, 1]
    return found


def distances(parts: list[np.ndarray], others: np.ndarray) -> np.ndarray | None:
    """`[T,K]` distances of all frames to those numbered `others`; `None` if there is no difference anywhere."""
    import numpy as np

    total = 0
    for part in parts:
        values = np.asarray(part, np.float64)
        if np.ptp(values, axis=0).any():
            centred = values - values.mean(axis=0)
            centred /= np.sqrt((centred**2).sum(axis=1).mean())
            square = (centred**2).sum(axis=1)
            total = total + square[:, None] + square[others] - 2 * centred @ centred[others].T
    return None if np.isscalar(total) else np.sqrt(np.maximum(total, 0))


def to_text(mask: np.ndarray) -> str:
    """The true places of a `[T]` bool mask, counted from 0, as runs: `12-19 40`."""
    import numpy as np

    places = np.flatnonzero(mask)
    runs = np.split(places, np.flatnonzero(np.diff(places) > 1) + 1) if len(places) else []
    return " ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs)


def to_mask(text: str, frames: int) -> np.ndarray:
    """The `[frames]` bool mask that `to_text` wrote.

    Raises:
        ValueError: the text is none of its, or names a frame beyond the last.
    """
    import numpy as np

    mask = np.zeros(frames, bool)
    for run in text.split():
        found = re.fullmatch(r"(\d+)(?:-(\d+))?", run)
        first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, -1)
        if not first <= last < frames:
            raise ValueError(f"{run!r} is no run of frames from 0 to {frames - 1}")
        mask[first : last + 1] = True
    return mask
