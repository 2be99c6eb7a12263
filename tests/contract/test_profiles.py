"""Profiles: what the default holds wins over `--profile slurm`, so the two must not meet in a key."""

from __future__ import annotations

import re

import pytest
import yaml
from workspace import REPOSITORY

PROFILES = {path.parent.name: yaml.safe_load(path.read_text()) for path in REPOSITORY.glob("profiles/*/profile.yaml")}


def test_default_and_slurm_share_no_key():
    assert not set(PROFILES["default"]) & set(PROFILES["slurm"])


def test_slurm_is_found_by_its_short_name_from_the_root():
    assert (REPOSITORY / "slurm" / "profile.yaml").samefile(REPOSITORY / "profiles" / "slurm" / "profile.yaml")


@pytest.mark.parametrize("path", sorted(REPOSITORY.glob("envs/*.yaml")), ids=lambda path: path.name)
def test_envs_pin_every_package_exactly(path):
    env = yaml.safe_load(path.read_text())
    assert "nodefaults" in env["channels"]
    flat = []
    for item in env["dependencies"]:
        flat += item["pip"] if isinstance(item, dict) else [item]
    assert any(str(item).startswith("python=") for item in flat)
    for item in flat:
        assert re.fullmatch(r"[\w.-]+={1,2}[\w.]+", item) or item == "pip", item
