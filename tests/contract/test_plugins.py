"""Every plug-in is under test by existing."""

from __future__ import annotations

import ast
import inspect
import sys

import pytest
import yaml
from modules import SCRIPTS, closure
from workspace import REPOSITORY

from talkset import featurestore, registry

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


OF_SHARDS = [(kind, name) for kind, name in PLUGINS if kind != "datasets"]


@pytest.mark.parametrize(("kind", "name"), OF_SHARDS)
def test_models_are_options_that_name_one_of_the_catalogue(kind, name):
    spec = registry.load(kind, name).SPEC
    catalogue = yaml.safe_load((REPOSITORY / "config" / "models.yaml").read_text(encoding="utf-8"))["models"]
    for key in spec.models:
        assert spec.options["properties"][key]["default"] in (None, *catalogue)
    assert not spec.models or spec.gpus == 1, "a model runs on a GPU where there is one"


@pytest.mark.parametrize(("kind", "name"), OF_SHARDS)
def test_functions_take_what_the_driver_gives(kind, name):
    plugin = registry.load(kind, name)
    assert list(inspect.signature(plugin.load).parameters) == ["options", "models"]
    of_shard = plugin.extract if kind == "features" else plugin.score
    assert [*inspect.signature(of_shard).parameters][1:] == ["clips", "options"]
    if hasattr(plugin, "describe"):
        assert [*inspect.signature(plugin.describe).parameters][1:] == ["options"]


@pytest.mark.parametrize("name", registry.names("features"))
def test_arrays_have_a_type_that_can_be_stored_and_chosen(name):
    spec = registry.load("features", name).SPEC
    for array in spec.arrays:
        types = array.dtype.split("|")
        assert set(types) <= set(featurestore.DTYPES), array.name
        assert len(types) == 1 or set(spec.options["properties"]["dtype"]["enum"]) == set(types), array.name


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


@pytest.mark.parametrize(
    "module", ["config", "models", "registry", "verdict", "shards", "listing", "names", "paths", "versions", "faults"]
)
def test_what_the_snakefile_imports_is_light(module):
    for file in closure(SCRIPTS / "talkset" / f"{module}.py"):
        foreign = set(top_level_imports(file)) - set(sys.stdlib_module_names) - {"talkset"}
        assert not foreign, f"{file.name} imports {foreign} at the top; every job would pay for it"
