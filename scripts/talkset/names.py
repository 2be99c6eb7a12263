"""Names that are safe as file names, from lists that nobody vouches for."""

from __future__ import annotations

import re

# One clip, video or shard id. A leading dot is never allowed; a leading `-` is (YouTube ids have it), which is why
# ids reach programs only behind a folder or through an API, never as a bare argument.
SAFE = r"[A-Za-z0-9_\-=+][A-Za-z0-9_.\-=+]{0,199}"
# Texts that `safe_name` leaves as they are: nearly all, and lists have millions.
UNCHANGED = re.compile(r"[A-Za-z0-9_+-][A-Za-z0-9_.+-]{0,199}")


def safe_name(text: str) -> str:
    """Map any text to a file-name safe id, one to one.

    Letters, digits, `_`, `-`, `+` and inner `.` stay; every other byte of the UTF-8 form, `=` itself and a leading
    dot become `=XX` (two hex digits), so `../x` is `=2E.=2Fx` and two different texts never share an id.

    Raises:
        ValueError: empty, or longer than 200 characters once mapped.
    """
    if UNCHANGED.fullmatch(text):
        return text
    mapped = "".join(
        char if re.fullmatch(r"[A-Za-z0-9_.+-]", char) else "".join(f"={byte:02X}" for byte in char.encode())
        for char in text
    )
    if mapped.startswith("."):
        mapped = "=2E" + mapped[1:]
    if not re.fullmatch(SAFE, mapped):
        raise ValueError(f"cannot make a file name of {text!r}: empty or longer than 200 characters")
    return mapped
