"""The download lane of a working folder: one pace for all jobs, and a stop for all jobs when the site refuses them.

State lies in one folder, so that parallel jobs and later runs share it:

    lock           held while the state is read and written
    pace.json      {"next": time before which no video is begun, "begun": [times within the last hour]}
    blocked.json   {"reason", "since", "until", "video"}; ignored once `until` has passed
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import json
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from talkset import files, progress
from talkset.faults import LaneBlocked

HOUR = 3600.0


class Lane:
    """One lane.

    Args:
        folder: where its state lies; made if it is not there.
        interval: least time between two videos, seconds.
        jitter: up to so many seconds are added to each interval, evenly spread.
        per_hour: most videos begun within any hour.
        cooldown: how long a refused lane rests, seconds.
        clock: seconds since the epoch.
        sleep: waits for a number of seconds.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        interval: float,
        jitter: float,
        per_hour: int,
        cooldown: float,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ):
        self.folder = Path(folder)
        self.interval = interval
        self.jitter = jitter
        self.per_hour = per_hour
        self.cooldown = cooldown
        self.clock = clock
        self.sleep = sleep
        self.folder.mkdir(parents=True, exist_ok=True)

    def turn(self, label: str) -> None:
        """Wait until the pace allows one more video, and count it.

        Args:
            label: who waits, for the progress lines.

        Raises:
            LaneBlocked: the lane rests, or comes to rest while waiting.
        """
        said = None
        while True:
            with self._locked():
                self.check()
                now = self.clock()
                wait = self._due(now) - now
                if wait <= 0:
                    self._count(now)
                    return
            if said is None or now - said >= 300:
                said = now
                progress.say(f"{label}: waiting {wait:.0f} s for its turn (the lane's pace)")
            self.sleep(min(wait, 1.0))

    def check(self) -> None:
        """Raise `LaneBlocked` if the lane rests."""
        mark = self._read("blocked.json")
        if isinstance(mark.get("until"), (int, float)) and self.clock() < mark["until"]:
            raise LaneBlocked(self._sentence(mark))

    def block(self, reason: str, video: str) -> LaneBlocked:
        """Bring the lane to rest for its cool-down; the exception to raise.

        Args:
            reason: the site's text, already without secrets.
            video: id of the video that met it; it stays untried.
        """
        now = self.clock()
        mark = {"reason": reason, "since": now, "until": now + self.cooldown, "video": video}
        with self._locked():
            files.write_json(self.folder / "blocked.json", mark)
        return LaneBlocked(self._sentence(mark))

    def _sentence(self, mark: dict) -> str:
        until = datetime.datetime.fromtimestamp(mark["until"]).astimezone().strftime("%Y-%m-%d %H:%M:%S %z")
        met = f"{mark.get('reason', 'no reason kept')}; met at {mark.get('video', '?')}"
        return (
            f"the site refused this session ({met}), so downloads rest until {until} "
            f"and what is missing stays untried: run the same command again after that "
            f"(to try at once, delete {self.folder / 'blocked.json'})"
        )

    def _due(self, now: float) -> float:
        """The time at which the next video may begin."""
        pace = self._read("pace.json")
        begun = self._begun(pace, now)
        # A clock that was set back must not hold the lane: a video begun in the future is its sign.
        set_back = any(moment > now for moment in pace.get("begun", []))
        due = now if set_back else pace.get("next", now)
        if len(begun) >= self.per_hour:
            due = max(due, begun[-self.per_hour] + HOUR)
        return due

    def _count(self, now: float) -> None:
        begun = [*self._begun(self._read("pace.json"), now), now]
        pause = self.interval + random.uniform(0.0, self.jitter)
        files.write_json(self.folder / "pace.json", {"next": now + pause, "begun": begun})

    @staticmethod
    def _begun(pace: dict, now: float) -> list[float]:
        return [moment for moment in pace.get("begun", []) if now - HOUR < moment <= now]

    def _read(self, name: str) -> dict:
        """A state file's content; a missing or damaged one counts as empty."""
        try:
            content = json.loads((self.folder / name).read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        with open(self.folder / "lock", "a") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)  # let go when the handle closes, also by a killed job
            yield
