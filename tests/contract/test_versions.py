"""A step whose code changed needs a decision: other results (raise its version) or the same (renew the hash)."""

from __future__ import annotations

import json
from pathlib import Path

from modules import SCRIPTS, digest

from talkset import registry
from talkset.versions import STEPS

LOCK = Path(__file__).with_name("versions.lock.json")


def current() -> dict[str, list]:
    """Version and code hash of every step and plug-in."""
    steps = {step: [version, digest(SCRIPTS / f"{step}.py")] for step, version in STEPS.items()}
    for kind in registry.KINDS:
        for name in registry.names(kind):
            path = SCRIPTS / "talkset" / kind / f"{name}.py"
            steps[f"{kind}/{name}"] = [registry.load(kind, name).SPEC.version, digest(path)]
    return dict(sorted(steps.items()))


def test_every_changed_step_was_decided():
    locked, now = json.loads(LOCK.read_text()), current()
    changed = [step for step in now if now[step] != locked.get(step)]
    assert not changed and set(now) == set(locked), (
        f"the code of {', '.join(changed) or 'a step that is gone'} changed. If results differ, raise the version "
        "(talkset/versions.py or the plug-in's SPEC); then, in both cases, record the decision: make versions"
    )


if __name__ == "__main__":
    LOCK.write_text(json.dumps(current(), indent=1) + "\n")
