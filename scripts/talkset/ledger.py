"""The ledger: one row per annotated clip with its end and why, and a summary of it for people."""

from __future__ import annotations

import json
import re
import struct
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from talkset import tables, verdict
from talkset.faults import STATUSES, ToolFault

COLUMNS = (
    "clip",
    "dataset",
    "video",
    "subset",
    "status",  # a key of faults.STATUSES
    "reason",  # `;`-separated, every reason; of kept clips what lowers their weight and which features they lack
    "stage",  # where the clip ended; empty for kept ones
    "weight",  # sampling weight, above 0 to 1; 0 if not kept
    "duration_s",  # length of the crop, s; empty if there is none
    "features",  # modalities that the clip has, `;`-separated
    "url",
)

# Data sets of up to so many clips are listed clip by clip in the summary.
SMALL = 40
EXAMPLES = 3
REASONS_SHOWN = 30


def feature_header(path: Path) -> tuple[set[str], dict[str, str]]:
    """What one feature file holds, by its header alone.

    Args:
        path: a `.safetensors` file with keys `{clip}/{array}` and, in its metadata, `missing` (clip to reason).

    Returns:
        The clips that have arrays, and the reasons of those that have none.

    Raises:
        ToolFault: the file is damaged.
    """
    try:
        with open(path, "rb") as handle:
            (length,) = struct.unpack("<Q", handle.read(8))
            header = json.loads(handle.read(min(length, path.stat().st_size)))
        said = header.pop("__metadata__", {})
        return {key.partition("/")[0] for key in header}, json.loads(said.get("missing", "{}"))
    except (struct.error, ValueError, TypeError, AttributeError) as error:
        raise ToolFault(f"{path} is damaged ({error}); delete it and run the same command again") from error


def rows(
    clips: Iterable[Mapping[str, str]],
    verdicts: Mapping[str, Mapping[str, str]],
    present: Mapping[str, set[str]],
    missing: Mapping[str, Mapping[str, str]],
) -> list[dict]:
    """The ledger's rows in the order of the clip table.

    Args:
        clips: clip table rows.
        verdicts: rows of the filtered list by clip.
        present: modality to the clips that have it.
        missing: modality to clip to why it cannot have it.

    Raises:
        ToolFault: clips and verdicts are not of the same clips, a status is unknown, or a kept clip lacks a feature and
            no reason is given.
    """
    ledger = []
    for clip in clips:
        judged = verdicts.get(clip["clip"])
        if judged is None:
            raise ToolFault(f"the filtered list lacks clip {clip['clip']!r} of the clip table; build both again")
        if judged["status"] not in STATUSES:
            raise ToolFault(f"clip {clip['clip']!r} ends as {judged['status']!r}; known: {', '.join(STATUSES)}")
        kept = judged["status"] == "ok"
        reasons = verdict.split(judged["reasons"])
        has = [modality for modality in present if kept and clip["clip"] in present[modality]]
        lacking = [modality for modality in present if kept and modality not in has]
        for modality in lacking:
            if clip["clip"] not in missing[modality]:
                raise ToolFault(
                    f"features: {modality} holds nothing of the kept clip {clip['clip']!r} and no reason; "
                    f"delete features/{modality} of its shard and run the same command again"
                )
            reasons.append(f"no {modality}: {missing[modality][clip['clip']]}")
        taken = {column: clip[column] for column in ("clip", "dataset", "video", "subset", "url")}
        passed = {column: judged[column] for column in ("status", "stage", "weight", "duration_s")}
        ledger.append(taken | passed | {"reason": verdict.join(reasons), "features": ";".join(has)})
    strangers = verdicts.keys() - {row["clip"] for row in ledger}
    if strangers:
        raise ToolFault(f"the clip table lacks clip {min(strangers)!r} of the filtered list; build both again")
    return ledger


def listed_seconds(clips: Iterable[Mapping[str, str]]) -> tuple[float, int]:
    """Annotated length of all clips in seconds, and how many clips have no annotated end."""
    spans = [(tables.seconds(clip["start"]) or 0, tables.seconds(clip["end"])) for clip in clips]
    return float(sum(end - start for start, end in spans if end is not None)), sum(end is None for _, end in spans)


def summary(dataset: str, ledger: list[Mapping[str, str]], listed: tuple[float, int]) -> str:
    """A short text: hours listed and kept, clips per end with examples, clips per reason; small sets clip by clip.

    Args:
        dataset: its name.
        ledger: as `rows` gives it.
        listed: as `listed_seconds` gives it.
    """
    kept = [row for row in ledger if row["status"] == "ok"]
    open_ended = f" and {listed[1]} without an annotated end" if listed[1] else ""
    lines = [
        f"{dataset}: {len(ledger)} clips listed ({_hours(listed[0])}{open_ended}), "
        f"{len(kept)} kept ({_hours(sum(float(row['duration_s'] or 0) for row in kept))}, "
        f"weights sum to {sum(float(row['weight']) for row in kept):.6g})",
        "",
    ]
    by_status = defaultdict(list)
    for row in ledger:
        by_status[row["status"]].append(row["clip"])
    ends = [
        (status, str(len(there)), f"{100 * len(there) / len(ledger):.1f} %", _examples(there))
        for status, there in ((status, by_status[status]) for status in STATUSES)
        if there
    ]
    lines += _aligned([("end", "clips", "share", "for example"), *ends])
    counts = Counter((row["status"], kind) for row in ledger for kind in {_kind(row, text) for text in _reasons(row)})
    common = sorted(counts.items(), key=lambda item: (list(STATUSES).index(item[0][0]), -item[1], item[0][1]))
    if common:
        shown = [(status, str(count), kind) for (status, kind), count in common[:REASONS_SHOWN]]
        lines += ["", *_aligned([("end", "clips", "why (a clip can have several reasons)"), *shown])]
        if len(common) > REASONS_SHOWN:
            lines.append(f"... and {len(common) - REASONS_SHOWN} rarer reasons: see the ledger")
    if 0 < len(ledger) <= SMALL:
        table = [(row["clip"], row["status"], row["weight"], "; ".join(_reasons(row))) for row in ledger]
        lines += ["", *_aligned([("clip", "end", "weight", "why"), *table])]
    return "\n".join(lines) + "\n"


def _reasons(row: Mapping[str, str]) -> list[str]:
    return verdict.split(row["reason"])


def _kind(row: Mapping[str, str], reason: str) -> str:
    """What reasons are counted under: the rule, or the text with its numbers left out."""
    rule = re.match(r"((?:soft:|note:)?[^:]+): ", reason) if row["status"] in ("ok", "rejected") else None
    return rule[1] if rule else re.sub(r"\d+(\.\d+)?", "N", reason)


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.2f} h" if seconds >= 3600 else f"{seconds:.1f} s"


def _examples(clips: list[str]) -> str:
    return ", ".join(clips[:EXAMPLES]) + (", ..." if len(clips) > EXAMPLES else "")


def _aligned(table: list[tuple[str, ...]]) -> list[str]:
    """Lines of a table; columns of numbers to the right, the last column as it is."""
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    numeric = [all(re.fullmatch(r"[\d.]+( %)?", row[column]) for row in table[1:]) for column in range(len(table[0]))]
    return [
        "  ".join(
            text.rjust(width) if number else text.ljust(width)
            for text, width, number in zip(row, widths, numeric, strict=True)
        ).rstrip()
        for row in table
    ]
