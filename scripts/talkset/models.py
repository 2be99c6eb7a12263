"""Models as pinned inputs: where a model's files lie, what is known of them, and what a plug-in gets.

The catalogue is the config's section `models`: config/models.yaml, with what a user's config lays over it. A model is
fetched by its rule into `resources/models/{model}`, or lies in a folder of the user's (`path`). Either folder may hold
a record, `talkset.json`: `{"id", "revision", "weights", "files": {file: sha256}}`.

The Snakefile imports this module: nothing but the standard library at the top.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from talkset import paths
from talkset.faults import ToolFault
from talkset.files import sha256, write_json

RECORD = "talkset.json"
# What the config says about where a model is published.
SOURCE = ("repo", "revision", "subfolder", "url")
# What `Model.weights` can be.
PUBLISHED, LOCAL, TINY = "published", "local", "random-tiny"


@dataclass(frozen=True)
class Model:
    """One model, as a plug-in's `load` gets it.

    Attributes:
        name: key in config/models.yaml.
        id: hub id (`stabilityai/sd-vae-ft-mse`) or address; `local/<name>` or `random-tiny/<name>` for other weights.
        revision: the hub's commit; where there is none, `sha256:` and the digest over the files.
        weights: `published`; `local` = the user's own, not known to be the published ones; `random-tiny` = made by the
            demo or a test, no real model.
        folder: holds the files.
    """

    name: str
    id: str
    revision: str
    weights: str
    folder: Path

    def file(self, name: str) -> Path:
        """Path of one of the model's files.

        Raises:
            ToolFault: it is not there; the text says how to get it.
        """
        path = self.folder / name
        if not path.is_file():
            raise ToolFault(_missing(self.name, path))
        return path


def given(entries: dict[str, dict], files: list[Path]) -> dict[str, Model]:
    """The models of a job, by the option key that names each.

    Args:
        entries: the rule's param `weights`, made by `wanted`.
        files: the rule's input `models`: every file of these models.

    Raises:
        ToolFault: a file is not there, or not the one that the folder's record names.
    """
    there = {path.absolute() for path in files}
    for entry in entries.values():
        for file in entry["files"]:
            path = Path(entry["folder"], file)
            if path.absolute() not in there or not path.is_file():
                raise ToolFault(_missing(entry["name"], path))
    return {key: _model(entry) for key, entry in entries.items()}


def wanted(catalogue: dict[str, dict], keys: tuple[str, ...], options: dict) -> dict[str, dict]:
    """What the rules hand to a job about the models that a plug-in's options name.

    Args:
        catalogue: the config's section `models`, complete.
        keys: the plug-in's `SPEC.models`.
        options: the plug-in's options, complete; an option that is null names no model.

    Returns:
        By option key: `name`, `id`, `revision` (null: not pinned), `weights` (null: not known before the files are
        read), `folder`, `files`; for a folder of the user's also the `sha256` of the files whose hash is known.
        Nothing in it changes when a model is fetched, so that fetching makes no result out of date.

    Raises:
        ToolFault: a model has to be asked for at its authors and no folder is given, or the folder's record is damaged.
    """
    return {key: describe(options[key], catalogue[options[key]]) for key in keys if options[key] is not None}


def describe(name: str, settings: dict) -> dict:
    """One model's part of `wanted`; `settings` is its entry in the catalogue."""
    hashes = {file: about["sha256"] for file, about in settings["files"].items() if about["sha256"]}
    pinned = settings["revision"]
    if settings["url"] and len(hashes) == len(settings["files"]):
        pinned = digest(hashes)
    found = {
        "name": name,
        "id": source(settings),
        "revision": pinned,
        "weights": PUBLISHED,
        "folder": home(name, settings),
        "files": list(settings["files"]),
    }
    if settings["path"] is not None:
        found |= {"weights": None, "sha256": hashes}
        if said := read_record(Path(settings["path"])):
            found |= {key: said[key] for key in ("id", "revision", "weights")} | {"sha256": said["files"]}
    elif settings["gated"]:
        raise ToolFault(
            f"config: models: {name}: these files have to be asked for. {settings['gated'].strip()} "
            f"Then name the folder that holds {' and '.join(settings['files'])}: models: {name}: path: <folder>"
        )
    return found


def check(catalogue: dict[str, dict]) -> None:
    """Refuse entries that say not just one way to come by a model, or give two models one name for rules and modules.

    Raises:
        ToolFault: names the model and what is wrong.
    """
    taken: dict[str, str] = {}
    for name, settings in catalogue.items():
        ways = [way for way in ("repo", "url", "gated") if settings[way]]
        if len(ways) > 1 or not (ways or settings["path"]):
            raise ToolFault(
                f"config: models: {name}: {' and '.join(ways) or 'none of repo, url, gated and path'} given; "
                "a model has a repo, a url or instructions (gated), or else only a path"
            )
        other = taken.setdefault(identifier(name), name)
        if other != name:
            raise ToolFault(f"config: models: {name!r} and {other!r} are too alike; rename one of them")


def identifier(name: str) -> str:
    """A model's name as a part of the names of rules and modules."""
    return re.sub(r"\W", "_", name)


def source(settings: dict) -> str:
    """Where a model is published: its hub id, its address, or nothing."""
    return settings["repo"] or (settings["url"] or "").replace("{file}", "")


def home(name: str, settings: dict) -> str:
    """The folder that holds a model's files: the user's, or the one that its rule fetches to."""
    return settings["path"] or str(Path(paths.MODEL_RECORD.format(model=name)).parent)


def input_files(name: str, settings: dict) -> tuple[list[str], list[str]]:
    """Files that a job with this model needs.

    Returns:
        Those whose dates say nothing, since a record says what they are, with that record; and those whose dates
        count: the files of a folder without a record.

    Raises:
        ToolFault: the user's folder lacks a file.
    """
    place = Path(home(name, settings))
    needed = [str(place / file) for file in settings["files"]]
    if settings["path"] is None:
        return [*needed, str(place / RECORD)], []
    for path in needed:
        if not Path(path).is_file():
            raise ToolFault(f"config: models: {name}: path: {path} is not there; the folder has to hold this file")
    return ([*needed, str(place / RECORD)], []) if (place / RECORD).is_file() else ([], needed)


def read_record(folder: Path) -> dict | None:
    """A model folder's record; `None` where it has none.

    Raises:
        ToolFault: the record is not one.
    """
    path = folder / RECORD
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise ToolFault(f"{path} is damaged ({error}); delete it or make the folder anew") from error
    parts = {"id": str, "revision": str, "weights": str, "files": dict}
    if not isinstance(found, dict) or any(not isinstance(found.get(key), part) for key, part in parts.items()):
        raise ToolFault(f"{path} is damaged (not all of {', '.join(parts)}); delete it or make the folder anew")
    return found


def write_record(folder: Path, *, id: str, revision: str, weights: str) -> None:
    """Record what the files in a folder are, with the hash of each.

    Args:
        folder: the model's folder; hidden files and the record itself are left out.
        id: see `Model`.
        revision: see `Model`; empty: the digest over the files.
        weights: see `Model`.
    """
    hashes = {
        path.relative_to(folder).as_posix(): sha256(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".") and path != folder / RECORD
    }
    write_json(folder / RECORD, record(id=id, revision=revision, weights=weights, hashes=hashes))


def record(*, id: str, revision: str, weights: str, hashes: dict[str, str]) -> dict:
    """The record of a model folder whose files have these SHA-256; the rest as in `write_record`."""
    return {"id": id, "revision": revision or digest(hashes), "weights": weights, "files": hashes}


def digest(hashes: dict[str, str]) -> str:
    """`sha256:` and the digest over names and hashes of files, whatever their order."""
    lines = "".join(f"{file} {hashes[file]}\n" for file in sorted(hashes))
    return "sha256:" + hashlib.sha256(lines.encode()).hexdigest()


def _model(entry: dict) -> Model:
    place = Path(entry["folder"])
    name = entry["name"]
    if entry["folder"] == home(name, {"path": None}):
        # Its rule has verified the files; the revision is in the record where the config pins none.
        said = read_record(place)
        if said is None:
            raise ToolFault(_missing(name, place / RECORD))
        return Model(name, said["id"], said["revision"], said["weights"], place)
    # A folder of the user's may change at any time, so its record is not believed.
    hashes = {file: sha256(place / file) for file in entry["files"]}
    differing = [file for file in hashes if hashes[file] != entry["sha256"].get(file)]
    if entry["weights"] is not None:
        for file in differing:
            raise ToolFault(
                f"{place / file} is not the file that {place / RECORD} records: "
                f"sha256 {hashes[file]}, recorded {entry['sha256'].get(file)}"
            )
        return Model(name, entry["id"], entry["revision"], entry["weights"], place)
    if not differing and entry["revision"]:
        return Model(name, entry["id"], entry["revision"], PUBLISHED, place)
    return Model(name, f"local/{name}", digest(hashes), LOCAL, place)


def _missing(name: str, path: Path) -> str:
    if path.is_relative_to(home(name, {"path": None})):
        return f"model {name}: {path} is not there; fetch it where there is a network: snakemake models"
    return f"model {name}: {path} is not there; put it there, or name another folder: models: {name}: path"


def provenance(model: Model) -> dict:
    """What a result says about a model that made it: name, id, revision, weights and, where recorded, files' sha256."""
    record = read_record(model.folder)
    return {
        "name": model.name,
        "id": model.id,
        "revision": model.revision,
        "weights": model.weights,
        "sha256": record["files"] if record else {},
    }


def kind(models: Iterable[Model]) -> str:
    """The `weights` of several models as one word: that of the least real one; empty: there is no model."""
    found = {model.weights for model in models}
    return next((weights for weights in (TINY, LOCAL, PUBLISHED) if weights in found), "")
