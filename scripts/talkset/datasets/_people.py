"""Subsets of captioned video sets, people first: the rule, and the choice of so many clips by it.

The rule: a clip is taken only if its caption has a word of `people` and none of `exclude`; those that also have a word
of `talking` come first. Within each of the two the order is that of a hash of the video's id and `seed`, which knows
nothing of the file: the same options give the same clips anywhere, and a larger `count` only adds some.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

PEOPLE = [
    "person", "people", "man", "men", "woman", "women", "boy", "boys", "girl", "girls", "lady", "ladies", "guy",
    "guys", "gentleman", "child", "children", "kid", "kids", "teenager", "reporter", "journalist", "anchor",
    "newscaster", "presenter", "host", "speaker", "interviewer", "interviewee", "politician", "doctor", "teacher",
    "professor", "student", "chef", "actor", "actress", "singer", "comedian", "vlogger",
]  # fmt: skip
TALKING = [
    "talk", "talks", "talking", "speak", "speaks", "speaking", "interview", "interviews", "interviewed",
    "interviewing", "explains", "explaining", "presenter", "newscaster", "vlogger", "podcast", "speech", "microphone",
    "news anchor", "news reporter", "to the camera", "at the camera", "into the camera",
]  # fmt: skip
EXCLUDE = [
    "cartoon", "animated", "animation", "anime", "drawing", "painting", "illustration", "statue", "sculpture",
    "puppet", "doll", "toy", "mannequin", "screenshot", "screen", "silhouette", "slideshow", "3d", "video game",
]  # fmt: skip

OPTIONS: dict[str, Any] = {
    "count": {
        "type": ["integer", "null"],
        "minimum": 1,
        "default": 5000,
        "description": "Clips to take, people who talk first, then other people; null = all that the rule lets in.",
    },
    "seed": {
        "type": "integer",
        "default": 0,
        "description": "Another number gives another subset.",
    },
    "people": {
        "type": "array",
        "items": {"type": "string", "minLength": 1},
        "default": PEOPLE,
        "description": "A caption must have one of these words or phrases; [] = every caption will do.",
    },
    "talking": {
        "type": "array",
        "items": {"type": "string", "minLength": 1},
        "default": TALKING,
        "description": "Captions with one of these words or phrases come first.",
    },
    "exclude": {
        "type": "array",
        "items": {"type": "string", "minLength": 1},
        "default": EXCLUDE,
        "description": "A caption must have none of these words or phrases.",
    },
}


class Rule:
    """What a caption tells, by the options `people`, `talking` and `exclude`. Whole words count, in any case."""

    def __init__(self, options: dict):
        self._people = _any_of(options["people"]) if options["people"] else re.compile("")
        self._talking = _any_of(options["talking"])
        self._exclude = _any_of(options["exclude"])

    def tier(self, caption: str) -> int | None:
        """0: of people who talk; 1: of people; `None`: not to be taken."""
        if self._exclude.search(caption) or not self._people.search(caption):
            return None
        return 0 if self._talking.search(caption) else 1


class Choice:
    """The first `count` clips in the order of the rule, whatever the order in which they are offered."""

    def __init__(self, count: int | None, seed: int):
        self._count, self._seed = count, seed
        self._best: list[tuple[tuple[int, int, str, int], Any]] = []
        self._limit: tuple[int, int, str, int] | None = None

    def key(self, tier: int, video: str, place: int) -> tuple[int, int, str, int]:
        """Where a clip comes in the order: by tier, hash of its video, and place among its video's clips."""
        digest = hashlib.blake2b(f"{self._seed}/{video}".encode(), digest_size=8).digest()
        return tier, int.from_bytes(digest, "big"), video, place

    def open_to(self, key: tuple[int, int, str, int]) -> bool:
        """Whether a clip of this key can still be among the first."""
        return self._limit is None or key < self._limit

    def add(self, key: tuple[int, int, str, int], clip: Any) -> None:
        """Offer a clip; no two have the same key."""
        if self.open_to(key):
            self._best.append((key, clip))
            if self._count is not None and len(self._best) >= 2 * self._count:
                self._settle()

    def clips(self) -> list[Any]:
        """Those chosen, in order."""
        self._settle()
        return [clip for _, clip in self._best]

    def _settle(self) -> None:
        self._best.sort(key=lambda pair: pair[0])
        if self._count is not None and len(self._best) >= self._count:
            del self._best[self._count :]
            self._limit = self._best[-1][0]


def _any_of(words: list[str]) -> re.Pattern:
    """Matches any of the words as whole words; never, if there is none."""
    if not words:
        return re.compile("(?!)")
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, words))})(?!\w)", re.IGNORECASE)
