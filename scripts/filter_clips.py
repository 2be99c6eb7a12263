"""Judge every clip of one shard: keep it or not, its sampling weight and why. Scores and rules only, no media."""

from pathlib import Path

from talkset import glue, tables, verdict

COLUMNS = (
    "clip",
    "status",  # a key of faults.STATUSES; clips that ended before keep theirs
    "stage",  # where the clip ended; empty while it has not
    "keep",  # 1 or 0
    "weight",  # sampling weight, above 0 to 1; 0 if not kept
    "reasons",  # `;`-separated; see talkset.verdict for their form
    "duration_s",
)


def main(quality: Path, filtered: Path, *, rules: dict, version: int) -> None:
    """Write the verdict on every row of `quality`, with the scores that the rules ask for.

    Args:
        quality: the shard's scores.
        filtered: the shard's verdicts, rows in the same order.
        rules: see `talkset.verdict`.
    """
    verdict.check(rules)
    asked = dict.fromkeys(rule["score"] for rule in rules.values() if rule)
    scores = [score for score in asked if score not in COLUMNS]
    shown = ("duration_s", *scores)
    table = [judged(row, rules) | {score: row.get(score) for score in shown} for row in tables.rows(quality)]
    tables.write(filtered, (*COLUMNS, *scores), table)


def judged(row: dict[str, str], rules: dict) -> dict:
    """The verdict's columns for one row of the quality table."""
    if row["status"] != "ok":
        passed = {"status": row["status"], "stage": row["stage"], "keep": 0, "weight": 0}
        return {"clip": row["clip"], **passed, "reasons": verdict.join([row["reason"]])}
    found = verdict.judge(row, rules)
    reasons = [*found.reasons, *(f"note:{reason}" for reason in verdict.split(row["reason"]))]
    return {
        "clip": row["clip"],
        "status": "ok" if found.keep else "rejected",
        "stage": "" if found.keep else "filter",
        "keep": int(found.keep),
        "weight": format(found.weight, ".6g"),
        "reasons": verdict.join(reasons),
    }


if __name__ == "__main__":
    glue.run(main, snakemake)  # noqa: F821
