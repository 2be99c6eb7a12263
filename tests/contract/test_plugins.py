"""Every plug-in is under test by existing."""

from __future__ import annotations

import ast
import sys

import pytest
from modules import SCRIPTS, closure
from workspace import REPOSITORY

from talkset import registry

PLUGINS = [(kind, name) for kind in registry.KINDS for name in registry.names(kind)]


def test_both_kinds_of_plugin_are_found():
    assert ("datasets", "hdtf") in PLUGINS and ("features", "mel") in PLUGINS and ("scores", "speech") in PLUGINS


@pytest.mark.parametrize(("kind", "name"), PLUGINS)
def test_spec_is_complete(kind, name):
    spec = registry.load(kind, name).SPEC
    assert spec.name == name
    assert isinstance(spec.version, int) and spec.version >= 1
    assert spec.title
    assert spec.options["additionalProperties"] is False
    for option, schema in spec.options["properties"].items():
        assert schema.get("description") and "default" in schema, f"{kind}/{name}: option {option}"
    if kind == "datasets":
        assert spec.licence and spec.access and spec.homepage and spec.files
    else:
        assert (REPOSITORY / "envs" / spec.env).is_file(), spec.env
        described = spec.arrays if kind == "features" else spec.columns
        assert described and all(item.description for item in described)


def top_level_imports(path):
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module.split(".")[0]


@pytest.mark.parametrize(
    "path", [SCRIPTS / "talkset" / kind / f"{name}.py" for kind, name in PLUGINS], ids=lambda path: path.stem
)
def test_plugins_import_only_the_standard_library_at_the_top(path):
    foreign = set(top_level_imports(path)) - set(sys.stdlib_module_names) - {"talkset"}
    assert not foreign, f"{path.name}: import {foreign} inside the functions; the Snakefile reads SPEC in every job"


@pytest.mark.parametrize("module", ["config", "registry", "verdict", "shards", "names", "paths", "versions", "faults"])
def test_what_the_snakefile_imports_is_light(module):
    for file in closure(SCRIPTS / "talkset" / f"{module}.py"):
        foreign = set(top_level_imports(file)) - set(sys.stdlib_module_names) - {"talkset"}
        assert not foreign, f"{file.name} imports {foreign} at the top; every job would pay for it"
