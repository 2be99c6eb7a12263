"""Exact time: which source picture a slot of the output shows, and where a source's time begins.

All times are `Fraction` seconds. Nothing here is rounded but the number of slots of a clip.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from typing import TypeVar

Item = TypeVar("Item")

FPS = 25  # frames a second of every crop
RATE = 16000  # samples a second of every crop's sound
GAP = Fraction(1, 10)  # neighbours further apart than this: the earlier picture stays on display between them
PRIMING = Fraction(1, 10)  # sound that leads the picture by less than this is what its encoder put before it


def origin(picture_start: Fraction, sound_start: Fraction | None) -> Fraction:
    """The source stamp of annotated time 0.

    Stamp 0 where a stream has begun by then, else the earliest stamp of both (MPEG-TS, shifted mp4); sound that leads
    such a picture by less than `PRIMING` is what its encoder put before it and does not count.
    """
    earliest = picture_start if sound_start is None else min(picture_start, sound_start)
    if earliest <= 0:
        return Fraction(0)
    return picture_start if picture_start - earliest < PRIMING else earliest


def frame_count(start: Fraction, end: Fraction, fps: int | Fraction = FPS) -> int:
    """T: slots of a clip, `round((end - start) * fps)`, half to even."""
    return round((end - start) * fps)


def slots(start: Fraction, count: int, fps: int | Fraction = FPS) -> list[Fraction]:
    """Times of `count` slots from `start` on."""
    return [start + Fraction(slot, fps) for slot in range(count)]


def slots_before(start: Fraction, end: Fraction, fps: int | Fraction = FPS) -> int:
    """How many slots from `start` on lie before `end`."""
    return max(0, math.ceil((end - start) * fps))


def shown(
    pictures: Iterable[Item], slots: Iterable[Fraction], time: Callable[[Item], Fraction]
) -> Iterator[tuple[int, Item]]:
    """Yield for every slot its number and the picture that it shows, holding one picture at a time.

    The picture is the one whose time is nearest (tie: the earlier); where the two neighbours of a slot lie more
    than `GAP` apart, it is the one on display (the last at or before the slot). Before the first picture every slot
    shows the first, after the last every slot shows the last.

    Args:
        pictures: in order of time, strictly increasing.
        slots: in order of time.
    """
    pending = enumerate(slots)
    slot = next(pending, None)
    before = None
    for picture in pictures:
        while slot is not None and slot[1] < time(picture):
            if before is None:
                chosen = picture
            else:
                past, ahead = slot[1] - time(before), time(picture) - slot[1]
                chosen = before if past <= ahead or past + ahead > GAP else picture
            yield slot[0], chosen
            slot = next(pending, None)
        if slot is None:
            return
        before = picture
    while before is not None and slot is not None:
        yield slot[0], before
        slot = next(pending, None)


def pick_frames(stamps: Sequence[Fraction], slots: Iterable[Fraction]) -> list[int]:
    """Index into `stamps` of the picture that each slot shows (see `shown`)."""
    return [index for _, index in shown(range(len(stamps)), slots, lambda index: stamps[index])]
