"""Whether sound and lips of a clip go together: SyncNet's offset, confidence and distance.

`sync_offset` above 0 means that the sound comes before the lips: what is heard at frame `k` is seen at frame
`k + sync_offset`. It is put right by delaying the sound by as much. Steps are frames of 40 ms, 15 to both sides.

The score belongs to the crop: its pictures (25 a second) and its sound (16 kHz) are cut from one timeline. So the order
of the stages is cut, crop, this score, the correction of the sound where `sync: correct` asks for it, this score again
for the corrected crop, filter. Measured on anything else the offset is that of something else.

What the network sees is the square that github.com/joonson/syncnet_python cuts around the box of its own face detector
(S3FD). The box of talkset's faces spans the landmarks of the mesh; `face_scale` and `face_shift_up` turn it into such a
box. S3FD itself was not measured; the defaults are about the medians of two other detectors that learned from the same
data (WIDER FACE), on videos of four people. By person, CenterFace's boxes are 0.98 to 1.12 sides large and 0.03 to 0.07
higher, MTCNN's 1.04 to 1.17 and 0.05 to 0.07. EMOCA's data pipeline takes a detector's box for 1.1 times the size of
that of 68 landmarks, and its middle for 0.12 of the box higher: about 1.04 and 0.03, if it is 0.78 as wide as high. The
square reaches below the chin; where the crop ends before, it is grey there, as in the reference at a picture's edge.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from talkset.faults import ClipFault
from talkset.registry import Column, ScoreSpec
from talkset.timeline import FPS

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

BRIDGED = 25  # frames without a face over which the reference draws on
AT_ONCE = 256  # windows of sound

SPEC = ScoreSpec(
    name="sync",
    version=1,
    title="offset between sound and lips (SyncNet)",
    env="models.yaml",
    threads=2,
    mem_mb=4000,
    gpus=1,
    models=("model",),
    columns=(
        Column(
            "sync_offset",
            "frames of 40 ms",
            "by how much the sound comes before the lips, -15 to 15; below 0: after them. Empty without sound or face, "
            "for silence, and for clips shorter than min_frames",
        ),
        Column("sync_offset_ms", "ms", "the same in time"),
        Column(
            "sync_error_ms",
            "ms",
            "the same without its sign; also empty where sync_confidence is below min_confidence, because the offset "
            "is then that of chance (mouth hidden, no speech, or the voice of someone else)",
        ),
        Column(
            "sync_confidence",
            "",
            "median over the 31 shifts of the mean distance between the vectors of lips and sound, minus the least "
            "(LSE-C); high = sure",
        ),
        Column("sync_distance", "", "the least of these mean distances (LSE-D); low = lips and sound go together"),
    ),
    options={
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "model": {
                "description": "name of a SyncNet in config/models.yaml",
                "type": "string",
                "default": "syncnet-v2",
            },
            "min_confidence": {
                "description": "sync_confidence from which on sync_error_ms has a value",
                "type": "number",
                "minimum": 0,
                "default": 3,
            },
            "min_frames": {
                "description": "frames below which a clip has no value: a shift of 15 leaves T - 20 of T - 5 windows",
                "type": "integer",
                "minimum": 25,
                "default": 50,
            },
            "face_scale": {
                "description": "side of the face box that the network is used to, in sides of the landmarks' box",
                "type": "number",
                "minimum": 0.5,
                "maximum": 2,
                "default": 1.05,
            },
            "face_shift_up": {
                "description": "how much higher its middle is, in sides of the landmarks' box",
                "type": "number",
                "minimum": -0.5,
                "maximum": 0.5,
                "default": 0.05,
            },
            "batch_size": {
                "description": "windows of 5 pictures the model sees at once; changes no value beyond rounding",
                "type": "integer",
                "minimum": 1,
                "maximum": 1024,
                "default": 32,
            },
        },
    },
)


@dataclass(frozen=True)
class Model:
    """A loaded SyncNet.

    Attributes:
        net: the network, on `device`.
        device: where it computes.
    """

    net: Any
    device: Any

    def run(self, pictures) -> dict:
        """`[n,5,224,224,3]` uint8 BGR to `{"lips": [n,D]}`."""
        return {"lips": self.net.lips(pictures)}

    def sound(self, samples: np.ndarray):
        """`[T-5,D]` float32 tensor on the CPU, of a clip's `[640 T]` samples in [-1, 1)."""
        import torch

        from talkset.nets import syncnet

        windows = torch.from_numpy(syncnet.sound_windows(syncnet.mfcc(samples * 32768)))
        with torch.inference_mode():
            return torch.cat([self.net.sound(part.to(self.device)).cpu() for part in windows.split(AT_ONCE)])


def load(options: dict, models: dict) -> Model:
    """The network.

    Raises:
        ToolFault: it does not load.
    """
    from talkset import inference
    from talkset.nets import syncnet

    device = inference.device()
    return Model(syncnet.load(models["model"].file("syncnet_v2.model")).to(device), device)


def score(model: Model, clips, options: dict):
    """Yield every clip with the columns of `SPEC`, or with the reason why it has no value."""
    import torch

    from talkset import inference
    from talkset.nets import syncnet

    def items(clip):
        return windows(clip, options)

    size, device = options["batch_size"], model.device
    for clip, found in inference.batched(clips, items, model.run, size=size, device=device):
        if not isinstance(found, ClipFault):
            lips = torch.from_numpy(found["lips"])
            found = columns(syncnet.agreement(lips, model.sound(clip.pcm())), options["min_confidence"])
        yield clip, found


def columns(agreement, min_confidence: float) -> dict:
    """The columns of `SPEC` for a clip's `syncnet.Agreement`."""
    offset_ms = agreement.offset * 1000 // FPS
    return {
        "sync_offset": agreement.offset,
        "sync_offset_ms": offset_ms,
        "sync_error_ms": abs(offset_ms) if agreement.confidence >= min_confidence else None,
        "sync_confidence": agreement.confidence,
        "sync_distance": agreement.distance,
    }


def windows(clip, options: dict) -> Iterator[np.ndarray]:
    """Yield the windows of a clip that have all their sound, `T - 5` times `[5,224,224,3]` uint8 BGR.

    Raises:
        ClipFault: the clip has no sound or no face, or is too short.
    """
    import numpy as np

    from talkset.nets import syncnet

    samples = clip.pcm()
    if samples is None:
        raise ClipFault("no sound")
    if not np.ptp(samples):
        raise ClipFault("the sound is silence")
    if clip.frames < options["min_frames"]:
        raise ClipFault(f"{clip.frames} frames, fewer than the {options['min_frames']} that an offset needs")
    places = face_places(clip.track().box, options["face_scale"], options["face_shift_up"])
    window: deque[np.ndarray] = deque(maxlen=syncnet.WINDOW)
    for frame, picture in enumerate(clip.pictures("rgb24")):
        window.append(syncnet.face(picture[..., ::-1], *places[frame]))
        if syncnet.WINDOW - 1 <= frame < clip.frames - 1:
            yield np.stack(window)


def face_places(boxes: np.ndarray, scale: float, shift_up: float) -> np.ndarray:
    """Where the face is in each frame, for `syncnet.face`.

    Frames without a face lie on a line between their neighbours with one; before the first and after the last face it
    stays where it is.

    Args:
        boxes: `[T,4]` x0 y0 x1 y1 in pixels; NaN where there is no face.
        scale: see the options.
        shift_up: the same.

    Returns:
        `[T,3]` middle x, middle y and half of the side, smoothed.

    Raises:
        ClipFault: too many frames in a row have no face.
    """
    import numpy as np

    from talkset.nets import syncnet

    seen = np.flatnonzero(~np.isnan(boxes).any(axis=1))
    lost = int(np.diff(np.r_[-1, seen, len(boxes)]).max()) - 1
    if lost > BRIDGED or not len(seen):
        raise ClipFault(f"no face in {lost} frames in a row; no more than {BRIDGED} are bridged")
    x0, y0, x1, y1 = (np.interp(np.arange(len(boxes)), seen, boxes[seen, side]) for side in range(4))
    side = np.maximum(x1 - x0, y1 - y0)
    return np.stack(
        [
            syncnet.smoothed((x0 + x1) / 2),
            syncnet.smoothed((y0 + y1) / 2 - shift_up * side),
            syncnet.smoothed(scale * side / 2),
        ],
        axis=1,
    )
