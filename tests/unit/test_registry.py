"""Plug-ins are found by their file, and a wrong one is named."""

from __future__ import annotations

import sys

import pytest

from talkset import registry
from talkset.faults import ToolFault

PLUGIN = """
from talkset import registry

SPEC = registry.DatasetSpec(
    name="anna", version=1, title="Anna", licence="MIT", access="none", homepage="https://a.org", files=(), options={}
)


def annotation_files(options):
    return ()


def clips(files, options, dataset):
    yield from ()


def import_names(row):
    return []
"""


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """A folder of the user's own modules, package `my_lab`."""
    (tmp_path / "my_lab").mkdir()
    (tmp_path / "my_lab" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path / "my_lab"
    for name in [name for name in sys.modules if name.split(".")[0] == "my_lab"]:
        del sys.modules[name]


def test_hdtf_is_found_by_its_file():
    assert "hdtf" in registry.names("datasets")
    assert registry.load("datasets", "hdtf").__name__ == "talkset.datasets.hdtf"


def test_files_that_begin_with_an_underscore_are_no_plugins():
    assert not any(name.startswith("_") for kind in registry.KINDS for name in registry.names(kind))


@pytest.mark.parametrize("name", registry.names("datasets"))
def test_every_dataset_says_what_happens_without_a_window(name):
    option = registry.load("datasets", name).SPEC.options["properties"]["require_window"]
    assert option["type"] == "boolean" and isinstance(option["default"], bool)


@pytest.mark.parametrize("kind", registry.KINDS)
def test_unknown_plugin_is_named_with_those_that_exist(kind):
    with pytest.raises(ToolFault) as fault:
        registry.load(kind, "hdft")
    assert "'hdft'" in str(fault.value) and kind in str(fault.value)
    assert all(name in str(fault.value) for name in registry.names(kind))


@pytest.mark.parametrize("name", ["__init__", "../faults", "faults", ""])
def test_names_reach_nothing_but_plugins(name):
    with pytest.raises(ToolFault):
        registry.load("datasets", name)


def test_name_with_a_dot_is_a_module_of_ones_own(lab):
    (lab / "anna.py").write_text(PLUGIN)
    assert registry.load("datasets", "my_lab.anna").SPEC.name == "anna"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "has no SPEC of class talkset.registry.DatasetSpec"),
        ("SPEC = 1", "has no SPEC of class talkset.registry.DatasetSpec"),
        (PLUGIN.replace("def clips", "def klips"), "lacks the function clips"),
        ("import no_such_module", "No module named 'no_such_module'"),
    ],
)
def test_incomplete_module_is_named_with_what_it_lacks(lab, text, says):
    (lab / "anna.py").write_text(text)
    with pytest.raises(ToolFault, match="'my_lab.anna'.*" + says):
        registry.load("datasets", "my_lab.anna")


@pytest.mark.parametrize("name", ["my_lab.nobody", "no_such_lab.anna", ".anna"])
def test_missing_module_is_named(lab, name):
    with pytest.raises(ToolFault, match=f"{name!r} cannot be imported"):
        registry.load("datasets", name)
