"""Finds plug-ins (datasets, features, scores) by the presence of their file, and says what each must tell of itself.

A plug-in is one module `talkset/<kind>/<name>.py` with a `SPEC` and the functions of its kind. It imports only the
standard library at the top level (the Snakefile reads every `SPEC`); models and arrays are imported inside functions.

datasets  `SPEC: DatasetSpec`
          `annotation_files(options) -> tuple[str, ...]`: the annotation files needed with these options
          `clips(files, options, dataset) -> Iterator[dict]`: clip table rows; `files` maps a file name to its `Path`
          `import_names(row) -> list[str]`: file names without ending under which the row's video may be handed in;
          none where it is a file, or a folder of numbered pictures (`labels`: `image_rate`), and `url` its path below
          the dataset's `raw`
features  `SPEC: FeatureSpec`
          `load(options, models) -> model`: once a job; `models` holds a `talkset.models.Model` by option key, for each
          key in `SPEC.models`
          `extract(model, clips, options) -> Iterator[tuple[CropClip, dict[str, np.ndarray] | ClipFault]]`: one result
          for each `talkset.clipdata.CropClip` of the iterator `clips`, in its order
          `describe(model, options) -> dict`, may be left out: what the file's metadata say besides (text or JSON)
scores    `SPEC: ScoreSpec`, `load(options, models) -> model`
          `score(model, clips, options) -> Iterator[tuple[CropClip, dict | ClipFault]]`: as `extract`, with a value for
          each of `SPEC.columns`
`talkset.perclip` and `talkset.inference` make these iterators.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

from talkset.faults import ToolFault


def no_options() -> dict:
    """The options schema of a plug-in that has none."""
    return {"type": "object", "additionalProperties": False, "properties": {}}


@dataclass(frozen=True)
class DatasetSpec:
    """What a dataset adapter tells of itself.

    Attributes:
        name: the module's name.
        version: integer, raised when the same annotation files give other rows.
        title: the dataset's name in papers.
        licence: of the annotations.
        access: one line on how to get them.
        homepage: address.
        files: names of the annotation files that default options need.
        options: JSON schema of the adapter's options; closed, every key with `description` and `default`. One of them
            is `require_window` (boolean): a clip without an annotated window ends as `no-window` instead of being cut.
    """

    name: str
    version: int
    title: str
    licence: str
    access: str
    homepage: str
    files: tuple[str, ...]
    options: dict


@dataclass(frozen=True)
class ArraySpec:
    """One array of a feature.

    Attributes:
        name: the part of the key after `{clip}/`.
        dtype: numpy name, e.g. `float32`; or several, `float16|float32`, of which the option `dtype` names one.
        shape: as text; `T` is the clip's number of frames, any other name any length, e.g. `[T,478,3]`, `[2T,768]` or
            `[N,D]`.
        unit: of the values, e.g. `pixel of the crop`.
        description: one line: what it is and, for time axes, its rate.
        usual: the shape with the default options where `shape` leaves lengths open, e.g. `[4,1024]`; what the size on
            disk is estimated from.
    """

    name: str
    dtype: str
    shape: str
    unit: str
    description: str
    usual: str = ""


@dataclass(frozen=True)
class FeatureSpec:
    """What a feature (modality) tells of itself.

    Attributes:
        name: the module's name.
        version: integer, raised when the same crops give other arrays.
        title: one line for people.
        env: file name in `envs/` that holds all that the plug-in imports.
        threads: CPU threads a job uses.
        mem_mb: memory a job needs, MB.
        gpus: GPUs a job needs.
        arrays: what `extract` gives for a clip.
        options: JSON schema of the options; closed, every key with `description` and `default`.
        models: the options whose value is the name of a model in config/models.yaml.
    """

    name: str
    version: int
    title: str
    env: str
    threads: int
    mem_mb: int
    gpus: int
    arrays: tuple[ArraySpec, ...]
    options: dict = field(default_factory=no_options)
    models: tuple[str, ...] = ()


@dataclass(frozen=True)
class Column:
    """One column of a score table.

    Attributes:
        name: column name.
        unit: of the values, e.g. `share`, `s`, `dB`; empty for text.
        description: one line: the definition.
    """

    name: str
    unit: str
    description: str


@dataclass(frozen=True)
class ScoreSpec:
    """What a model score tells of itself.

    Attributes:
        name: the module's name.
        version: integer, raised when the same crops give other values.
        title: one line for people.
        env: file name in `envs/` that holds all that the plug-in imports.
        threads: CPU threads a job uses.
        mem_mb: memory a job needs, MB.
        gpus: GPUs a job needs.
        columns: what `score` gives for a clip.
        options: JSON schema of the options; closed, every key with `description` and `default`.
        models: the options whose value is the name of a model in config/models.yaml.
    """

    name: str
    version: int
    title: str
    env: str
    threads: int
    mem_mb: int
    gpus: int
    columns: tuple[Column, ...]
    options: dict = field(default_factory=no_options)
    models: tuple[str, ...] = ()


# What a plug-in of each kind must hold: the class of its SPEC, and its functions.
KINDS = {
    "datasets": (DatasetSpec, ("annotation_files", "clips", "import_names")),
    "features": (FeatureSpec, ("load", "extract")),
    "scores": (ScoreSpec, ("load", "score")),
}


def names(kind: str) -> list[str]:
    """The plug-ins of one kind (a key of `KINDS`) that talkset brings, sorted."""
    folder = Path(__file__).parent / kind
    return sorted(path.stem for path in folder.glob("*.py") if not path.stem.startswith("_"))


def load(kind: str, name: str) -> ModuleType:
    """The plug-in module `name`, or, if `name` holds a dot, any importable module (`my_lab.anna`).

    Raises:
        ToolFault: there is no such plug-in, it cannot be imported, or it lacks a part that its kind must hold.
    """
    spec_class, functions = KINDS[kind]
    if "." in name:
        try:
            module = importlib.import_module(name)
        except (ImportError, TypeError) as error:
            raise ToolFault(
                f"{kind}: the module {name!r} cannot be imported ({error}); "
                "is its folder on PYTHONPATH, and are its own imports installed?"
            ) from error
    elif name in names(kind):
        module = importlib.import_module(f"talkset.{kind}.{name}")
    else:
        raise ToolFault(
            f"{kind}: there is no {name!r}; known: {', '.join(names(kind)) or 'none'}; "
            "a module of your own is named with its package, as in 'my_lab.anna'"
        )
    if not isinstance(getattr(module, "SPEC", None), spec_class):
        raise ToolFault(f"{kind}: {name!r} has no SPEC of class talkset.registry.{spec_class.__name__}")
    lacking = [function for function in functions if not callable(getattr(module, function, None))]
    if lacking:
        raise ToolFault(f"{kind}: {name!r} lacks the function {', '.join(lacking)}")
    return module
