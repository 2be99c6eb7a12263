"""The demo's tiny models: all that config/models.yaml names, the same bytes each time, never taken for real ones."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import yaml
from workspace import REPOSITORY

from talkset import config as configuration
from talkset import models
from talkset.demo import models as demo
from talkset.faults import ToolFault

SCHEMA = yaml.safe_load((REPOSITORY / "config" / "schema" / "config.schema.yaml").read_text())
SHIPPED = yaml.safe_load((REPOSITORY / "config" / "models.yaml").read_text())["models"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Every tiny model, made once."""
    folder = tmp_path_factory.mktemp("tiny")
    demo.make(folder)
    return folder


def bytes_of(folder: Path) -> dict[str, str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_every_maker_is_of_a_model_in_the_config():
    made = {models.identifier(name) for name in demo.names()}
    assert made == {path.stem for path in demo.TINY.glob("*.py")} - {"__init__"} and len(made) >= 8


def test_a_job_gets_them_as_random_tiny(made):
    for name in demo.names():
        given = {"build": ["hdtf"], "datasets": {"hdtf": {"annotations": "lists"}}, "features": {}, "scores": {}}
        given["models"] = {name: SHIPPED[name] | {"path": str(made / name)}}
        settings = configuration.resolve(given, SCHEMA)["models"][name]
        entries = {"model": models.describe(name, settings)}
        steady, dated = models.input_files(name, settings)
        model = models.given(entries, [Path(path) for path in steady])["model"]
        assert (model.id, model.revision, model.weights) == (f"random-tiny/{name}", "seed 0", models.TINY)
        assert dated == []


def test_they_are_tiny_and_the_same_each_time(made, tmp_path):
    demo.make(tmp_path)
    assert bytes_of(tmp_path) == bytes_of(made)
    assert sum(path.stat().st_size for path in made.rglob("*") if path.is_file()) < 20e6


@pytest.fixture
def makers(tmp_path, monkeypatch):
    """One maker of our own, `net`, which counts how often it ran; what it writes is `makers.content`."""

    class Maker:
        content = {"config.json": "{}"}
        runs = 0

        def make(self, folder):
            self.runs += 1
            for name, text in self.content.items():
                (folder / name).write_text(text)

    maker = Maker()
    tiny = tmp_path / "makers"
    tiny.mkdir()
    (tiny / "net_1.py").touch()
    monkeypatch.setattr(demo, "TINY", tiny)
    monkeypatch.setattr(demo, "_catalogue", lambda: {"net.1": {"files": {"config.json": {}}}, "other": {}})
    monkeypatch.setattr(demo.importlib, "import_module", {"talkset.demo.tiny.net_1": maker}.__getitem__)
    return maker


def test_whole_folders_stay_and_damaged_ones_are_made_anew(makers, tmp_path):
    demo.make(tmp_path / "demo")
    file = tmp_path / "demo" / "net.1" / "config.json"
    before = file.stat().st_mtime_ns
    demo.make(tmp_path / "demo")
    assert makers.runs == 1 and file.stat().st_mtime_ns == before
    for damage in (lambda: file.write_text("{"), file.unlink, (file.parent / "talkset.json").unlink):
        damage()
        demo.make(tmp_path / "demo")
        assert file.read_text() == "{}" and models.read_record(file.parent)["weights"] == models.TINY
    assert makers.runs == 4
    assert [path.name for path in (tmp_path / "demo").iterdir()] == ["net.1"]


def test_maker_that_forgets_a_file_is_named(makers, tmp_path):
    makers.content = {"config.yaml": ""}
    with pytest.raises(ToolFault, match=r"net\.1: wrote \['config.yaml'\], config/models.yaml names \['config.json'\]"):
        demo.make(tmp_path / "demo")
    assert not (tmp_path / "demo" / "net.1").exists()
