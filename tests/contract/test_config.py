"""The schema is closed and described; the shipped config shows exactly its defaults; every sample config is valid."""

from __future__ import annotations

import copy

import pytest
import yaml
from jsonschema import Draft202012Validator
from workspace import REPOSITORY

from talkset import config as configuration
from talkset import registry
from talkset.faults import ToolFault

SCHEMA = yaml.safe_load((REPOSITORY / "config" / "schema" / "config.schema.yaml").read_text())
MODELS = yaml.safe_load((REPOSITORY / "config" / "models.yaml").read_text())
SHIPPED = yaml.safe_load((REPOSITORY / "config" / "config.yaml").read_text()) | MODELS


def objects(schema, where="top"):
    """Every object schema with properties, and where it stands."""
    if isinstance(schema, dict):
        if "properties" in schema:
            yield where, schema
        for key, value in schema.items():
            if key != "default":
                yield from objects(value, f"{where}/{key}")
    elif isinstance(schema, list):
        for position, value in enumerate(schema):
            yield from objects(value, f"{where}/{position}")


def test_schema_is_valid_closed_and_described():
    Draft202012Validator.check_schema(SCHEMA)
    for where, schema in objects(SCHEMA):
        assert schema.get("additionalProperties") is False, f"{where} is open"
        for key, value in schema["properties"].items():
            assert value.get("description"), f"{where}: {key} has no description"
            optional = where.endswith("/rule")  # which keys a rule of the filter has is its own affair
            assert "default" in value or key in schema.get("required", []) or optional, f"{where}: {key} has no default"


def test_shipped_config_is_the_defaults():
    filled = configuration._fill(SCHEMA, {"build": SHIPPED["build"], "datasets": {}}, SCHEMA)
    for section in configuration.SECTIONS:
        assert SHIPPED[section] == filled[section], section
    assert set(SHIPPED) == set(filled)


@pytest.mark.parametrize("path", sorted(REPOSITORY.glob("config/*.yaml")), ids=lambda path: path.name)
def test_sample_configs_are_valid(path):
    given = configuration._overlay(SHIPPED, yaml.safe_load(path.read_text()))
    assert configuration.resolve(given, SCHEMA)["datasets"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"crops": {}}, ["crops", "known"]),
        ({"crop": {"sise": 512}}, ["crop", "sise", "size"]),
        ({"crop": {"size": "big"}}, ["crop: size", "big"]),
        ({"crop": {"way": "cropped"}}, ["crop: way", "cropped", "tracked"]),
        ({"build": ["hdft"]}, ["hdft", "hdtf"]),
        ({"datasets": {"hdtf": {"shard_size": 0}}}, ["shard_size", "0"]),
        ({"datasets": {"hdtf": {"adapter": "hdft"}}}, ["hdft", "hdtf"]),
        ({"datasets": {"hdtf": {"crop": {"crf": 99}}}}, ["crf", "99"]),
        ({"datasets": {"hdtf": {"options": {"sets": ["RD"]}}}}, ["sets", "known"]),
        ({"features": {"mell": {}}}, ["mell", "mel"]),
        ({"filter": {"rules": {"mine": {"score": "blur"}}}}, ["mine", "operator"]),
        ({"build": ["mead"]}, ["mead: raw", "Terms of Use", "mead"]),
        ({"build": ["webvid"]}, ["webvid: annotations", "results_10M_train.csv", "withdrawn", "Panda-70M"]),
        ({"build": ["vfhq"]}, ["vfhq: annotations", "meta_info.zip", "OneDrive"]),
        (
            {"build": ["talkvid"], "datasets": {"talkvid": {"options": {"only": "Core.json"}}}},
            ["Core.json has no hash"],
        ),
        (
            {"build": ["voxceleb2"], "datasets": {"voxceleb2": {"annotations": "x", "options": {"source": "local"}}}},
            ["voxceleb2: raw"],
        ),
    ],
)
def test_a_wrong_key_or_value_names_itself(change, words):
    given = configuration._overlay(SHIPPED, change)
    with pytest.raises(ToolFault) as fault:
        configuration.resolve(given, SCHEMA)
    for word in words:
        assert word in str(fault.value), str(fault.value)


def test_a_dataset_overrides_a_section_key_by_key_and_nothing_is_shared():
    given = configuration._overlay(SHIPPED, {"datasets": {"hdtf": {"crop": {"way": "annotated"}}}})
    before = copy.deepcopy(given)
    resolved = configuration.resolve(given, SCHEMA)["datasets"]["hdtf"]
    assert resolved["crop"]["way"] == "annotated"
    assert resolved["crop"]["size"] == SHIPPED["crop"]["size"]
    assert resolved["track"] == SHIPPED["track"]
    assert given == before, "resolve() changed what it was given"


def test_only_what_the_options_need_must_be_given():
    """VFHQ's pictures need no texts, a folder without a table no annotations."""
    given = {"build": ["vfhq_test", "folder"], "datasets": {"vfhq_test": {"raw": "x"}, "folder": {"raw": "y"}}}
    resolved = configuration.resolve(configuration._overlay(SHIPPED, given), SCHEMA)["datasets"]
    assert resolved["vfhq_test"]["options"] == {"source": "frames", "meta": None, "fps": 25, "require_window": False}
    assert resolved["vfhq_test"]["crop"]["way"] == "whole" and resolved["folder"]["annotations"] is None


def test_every_adapter_has_an_entry_that_is_complete_but_for_its_folders():
    folders = {name: {"annotations": "lists", "raw": "videos"} for name in SHIPPED["datasets"]}
    given = configuration._overlay(SHIPPED, {"build": list(folders), "datasets": folders})
    resolved = configuration.resolve(given, SCHEMA)["datasets"]
    assert {settings["adapter"] for settings in resolved.values()} == set(registry.names("datasets"))


def test_a_feature_is_switched_off_with_null():
    given = configuration._overlay(SHIPPED, {"datasets": {"hdtf": {"features": {"mel": None}}}})
    assert "mel" not in configuration.resolve(given, SCHEMA)["datasets"]["hdtf"]["features"]
