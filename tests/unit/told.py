"""What an adapter said of odd records."""

from __future__ import annotations

import re


def told(output: str, kind: str, count: int, example: str = "") -> bool:
    """Whether one line of `output` names a kind of record, their count and the first of them."""
    return any(
        kind in line and example in line and re.search(rf"(?<!\d){count}(?!\d)", line.replace(kind, "", 1))
        for line in output.splitlines()
    )
