"""From scores and rules to a verdict: a pure function, so changing a threshold computes no score again.

A rule speaks against a clip where `score operator threshold` holds, e.g. `duration_s < 2`. What it then does is its
`effect`: `reject` drops the clip, `weight` multiplies the clip's sampling weight by `factor`. Rules are data, so a
score that is added later gets its rule in the config. Every rule that speaks is named, and what it found:

    small: window_px 180 < 256               a hard rule: the clip is rejected
    soft:angle: head_angle_p95 52.3 > 45     a soft rule: the clip weighs less
    note:sync: sync_offset is not measured   the rule could not be asked and changed nothing

Where a clip has no value of the score, the rule does what its `if_empty` says, and its reason is the text in the
column that its `explain` names (`soft:snr: no sound`).
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from talkset.faults import ToolFault

ORDERS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
EQUALS = {"==": operator.eq, "!=": operator.ne}
EFFECTS = ("reject", "weight")
# What a rule does where the clip has no value of its score: nothing, or the same as where it speaks.
IF_EMPTY = ("skip", "apply")


@dataclass(frozen=True)
class Verdict:
    """What becomes of one clip.

    Attributes:
        keep: no hard rule speaks against it.
        weight: sampling weight, above 0 to 1; 0 if it is not kept.
        reasons: what every rule that has something to say found: hard ones, then `soft:`, then `note:`.
    """

    keep: bool
    weight: float
    reasons: tuple[str, ...]


def join(reasons: Iterable[str]) -> str:
    """Several reasons as one cell of a table; `split` gives them back."""
    return ";".join(" ".join(reason.replace(";", ",").split()) for reason in reasons if reason)


def split(cell: str) -> list[str]:
    """The reasons in one cell of a table."""
    return [reason for reason in cell.split(";") if reason]


def check(rules: Mapping[str, Mapping | None]) -> None:
    """Refuse rules that cannot be asked.

    Args:
        rules: by name; `None` switches a rule off.

    Raises:
        ToolFault: names the rule, the key and the value that was found.
    """
    for name, rule in rules.items():
        if rule is None:
            continue
        where = f"config: filter: rules: {name}"
        lacking = [key for key in ("score", "operator", "threshold", "effect") if rule.get(key) in (None, "")]
        if lacking:
            raise ToolFault(f"{where}: {lacking[0]} is missing; a rule needs score, operator, threshold and effect")
        _one_of(where, "operator", rule["operator"], EQUALS if isinstance(rule["threshold"], str) else ORDERS | EQUALS)
        _one_of(where, "effect", rule["effect"], EFFECTS)
        _one_of(where, "if_empty", rule.get("if_empty", "skip"), IF_EMPTY)
        if rule["effect"] == "weight" and not 0 < rule.get("factor", -1) < 1:
            raise ToolFault(f"{where}: factor is {rule.get('factor')!r}; a soft rule needs one between 0 and 1")


def _one_of(where: str, key: str, value, known) -> None:
    if value not in known:
        raise ToolFault(f"{where}: {key} is {value!r}; known here: {', '.join(known)}")


def judge(scores: Mapping[str, str], rules: Mapping[str, Mapping | None]) -> Verdict:
    """The verdict on one clip.

    Args:
        scores: a row of the quality table, as text; empty where there is no value.
        rules: as `check` accepts them.

    Raises:
        ToolFault: a value is no number where its rule compares numbers.
    """
    hard: list[str] = []
    soft: list[str] = []
    notes: list[str] = []
    weight = 1.0
    for name, rule in rules.items():
        if rule is None:
            continue
        speaks, text = _ask(name, rule, scores)
        if not speaks:
            notes.extend([f"note:{name}: {text}"] if text else [])
        elif rule["effect"] == "reject":
            hard.append(f"{name}: {text}")
        else:
            soft.append(f"soft:{name}: {text}")
            weight *= rule["factor"]
    return Verdict(not hard, 0.0 if hard else weight, tuple(hard + soft + notes))


def _ask(name: str, rule: Mapping, scores: Mapping[str, str]) -> tuple[bool, str]:
    """Whether a rule speaks against the clip, and what it has to say."""
    score, sign, threshold = rule["score"], rule["operator"], rule["threshold"]
    if score not in scores:
        return False, f"{score} is not measured"
    value = scores[score]
    if value == "":
        return rule.get("if_empty") == "apply", scores.get(rule.get("explain") or "") or f"{score} has no value"
    try:
        speaks = (ORDERS | EQUALS)[sign](value if isinstance(threshold, str) else float(value), threshold)
    except ValueError as error:
        raise ToolFault(f"config: filter: rules: {name}: {score} is {value!r}, no number like {threshold}") from error
    shown = threshold if isinstance(threshold, str) else format(threshold, ".6g")
    return speaks, f"{score} {value} {sign} {shown}" if speaks else ""
