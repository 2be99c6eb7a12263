"""The configuration: validated against a closed schema, defaults filled, per-dataset values laid over the general ones.

The schema (config/schema/config.schema.yaml) is the one place for defaults; `config/config.yaml` shows them to people
and a test keeps the two equal.
"""

from __future__ import annotations

import copy
from types import ModuleType

from talkset import listing, models, registry, verdict
from talkset.faults import ToolFault

# Sections that a dataset's entry may override, key by key.
SECTIONS = ("download", "track", "crop", "sync", "quality", "filter", "scores", "features")


def resolve(given: dict, schema: dict) -> dict:
    """Validate a configuration and return it complete; the one given is not changed.

    Args:
        given: what Snakemake merged from the shipped file, `--configfile` and `--config`.
        schema: JSON schema (draft 2020-12) with a `default` for every key that may be left out.

    Returns:
        The configuration with each model's entry complete, and each dataset's: `annotations`, `raw`, `adapter`,
        `shard_size`, `options` and all of `SECTIONS` with the dataset's own values laid over the general ones.

    Raises:
        ToolFault: names each wrong key or value, where it stands and what is allowed there.
    """
    from jsonschema import Draft202012Validator

    errors = sorted(Draft202012Validator(schema).iter_errors(given), key=lambda error: list(map(str, error.path)))
    if errors:
        raise ToolFault("config: " + "; ".join(_sentence(error) for error in errors))
    config = _fill(schema, copy.deepcopy(given), schema)
    models.check(config["models"])
    unknown = [name for name in config["build"] if name not in config["datasets"]]
    if unknown:
        raise ToolFault(f"config: build: {unknown[0]!r} is not under datasets (there: {sorted(config['datasets'])})")
    config["datasets"] = {
        name: _dataset(name, config["datasets"][name] or {}, config, schema) for name in config["build"]
    }
    return config


def _dataset(name: str, entry: dict, config: dict, schema: dict) -> dict:
    """One dataset's entry, complete, its plug-ins' options checked against what the plug-ins declare."""
    own = {key: value for key, value in entry.items() if key not in SECTIONS}
    whole = _fill({"$ref": "#/$defs/dataset"}, own, schema)
    whole["adapter"] = whole["adapter"] or name
    for section in SECTIONS:
        whole[section] = _overlay(config[section], entry.get(section) or {})
    verdict.check(whole["filter"]["rules"])
    adapter = registry.load("datasets", whole["adapter"])
    whole["options"] = _options(f"datasets: {name}: options", whole["options"], adapter.SPEC.options)
    _check_sources(name, whole, adapter)
    for kind in ("scores", "features"):
        whole[kind] = {
            plugin: _options(f"{kind}: {plugin}", options, registry.load(kind, plugin).SPEC.options)
            for plugin, options in whole[kind].items()
            if options is not None
        }
        for plugin, options in whole[kind].items():
            for key in registry.load(kind, plugin).SPEC.models:
                if options[key] is not None and options[key] not in config["models"]:
                    known = ", ".join(sorted(config["models"])) or "none"
                    raise ToolFault(f"config: {kind}: {plugin}: {key}: {options[key]!r} is no model (known: {known})")
    if whole["sync"]["correct"] and "sync" not in whole["scores"]:
        raise ToolFault(
            f"config: datasets: {name}: sync: correct is true, but nothing measures the offset; "
            "add sync: {} to its scores, or set correct: false"
        )
    return whole


def _check_sources(name: str, whole: dict, adapter: ModuleType) -> None:
    """Refuse a dataset whose annotation files, or the media folder that stands in for them, are not given."""
    spec, where = adapter.SPEC, f"config: datasets: {name}"
    needed = adapter.annotation_files(whole["options"])
    files = [file for file in needed if file != listing.NAME]
    how = f"{spec.title}: {spec.access} ({spec.homepage})"
    if files and whole["annotations"] is None:
        raise ToolFault(f"{where}: annotations: give the folder that holds {', '.join(files)}. {how}")
    if listing.NAME in needed and whole["raw"] is None:
        raise ToolFault(f"{where}: raw: give the folder that holds the media files. {how}")
    if isinstance(whole["annotations"], dict):
        for file in files:
            if file not in whole["annotations"]["sha256"]:
                raise ToolFault(
                    f"{where}: annotations: sha256: {file} has no hash; give it, or null: fixed by the first fetch"
                )


def _options(where: str, given: dict, schema: dict) -> dict:
    from jsonschema import Draft202012Validator

    errors = list(Draft202012Validator(schema).iter_errors(given))
    if errors:
        raise ToolFault(f"config: {where}: " + "; ".join(_sentence(error) for error in errors))
    return _fill(schema, copy.deepcopy(given), schema)


def _overlay(below: dict, above: dict) -> dict:
    merged = copy.deepcopy(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _overlay(merged[key], value) if both else copy.deepcopy(value)
    return merged


def _fill(schema: dict, value, root: dict):
    """Fill in the defaults of an object's properties, depth first, through references within the same schema."""
    if "$ref" in schema:
        target = root
        for part in schema["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        schema = target
    if isinstance(value, dict):
        named, others = schema.get("properties", {}), schema.get("additionalProperties")
        for key, sub in named.items():
            if key not in value and "default" in sub:
                value[key] = copy.deepcopy(sub["default"])
            if key in value:
                value[key] = _fill(sub, value[key], root)
        if isinstance(others, dict):
            value |= {key: _fill(others, value[key], root) for key in value if key not in named}
    return value


def _sentence(error) -> str:
    """One validation error as a sentence: where, the value found, what is allowed."""
    where = ": ".join(map(str, error.absolute_path)) or "top level"
    if error.validator == "additionalProperties":
        allowed = sorted(error.schema.get("properties", {}))
        wrong = sorted(set(error.instance) - set(allowed))
        return f"{where}: unknown key {', '.join(map(repr, wrong))} (known: {', '.join(allowed)})"
    hint = error.schema.get("description", "")
    return f"{where}: {error.message}" + (f" ({hint})" if hint else "")
