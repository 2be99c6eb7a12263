"""Tiny models with random weights in the place of the published ones, for the demo and for tests.

Each is made by `talkset/demo/tiny/<name>.py`, the model's name with every other sign as `_`: `make(folder)` writes the
files that config/models.yaml names, of the true architecture, the same bytes each time.
"""

from __future__ import annotations

import importlib
import shutil
from pathlib import Path

import yaml

from talkset import files, models, progress
from talkset.faults import ToolFault

TINY = Path(__file__).with_name("tiny")
CATALOGUE = Path(__file__).resolve().parents[3] / "config" / "models.yaml"


def names() -> list[str]:
    """The models of config/models.yaml that have a tiny one, in its order."""
    made = {path.stem for path in TINY.glob("*.py")}
    return [name for name in _catalogue() if models.identifier(name) in made]


def make(folder: Path) -> None:
    """Make every tiny model that is not whole into `folder/<name>`, with its record.

    Raises:
        ToolFault: a maker wrote other files than config/models.yaml names.
    """
    catalogue = _catalogue()
    for name in names():
        place, needed = folder / name, set(catalogue[name]["files"])
        if _is_whole(place, needed):
            continue
        progress.say(f"demo: making a tiny {name} with random weights")
        with files.scratch(place) as making:
            importlib.import_module(f"talkset.demo.tiny.{models.identifier(name)}").make(making)
            models.write_record(making, id=f"random-tiny/{name}", revision="seed 0", weights=models.TINY)
            written = set(models.read_record(making)["files"])
            if written != needed:
                raise ToolFault(
                    f"talkset/demo/tiny: {name}: wrote {sorted(written)}, config/models.yaml names {sorted(needed)}"
                )
            shutil.rmtree(place, ignore_errors=True)
            making.rename(place)


def _is_whole(place: Path, needed: set[str]) -> bool:
    """Whether the folder holds the files that are needed, as its record says."""
    try:
        known = (models.read_record(place) or {"files": {}})["files"]
        return set(known) == needed and all(files.sha256(place / file) == known[file] for file in known)
    except (ToolFault, OSError):
        return False


def _catalogue() -> dict:
    return yaml.safe_load(CATALOGUE.read_text(encoding="utf-8"))["models"]
