"""Which picture a slot shows, and where a source's time begins: checked against the rules written out by hand."""

import random
from fractions import Fraction

import pytest

from talkset import timeline

MS = Fraction(1, 1000)


@pytest.mark.parametrize(
    ("picture", "sound", "expected"),
    [
        (0, 0, 0),
        (0, -21 * MS, 0),  # priming that the container signals
        (Fraction(14, 10), Fraction(14, 10) - 21 * MS, Fraction(14, 10)),  # MPEG-TS with AAC
        (Fraction(14, 10), Fraction(13, 10), Fraction(13, 10)),  # 100 ms are no priming
        (Fraction(14, 10), 1, 1),
        (Fraction(14, 10), 2, Fraction(14, 10)),
        (Fraction(14, 10), None, Fraction(14, 10)),
        (Fraction(1, 2), 0, 0),  # the picture begins later: it keeps that offset
        (-2, None, 0),
        (80 * MS, 0, 0),
    ],
)
def test_origin(picture, sound, expected):
    assert timeline.origin(Fraction(picture), sound if sound is None else Fraction(sound)) == expected


def test_frame_count_rounds_half_to_even():
    assert timeline.frame_count(Fraction(0), Fraction("2.5")) == 62
    assert timeline.frame_count(Fraction(0), Fraction("2.54")) == 64
    assert timeline.frame_count(Fraction(7), Fraction(27)) == 500
    assert timeline.frame_count(Fraction("61.51"), Fraction("81.26")) == 494
    assert timeline.frame_count(Fraction(0), Fraction("0.5")) == 12  # 12.5
    assert timeline.frame_count(Fraction(0), Fraction("0.54")) == 14  # 13.5


def test_slots_are_exact_and_stop_before_the_end():
    assert timeline.slots(Fraction(1, 3), 3) == [Fraction(1, 3), Fraction(1, 3) + Fraction(1, 25), Fraction(31, 75)]
    assert timeline.slots_before(Fraction(0), Fraction(10)) == 250
    assert timeline.slots_before(Fraction(0), Fraction("10.01")) == 251
    assert timeline.slots_before(Fraction(11), Fraction(10)) == 0


def test_nearest_picture_wins_and_the_earlier_one_a_tie():
    stamps = [0 * MS, 40 * MS, 80 * MS]
    assert timeline.pick_frames(stamps, [19 * MS, 20 * MS, 21 * MS, 60 * MS]) == [0, 0, 1, 1]


def test_across_a_gap_the_picture_on_display_stays():
    stamps = [0 * MS, 100 * MS, 201 * MS]
    assert timeline.pick_frames(stamps, [60 * MS, 190 * MS, 201 * MS]) == [1, 1, 2]


def test_outside_the_pictures_the_first_and_the_last_are_shown():
    assert timeline.pick_frames([500 * MS, 540 * MS], [0 * MS, 400 * MS, 900 * MS]) == [0, 0, 1]
    assert timeline.pick_frames([], [0 * MS]) == []


@pytest.mark.parametrize("fps", ["24000/1001", "24", "25", "30000/1001", "30", "50", "60000/1001", "60"])
def test_every_slot_of_a_constant_rate_is_within_half_a_source_frame(fps):
    fps = Fraction(fps)
    stamps = [number / fps for number in range(400)]
    slots = timeline.slots(Fraction("1.234"), 100)
    for slot, pick in zip(slots, timeline.pick_frames(stamps, slots), strict=True):
        assert abs(stamps[pick] - slot) <= 1 / fps / 2


def test_streaming_and_plain_search_agree_on_irregular_stamps():
    rng = random.Random(5)
    stamps = [Fraction(0)]
    while len(stamps) < 300:
        stamps.append(stamps[-1] + Fraction(rng.choice([1, 7, 33, 34, 40, 99, 100, 101, 700]), 1000))
    slots = timeline.slots(Fraction("0.0137"), int(stamps[-1] * 25))
    for slot, pick in zip(slots, timeline.pick_frames(stamps, slots), strict=True):
        before = max((index for index, stamp in enumerate(stamps) if stamp <= slot), default=None)
        after = before + 1 if before is not None and before + 1 < len(stamps) else before
        gap = stamps[after] - stamps[before]
        nearer = after if stamps[after] - slot < slot - stamps[before] else before
        assert pick == (before if gap > 100 * MS else nearer)
