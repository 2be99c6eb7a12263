"""The lane's pace and its rest, with a clock of the test's own."""

from __future__ import annotations

import json
import threading

import pytest

from talkset.acquire.lane import Lane
from talkset.faults import LaneBlocked


class Clock:
    """Time that passes only by sleeping, shared by threads."""

    def __init__(self):
        self.now = 1_000_000.0
        self.lock = threading.Lock()

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        with self.lock:
            self.now += seconds


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def lane(tmp_path, clock):
    def make(**more):
        settings = {"interval": 10.0, "jitter": 0.0, "per_hour": 1000, "cooldown": 600.0} | more
        return Lane(tmp_path / "lane", clock=clock, sleep=clock.sleep, **settings)

    return make


def begun(tmp_path):
    return json.loads((tmp_path / "lane" / "pace.json").read_text())["begun"]


def test_the_first_video_does_not_wait_and_the_next_ones_do(tmp_path, lane, clock):
    started = clock()
    for _ in range(4):
        lane().turn("v")
    assert [moment - started for moment in begun(tmp_path)] == [0.0, 10.0, 20.0, 30.0]


def test_jitter_lengthens_the_interval(tmp_path, lane):
    for _ in range(20):
        lane(jitter=5.0).turn("v")
    moments = begun(tmp_path)
    gaps = [after - before for before, after in zip(moments, moments[1:], strict=False)]
    assert all(10.0 <= gap <= 16.0 for gap in gaps) and len({round(gap, 3) for gap in gaps}) > 5


def test_no_more_than_so_many_in_any_hour(tmp_path, lane, clock):
    started = clock()
    for _ in range(5):
        lane(interval=1.0, per_hour=3).turn("v")
    assert [moment - started for moment in begun(tmp_path)[-2:]] == [3600.0, 3601.0]


def test_parallel_jobs_keep_the_pace_together(tmp_path, lane):
    def job():
        for _ in range(5):
            lane().turn("v")

    jobs = [threading.Thread(target=job) for _ in range(3)]
    for one in jobs:
        one.start()
    for one in jobs:
        one.join()
    moments = sorted(begun(tmp_path))
    assert len(moments) == 15
    assert min(after - before for before, after in zip(moments, moments[1:], strict=False)) >= 10.0


def test_a_refused_lane_rests_for_all_jobs_and_then_goes_on(tmp_path, lane, clock):
    fault = lane().block("HTTP Error 429", "video1")
    assert "HTTP Error 429" in str(fault) and "video1" in str(fault) and "run the same command again" in str(fault)
    with pytest.raises(LaneBlocked, match="HTTP Error 429"):
        lane().turn("v")
    assert not (tmp_path / "lane" / "pace.json").exists()
    mark = json.loads((tmp_path / "lane" / "blocked.json").read_text())
    assert mark == {"reason": "HTTP Error 429", "since": clock(), "until": clock() + 600, "video": "video1"}
    clock.sleep(599.0)
    with pytest.raises(LaneBlocked):
        lane().turn("v")
    clock.sleep(1.0)
    lane().turn("v")


def test_a_job_that_waits_learns_of_the_refusal(lane, clock):
    lane().turn("first")
    waiting = lane()
    real = waiting.sleep

    def sleep(seconds):
        real(seconds)
        lane().block("bot check", "other")

    waiting.sleep = sleep
    with pytest.raises(LaneBlocked, match="bot check"):
        waiting.turn("second")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"until": "soon"}'])
def test_a_damaged_state_holds_nobody(tmp_path, lane, text):
    one = lane()
    (tmp_path / "lane" / "blocked.json").write_text(text)
    (tmp_path / "lane" / "pace.json").write_text(text)
    one.turn("v")


def test_a_clock_that_was_set_back_does_not_hold_the_lane(tmp_path, lane, clock):
    lane().turn("v")
    clock.now -= 100_000
    before = clock()
    lane().turn("v")
    assert clock() - before <= 10.0
