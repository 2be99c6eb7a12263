"""What the documents say of statuses, scores and artifacts is what the code has."""

from __future__ import annotations

import re

import yaml
from workspace import REPOSITORY

from talkset import faults, models, paths, quality, registry

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
SETTINGS = (REPOSITORY / "config" / "README.md").read_text(encoding="utf-8")


def test_every_end_of_a_clip_is_in_the_readme():
    for status, meaning in faults.STATUSES.items():
        assert f"| `{status}` | {meaning} |" in README


def test_every_score_is_defined():
    columns = [*quality.SCORES]
    for name in registry.names("scores"):
        columns += registry.load("scores", name).SPEC.columns
    for column in columns:
        assert f"| `{column.name}` | {column.unit} | {column.description} |" in SETTINGS


def test_every_dataset_s_licence_is_in_the_readme():
    for name in registry.names("datasets"):
        spec = registry.load("datasets", name).SPEC
        assert f"| {spec.title} | {spec.licence} | {spec.access} |" in README


def test_every_model_is_in_the_settings():
    catalogue = yaml.safe_load((REPOSITORY / "config" / "models.yaml").read_text(encoding="utf-8"))["models"]
    rows = re.findall(r"^\| `(.+?)` \| (.+) \| (.+) \| (.+) \| (.+) \|$", SETTINGS.split("## Models")[1], re.MULTILINE)
    assert rows == [
        (
            name,
            about["use"],
            about["licence"],
            models.source({"repo": None, "url": None} | about) or "by registration",
            size([file["size"] for file in about["files"].values()]),
        )
        for name, about in catalogue.items()
    ]


def size(parts: list[int | None]) -> str:
    return "?" if None in parts else f"{sum(parts) / 1e6:.0f} MB"


def test_every_artifact_is_in_the_readme():
    for name in (
        "CLIP_TABLE",
        "SHARD_LIST",
        "CLIPS",
        "TRACKS",
        "CROPS",
        "SCORES",
        "QUALITY",
        "FILTERED",
        "FEATURES",
        "MANIFEST",
    ):
        assert f"`{getattr(paths, name)}`" in README, name


def test_files_and_commands_that_the_readme_names_exist():
    makefile = (REPOSITORY / "Makefile").read_text()
    for target in re.findall(r"(?:^|`|&& )make (\w+)", README, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"make {target}"
    for path in re.findall(
        r"\]\(([\w./-]+)\)",
        README + re.sub(r"\((config\.yaml|models\.yaml|schema/)", r"(config/\1", SETTINGS),
    ):
        assert (REPOSITORY / path).exists(), path
