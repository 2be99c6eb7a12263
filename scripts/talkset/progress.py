"""Progress that people can see while a job runs, and that its log keeps."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")

# The terminal (or Snakemake's output) when `glue` has pointed stderr at the rule's log; else the same stderr.
console = sys.stderr


def say(text: str) -> None:
    """Print one line to the log and, where it is another place, to the terminal."""
    print(text, file=sys.stderr, flush=True)
    if console is not sys.stderr:
        print(text, file=console, flush=True)


def each(items: Iterable[Item], total: int, label: str, unit: str = "clips", every: float = 10.0) -> Iterator[Item]:
    """Yield `items`, saying how far they are and how long it will take, at most once per `every` seconds."""
    began = said = time.monotonic()
    for done, item in enumerate(items):
        now = time.monotonic()
        if done and now - said >= every:
            said = now
            left = (now - began) / done * (total - done)
            say(f"{label}: {done} of {total} {unit}, about {left / 60:.1f} min left")
        yield item
