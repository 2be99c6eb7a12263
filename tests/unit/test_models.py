"""What is known of models: the catalogue, the user's own folders, what a job gets."""

from __future__ import annotations

import hashlib
import os

import pytest
import yaml
from workspace import REPOSITORY, Work

from talkset import config as configuration
from talkset import models
from talkset.faults import ToolFault

SCHEMA = yaml.safe_load((REPOSITORY / "config" / "schema" / "config.schema.yaml").read_text())
COMMIT = "0123456789abcdef0123456789abcdef01234567"
CONTENT = {"config.json": b"{}", "model.bin": b"weights"}
HASHES = {name: hashlib.sha256(content).hexdigest() for name, content in CONTENT.items()}


def catalogue(**about) -> dict:
    """A catalogue with one model `net`, complete as the config makes it."""
    entry = {"use": "a test", "licence": "none", "repo": "lab/net", "revision": COMMIT}
    entry |= {"files": {name: {} for name in CONTENT}} | about
    given = {"build": ["hdtf"], "datasets": {"hdtf": {"annotations": "lists"}}, "models": {"net": entry}}
    return configuration.resolve(given | {"features": {}, "scores": {}}, SCHEMA)["models"]


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "mine"
    place.mkdir()
    for name, content in CONTENT.items():
        (place / name).write_bytes(content)
    return place


def given(known: dict, about: dict) -> models.Model:
    """What a job gets of the model `net`."""
    entries = models.wanted(known, ("model",), {"model": "net"} | about)
    steady, dated = models.input_files("net", known["net"])
    return models.given(entries, [*map(models.Path, steady), *map(models.Path, dated)])["model"]


def test_fetched_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    known = catalogue(revision=None)
    before = models.wanted(known, ("model",), {"model": "net"})
    place = models.Path("resources/models/net")
    place.mkdir(parents=True)
    for name, content in CONTENT.items():
        (place / name).write_bytes(content)
    models.write_record(place, id="lab/net", revision=COMMIT, weights=models.PUBLISHED)
    assert models.wanted(known, ("model",), {"model": "net"}) == before, "fetching must not make results out of date"
    model = given(known, {})
    assert model == models.Model("net", "lab/net", COMMIT, "published", place)
    assert model.file("model.bin") == place / "model.bin"
    assert models.input_files("net", known["net"]) == (
        ["resources/models/net/config.json", "resources/models/net/model.bin", "resources/models/net/talkset.json"],
        [],
    )


def test_a_pin_is_a_part_of_what_makes_a_result_out_of_date():
    with_hash = {name: {"sha256": digest} for name, digest in HASHES.items()}
    at_address = {"repo": None, "revision": None, "url": "https://lab.org/{file}"}
    entries = [
        models.describe("net", catalogue(**about)["net"])
        for about in ({}, {"revision": COMMIT[::-1]}, at_address, at_address | {"files": with_hash})
    ]
    assert [entry["revision"] for entry in entries] == [COMMIT, COMMIT[::-1], None, models.digest(HASHES)]


def test_option_that_is_null_names_no_model():
    assert models.wanted(catalogue(), ("model", "other"), {"model": "net", "other": None}).keys() == {"model"}


def test_own_folder_is_not_taken_for_the_published_model(folder):
    model = given(catalogue(path=str(folder)), {})
    assert (model.id, model.revision, model.weights) == ("local/net", models.digest(HASHES), "local")
    (folder / "model.bin").write_bytes(b"other")
    assert given(catalogue(path=str(folder)), {}).revision != model.revision


def test_own_folder_with_all_the_pinned_bytes_is_the_published_model(folder):
    pinned = {name: {"sha256": digest} for name, digest in HASHES.items()}
    model = given(catalogue(path=str(folder), files=pinned), {})
    assert (model.id, model.revision, model.weights) == ("lab/net", COMMIT, "published")


def test_own_folder_with_a_record_is_what_the_record_says(folder):
    models.write_record(folder, id="random-tiny/net", revision="seed 0", weights=models.TINY)
    known = catalogue(path=str(folder))
    entry = models.describe("net", known["net"])
    assert (entry["revision"], entry["weights"], entry["sha256"]) == ("seed 0", "random-tiny", HASHES)
    model = given(known, {})
    assert (model.id, model.revision, model.weights) == ("random-tiny/net", "seed 0", "random-tiny")
    (folder / "model.bin").write_bytes(b"real weights, copied over the tiny ones")
    with pytest.raises(ToolFault) as fault:
        given(known, {})
    now = hashlib.sha256((folder / "model.bin").read_bytes()).hexdigest()
    assert HASHES["model.bin"] in str(fault.value) and now in str(fault.value)


def test_dates_count_only_without_a_record(folder):
    settings = catalogue(path=str(folder))["net"]
    files = [str(folder / name) for name in CONTENT]
    assert models.input_files("net", settings) == ([], files)
    models.write_record(folder, id="x", revision="y", weights=models.LOCAL)
    assert models.input_files("net", settings) == ([*files, str(folder / "talkset.json")], [])


def test_record_has_every_file_below_the_folder(folder):
    (folder / "deep").mkdir()
    (folder / "deep" / "a.ckpt").write_bytes(b"a")
    (folder / ".hidden").write_bytes(b"")
    models.write_record(folder, id="x", revision="", weights=models.LOCAL)
    record = models.read_record(folder)
    assert sorted(record["files"]) == ["config.json", "deep/a.ckpt", "model.bin"]
    assert record["revision"] == models.digest(record["files"])


@pytest.mark.parametrize("content", ["no json", "[]", '{"id": "x", "revision": "y", "weights": "z"}'])
def test_damaged_record_is_named(folder, content):
    (folder / "talkset.json").write_text(content)
    with pytest.raises(ToolFault, match="talkset.json is damaged"):
        models.read_record(folder)


def test_missing_file_of_an_own_folder_is_a_fault_of_the_config(folder):
    (folder / "model.bin").unlink()
    with pytest.raises(ToolFault, match="models: net: path: .*model.bin is not there"):
        models.input_files("net", catalogue(path=str(folder))["net"])


def test_missing_file_in_a_job_names_the_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    entries = models.wanted(catalogue(), ("model",), {"model": "net"})
    with pytest.raises(ToolFault, match="net/config.json is not there; .* snakemake models"):
        models.given(entries, [])
    with pytest.raises(ToolFault, match="extra.json is not there; .* snakemake models"):
        models.Model("net", "lab/net", COMMIT, "published", models.Path("resources/models/net")).file("extra.json")


def test_gated_model_comes_with_instructions():
    known = catalogue(repo=None, gated="Register at https://lab.org.")
    with pytest.raises(ToolFault) as fault:
        models.wanted(known, ("model",), {"model": "net"})
    for word in ("net", "Register at https://lab.org.", "config.json and model.bin", "models: net: path: <folder>"):
        assert word in str(fault.value)


@pytest.mark.parametrize(
    ("about", "words"),
    [
        ({"url": "https://lab.org/{file}"}, "repo and url given"),
        ({"repo": None}, "none of repo, url, gated and path"),
        ({"revision": "main"}, "revision: 'main'"),
        ({"repo": "net"}, "repo: 'net'"),
        ({"url": "https://lab.org/net.bin", "repo": None}, "url: "),
        ({"files": {"../model.bin": {}}}, "files: '../model.bin'"),
        ({"files": {"model.bin": {"sha256": "abc"}}}, "sha256: 'abc'"),
        ({"files": {}}, "files: "),
        ({"licence": None}, "licence: "),
        ({"pth": "x"}, "unknown key 'pth'"),
    ],
)
def test_wrong_entry_names_itself(about, words):
    with pytest.raises(ToolFault) as fault:
        catalogue(**about)
    assert "models: net" in str(fault.value) and words in str(fault.value), str(fault.value)


def test_names_that_would_share_a_rule_are_refused():
    one = {"use": "", "licence": "", "path": "x"}
    with pytest.raises(ToolFault, match="'net-1' and 'net.1'"):
        models.check({name: catalogue(repo=None, **one)["net"] for name in ("net.1", "net-1")})


# A plug-in with a model, as a user's own is: on PYTHONPATH, named with its package.
PLUGIN = """
from talkset.registry import ArraySpec, FeatureSpec

SPEC = FeatureSpec(
    name="model_lab.net", version=1, title="a test", env="base.yaml", threads=1, mem_mb=100, gpus=0, models=("model",),
    arrays=(ArraySpec("x", "float32", "[T]", "", "a test"),),
    options={"type": "object", "additionalProperties": False, "properties": {"model": {"default": "dinov2-base"}}},
)
load = extract = print
"""
FEATURE = "results/hdtf/features/model_lab.net/one.safetensors"


@pytest.fixture
def work(tmp_path, monkeypatch):
    """A working folder whose dataset has no scores and one feature, the plug-in's."""
    lab = tmp_path / "lab" / "model_lab"
    lab.mkdir(parents=True)
    (lab / "net.py").write_text(PLUGIN)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "lab"))
    return Work(tmp_path, tmp_path / "config.yaml")


def configure(work: Work, option: str, **own) -> None:
    """Let the feature use the model `option`; `own` is laid over the shipped models."""
    shipped = yaml.safe_load((REPOSITORY / "config" / "config.yaml").read_text())
    given = {kind: dict.fromkeys(shipped[kind]) for kind in ("features", "scores")}
    given["features"]["model_lab.net"] = {"model": option}
    work.config.write_text(yaml.safe_dump(given | {"models": own}))


def is_made_anew(work: Work, newest: list[str | models.Path]) -> bool:
    """Whether a feature that is there is planned again once some files are newer than it."""
    feature = work.folder / FEATURE
    for stage in ("filtered/one.tsv", "crops/one.tar", "tracks/one.parquet"):
        path = work.results().parent / "hdtf" / stage
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    feature.parent.mkdir(parents=True)
    feature.touch()
    for path in newest:
        assert (work.folder / path).is_file(), path
        os.utime(work.folder / path, (2**31, 2**31))
    run = work.snakemake("-n", FEATURE, "--allowed-rules", "extract_model_lab.net", "fetch_dinov2_base")
    assert run.status == 0, run.output
    assert set(run.jobs) <= {"extract_model_lab.net", "total"}, run.output
    return bool(run.jobs)


def test_the_plan_fetches_what_the_config_needs_and_nothing_else(work):
    configure(work, "dinov2-base")
    run = work.snakemake("-n", "models")
    assert run.jobs == {"fetch_dinov2_base": 1, "models": 1}, run.output


def test_dates_of_a_fetched_model_make_nothing_anew(work):
    configure(work, "dinov2-base")
    place = work.folder / "resources" / "models" / "dinov2-base"
    place.mkdir(parents=True)
    for name in ("config.json", "preprocessor_config.json", "model.safetensors"):
        (place / name).touch()
    models.write_record(place, id="facebook/dinov2-base", revision=COMMIT, weights=models.PUBLISHED)
    assert not is_made_anew(work, list(place.iterdir()))


def test_dates_of_an_own_folder_without_a_record_count(work, folder):
    configure(work, "net", net={"use": "", "licence": "", "path": str(folder), "files": {name: {} for name in CONTENT}})
    assert is_made_anew(work, [folder / "model.bin"])


def test_gated_model_ends_the_plan_with_the_instructions(work):
    configure(work, "emoca-v2")
    run = work.snakemake("-n", "models")
    assert run.status and "Register at https://emoca.is.tue.mpg.de" in run.output
    assert "models: emoca-v2: path: <folder>" in run.output


def test_unknown_model_lists_the_known(work, monkeypatch):
    monkeypatch.syspath_prepend(work.folder / "lab")
    given = {"build": ["hdtf"], "datasets": {"hdtf": {"annotations": "lists"}}, "scores": {}}
    given["features"] = {"model_lab.net": {"model": "dinov3"}}
    with pytest.raises(ToolFault, match="features: model_lab.net: model: 'dinov3' is no model .known: none"):
        configuration.resolve(given, SCHEMA)
