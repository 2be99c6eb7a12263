"""Rules on planted scores: just below and just above every threshold, no value, no column, wrong rules."""

from __future__ import annotations

import pytest

from talkset import verdict
from talkset.faults import ToolFault

RULES = {
    "short": {"score": "duration_s", "operator": "<", "threshold": 2, "effect": "reject"},
    "small": {"score": "window_px", "operator": "<", "threshold": 256, "effect": "reject"},
    "faces": {"score": "share_2plus", "operator": ">", "threshold": 0.05, "effect": "reject"},
    "blur": {"score": "blur", "operator": "<", "threshold": 8, "effect": "weight", "factor": 0.5},
    "snr": {
        "score": "snr_db",
        "operator": "<",
        "threshold": 10,
        "effect": "weight",
        "factor": 0.25,
        "if_empty": "apply",
        "explain": "sound",
    },
}
GOOD = {"duration_s": "4", "window_px": "300", "share_2plus": "0", "blur": "50", "snr_db": "22.5", "sound": "speech"}


def rule(operator: str, threshold, **changed) -> dict:
    return {"r": {"score": "s", "operator": operator, "threshold": threshold, "effect": "reject"} | changed}


def test_a_good_clip_has_full_weight_and_nothing_is_said():
    assert verdict.judge(GOOD, RULES) == verdict.Verdict(True, 1.0, ())


@pytest.mark.parametrize(
    "score, value, said",
    [
        ("duration_s", "1.96", "short: duration_s 1.96 < 2"),
        ("window_px", "255", "small: window_px 255 < 256"),
        ("share_2plus", "0.0500001", "faces: share_2plus 0.0500001 > 0.05"),
    ],
)
def test_a_hard_rule_rejects(score, value, said):
    assert verdict.judge(GOOD | {score: value}, RULES) == verdict.Verdict(False, 0.0, (said,))


LIMITS = {"duration_s": "2", "window_px": "256", "share_2plus": "0.05", "blur": "8"}


@pytest.mark.parametrize("score, value", LIMITS.items())
def test_a_value_on_the_threshold_passes(score, value):
    assert verdict.judge(GOOD | {score: value}, RULES) == verdict.Verdict(True, 1.0, ())


def test_soft_rules_multiply_the_weight():
    found = verdict.judge(GOOD | {"blur": "7.99", "snr_db": "9.9"}, RULES)
    assert found == verdict.Verdict(True, 0.125, ("soft:blur: blur 7.99 < 8", "soft:snr: snr_db 9.9 < 10"))


def test_every_rule_that_speaks_is_named_hard_ones_first():
    found = verdict.judge(GOOD | {"blur": "1", "share_2plus": "1", "duration_s": "1"}, dict(reversed(RULES.items())))
    assert found.reasons == (
        "faces: share_2plus 1 > 0.05",
        "short: duration_s 1 < 2",
        "soft:blur: blur 1 < 8",
    )
    assert (found.keep, found.weight) == (False, 0.0)


def test_no_value_where_the_rule_applies_then():
    found = verdict.judge(GOOD | {"snr_db": "", "sound": "no sound"}, RULES)
    assert found == verdict.Verdict(True, 0.25, ("soft:snr: no sound",))


def test_no_value_where_the_rule_does_not_apply_then():
    found = verdict.judge(GOOD | {"blur": ""}, RULES)
    assert found == verdict.Verdict(True, 1.0, ("note:blur: blur has no value",))


def test_no_column_changes_nothing_and_is_said():
    without = {name: value for name, value in GOOD.items() if name not in ("snr_db", "sound")}
    assert verdict.judge(without, RULES) == verdict.Verdict(True, 1.0, ("note:snr: snr_db is not measured",))


def test_a_rule_can_be_switched_off():
    assert verdict.judge(GOOD | {"duration_s": "1"}, RULES | {"short": None}).keep
    verdict.check(RULES | {"short": None})


@pytest.mark.parametrize(
    "operator, below, at, above",
    [
        ("<", False, True, True),
        ("<=", False, False, True),
        (">", True, True, False),
        (">=", True, False, False),
        ("==", True, False, True),
        ("!=", False, True, False),
    ],
)
def test_operators(operator, below, at, above):
    rules = rule(operator, 1.5)
    verdict.check(rules)
    assert [verdict.judge({"s": value}, rules).keep for value in ("1.4999", "1.5", "1.5001")] == [below, at, above]


def test_texts_are_compared_as_texts():
    rules = rule("==", "vp9")
    verdict.check(rules)
    assert verdict.judge({"s": "vp9"}, rules).reasons == ("r: s vp9 == vp9",)
    assert verdict.judge({"s": "h264"}, rules).keep


@pytest.mark.parametrize(
    "rules, said",
    [
        (rule("=<", 1), "operator is '=<'; known here: <, <=, >, >=, ==, !="),
        (rule("<", "x"), "operator is '<'; known here: ==, !="),
        (rule("<", None), "threshold is missing"),
        (rule("<", 1, score=""), "score is missing"),
        (rule("<", 1, effect="drop"), "effect is 'drop'; known here: reject, weight"),
        (rule("<", 1, effect="weight"), "factor is None"),
        (rule("<", 1, effect="weight", factor=1), "factor is 1"),
        (rule("<", 1, effect="weight", factor=0), "factor is 0"),
        (rule("<", 1, if_empty="reject"), "if_empty is 'reject'; known here: skip, apply"),
    ],
)
def test_a_wrong_rule_is_named_with_its_value(rules, said):
    with pytest.raises(ToolFault) as fault:
        verdict.check(rules)
    assert str(fault.value).startswith("config: filter: rules: r: ") and said in str(fault.value)


def test_a_threshold_for_a_text_is_a_fault_of_the_config():
    with pytest.raises(ToolFault, match="filter: rules: r: s is 'h264', no number like 25"):
        verdict.judge({"s": "h264"}, rule("<", 25))


def test_reasons_stay_apart_in_a_cell():
    cell = verdict.join(["a; b", "", "two\nlines\tand a tab"])
    assert verdict.split(cell) == ["a, b", "two lines and a tab"]
    assert verdict.split(verdict.join([])) == []
