"""Every rule and its script agree; a mistyped name fails here in a second, not on a GPU node."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path

import yaml
from modules import SCRIPTS, closure
from workspace import REPOSITORY

from talkset import models, paths, registry
from talkset.versions import STEPS


def scripted(rules):
    return {name: rule for name, rule in rules.items() if rule.script}


def plain(path) -> str:
    """A path pattern without its wildcards' constraints."""
    return re.sub(r"\{(\w+),(?:[^{}]|\{[^{}]*\})*\}", r"{\1}", str(path))


def is_local(rule) -> bool:
    return rule.name in rule.workflow._localrules


def script_name(rule) -> str:
    return Path(rule.script).stem


def test_there_are_rules(rules):
    assert len(scripted(rules)) >= 16


def test_named_items_are_exactly_what_main_takes(rules):
    for name, rule in scripted(rules).items():
        main = importlib.import_module(script_name(rule)).main
        parameters = inspect.signature(main).parameters
        takes = set(parameters) - {"threads"}
        gives = set(rule.input.keys()) | set(rule.output.keys()) | set(rule.params.keys())
        assert gives == takes, f"rule {name} and scripts/{script_name(rule)}.py: main() do not agree"
        optional = [key for key, parameter in parameters.items() if parameter.default is not inspect.Parameter.empty]
        assert not optional, (
            f"scripts/{script_name(rule)}.py: main() has defaults {optional}: values come from the rule"
        )


def test_params_are_keyword_only(rules):
    for rule in scripted(rules).values():
        parameters = inspect.signature(importlib.import_module(script_name(rule)).main).parameters
        for key, _ in rule.params.items():
            assert parameters[key].kind is inspect.Parameter.KEYWORD_ONLY, f"{script_name(rule)}: {key}"


def test_every_scripted_rule_has_log_env_and_version(rules):
    for name, rule in scripted(rules).items():
        assert len(rule.log) == 1, name
        folder = "{dataset}" if "dataset" in rule.wildcard_names else "models"
        assert plain(rule.log[0]).startswith(f"logs/{folder}/{name}/"), f"{name} logs to {rule.log[0]}"
        assert rule.conda_env, f"{name} has no conda env"
        assert rule.params.get("version"), name
        assert script_name(rule) in STEPS, f"{name}: no version in talkset.versions.STEPS"


def test_every_submitted_rule_states_its_resources_and_is_measured(rules):
    for name, rule in scripted(rules).items():
        if not is_local(rule):
            assert {"mem_mb", "runtime"} <= set(rule.resources), name
            assert plain(rule.benchmark).startswith(f"benchmarks/{{dataset}}/{name}/"), name


ONLINE = re.compile(r"^\s*(from|import) (urllib\.request|http\.client|requests|yt_dlp|huggingface_hub)\b", re.MULTILINE)


def reaches_network(path: Path) -> bool:
    """Whether a script or plug-in, or a module of ours that it imports, can reach the network."""
    return any(ONLINE.search(file.read_text(encoding="utf-8")) for file in closure(path))


def test_only_acquisition_touches_the_network_and_is_local(rules):
    found = set()
    for name, rule in scripted(rules).items():
        if reaches_network(SCRIPTS / Path(rule.script).name):
            found.add(script_name(rule))
            assert is_local(rule), f"{name} can reach the network and would be submitted"
    assert found == {"fetch_annotation", "fetch_model", "download_video", "import_video"}
    for kind in ("features", "scores"):
        for name in registry.names(kind):
            assert not reaches_network(SCRIPTS / "talkset" / kind / f"{name}.py"), f"{kind}/{name}"


def test_every_model_that_can_be_fetched_has_a_rule(rules):
    catalogue = yaml.safe_load((REPOSITORY / "config" / "models.yaml").read_text())["models"]
    fetched = {name: about for name, about in catalogue.items() if "gated" not in about}
    assert len(fetched) >= 10
    for name, about in fetched.items():
        rule = rules[f"fetch_{models.identifier(name)}"]
        assert list(rule.output.files) == [paths.MODEL.format(model=name, file=file) for file in about["files"]]
        assert rule.output.record == paths.MODEL_RECORD.format(model=name)
    assert sum(name.startswith("fetch_") for name in rules) == len(fetched) + 1


def test_every_script_belongs_to_a_rule(rules):
    used = {script_name(rule) for rule in scripted(rules).values()}
    tools = {"bootstrap", "run_demo"}
    assert {path.stem for path in (REPOSITORY / "scripts").glob("*.py")} == used | tools
    assert set(STEPS) == used


def test_scripts_are_functions_and_one_guard():
    for script in (REPOSITORY / "scripts").glob("*.py"):
        text = script.read_text(encoding="utf-8")
        if script.stem in {"bootstrap", "run_demo"}:
            continue
        uses = [
            line
            for line in text.splitlines()
            if re.search(r"\bsnakemake\b", line) and not line.lstrip().startswith(("#", '"'))
        ]
        assert [line.strip().split("#")[0].strip() for line in uses] == ["glue.run(main, snakemake)"], script.name


def test_rules_files_open_with_their_contract():
    for file in (REPOSITORY / "rules").glob("*.smk"):
        opening = file.read_text(encoding="utf-8").split('"""')[1]
        assert "REQUIRED INPUTS" in opening and "OUTPUTS" in opening, file.name


def test_outputs_are_the_designs_names(rules):
    assert plain(rules["cut_clips"].output.clips) == paths.CLIPS == "results/{dataset}/clips/{shard}.tar"
    assert plain(rules["track_faces"].output.tracks) == "results/{dataset}/tracks/{shard}.parquet"
    assert plain(rules["crop_clips"].output.crops) == "results/{dataset}/crops/{shard}.tar"
    assert plain(rules["measure_quality"].output.quality) == "results/{dataset}/quality/{shard}.tsv"
    assert plain(rules["filter_clips"].output.filtered) == "results/{dataset}/filtered/{shard}.tsv"
    assert plain(rules["gather_filtered"].output.filtered) == "results/{dataset}/filtered.tsv"
    assert plain(rules["write_manifest"].output.manifest) == "results/{dataset}/manifest.tsv"
    assert plain(rules["download_video"].output.media) == "results/{dataset}/raw/{video}.mp4"
    assert (
        plain(rules["extract_landmarks"].output.features) == "results/{dataset}/features/landmarks/{shard}.safetensors"
    )
