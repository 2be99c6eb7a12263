"""Results clip by clip: made without batches (`by_clip`), held against the clips that were asked for (`in_step`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from talkset.faults import ClipFault

if TYPE_CHECKING:
    from talkset.clipdata import CropClip

Found = TypeVar("Found")


def by_clip(
    clips: Iterable[CropClip], function: Callable[[CropClip], Found]
) -> Iterator[tuple[CropClip, Found | ClipFault]]:
    """Yield every clip with what `function` finds in it, or with the `ClipFault` that it raises."""
    for clip in clips:
        try:
            found = function(clip)
        except ClipFault as fault:
            found = fault
        yield clip, found


def in_step(
    clips: Sequence[CropClip], function: Callable[[Iterator[CropClip]], Iterable[tuple[CropClip, Found]]]
) -> Iterator[tuple[CropClip, Found]]:
    """Yield what a plug-in yields for `clips`.

    Args:
        clips: what the plug-in is given, as an iterator; without any it is not called.
        function: the plug-in's own; closed when this generator ends, also before its last clip.

    Raises:
        ValueError: it gives another clip than the next one, one more or one less: a defect of the plug-in.
    """
    if not clips:
        return
    results = iter(function(iter(clips)))
    try:
        for clip in clips:
            same, found = next(results, (None, None))
            if same is not clip:
                raise ValueError(f"{clip.clip}: the plug-in gave {same.clip if same else 'nothing'} in its place")
            yield clip, found
        if next(results, None) is not None:
            raise ValueError("the plug-in gave more results than clips")
    finally:
        if hasattr(results, "close"):
            results.close()
