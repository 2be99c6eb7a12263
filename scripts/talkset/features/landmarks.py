"""Face landmarks and head pose at every frame of a crop, taken from the face track: no model is run again.

The followed face's landmarks are moved from the source's picture into the crop's. Frames at which the track has no
face hold NaN in both arrays. A source frame that was analysed gives its own values; between analysed frames (a lower
track rate) they are interpolated linearly in time.
"""

from __future__ import annotations

from talkset import perclip
from talkset.faults import ClipFault
from talkset.registry import ArraySpec, FeatureSpec

SPEC = FeatureSpec(
    name="landmarks",
    version=1,
    title="face landmarks and head pose, 25 rows a second",
    env="features.yaml",
    threads=1,
    mem_mb=1000,
    gpus=0,
    arrays=(
        ArraySpec(
            name="landmarks",
            dtype="float32",
            shape="[T,478,3]",
            unit="pixel of the crop",
            description="mediapipe's face mesh with irises: x right, y down from the crop's upper left corner, z away "
            "from the viewer at the scale of x; NaN where there is no face",
        ),
        ArraySpec(
            name="pose",
            dtype="float32",
            shape="[T,3]",
            unit="degree",
            description="yaw, pitch and roll of the head as in the face track; NaN where there is no face",
        ),
    ),
)


def load(options: dict, models: dict) -> None:
    """Nothing to load: the face track holds all that is needed."""


def extract(model: None, clips, options: dict):
    """Yield every clip with its `landmarks` and `pose`, or with the reason why it has none."""
    return perclip.by_clip(clips, of_clip)


def of_clip(clip) -> dict:
    """One clip's `landmarks` and `pose`.

    Raises:
        ClipFault: no face was followed at any frame.
    """
    import numpy as np

    track = clip.track()
    if np.isnan(track.pose).all():
        raise ClipFault("no face was followed")
    return {"landmarks": track.landmarks, "pose": track.pose}
