"""Every conda env names all that its rules import: nothing is silently taken from the machine that runs Snakemake."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import yaml
from modules import SCRIPTS, closure, nodes
from workspace import REPOSITORY

# Packages whose import name is another, and modules that come with a package of another name.
PACKAGE = {
    "cv2": "opencv-contrib-python",
    "PIL": "pillow",
    "google": "mediapipe",
    "imageio_ffmpeg": "imageio-ffmpeg",
    "silero_vad": "silero-vad",
    "yaml": "pyyaml",
    "yt_dlp": "yt-dlp",
    "yt_dlp_ejs": "yt-dlp-ejs",
}


def imports(path: Path) -> set[str]:
    """Third-party packages that a step imports, itself or through our own modules, anywhere in the code."""
    names = set()
    for file in closure(path):
        for node in nodes(file):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names.add(node.module.split(".")[0])
    return {PACKAGE.get(name, name) for name in names - set(sys.stdlib_module_names) - {"talkset"}}


def packages(env: Path) -> set[str]:
    found = set()
    for item in yaml.safe_load(env.read_text())["dependencies"]:
        # A headless OpenCV is the same package without windows.
        found |= {
            line.split("=")[0].removesuffix("-headless") for line in (item["pip"] if isinstance(item, dict) else [item])
        }
    return found


def plugin_of(rule) -> Path | None:
    """The plug-in that a rule made in a loop runs."""
    for kind, param in (("scores", "score"), ("features", "modality")):
        if param in rule.params.keys():  # noqa: SIM118 (Snakemake's own class)
            return SCRIPTS / "talkset" / kind / f"{getattr(rule.params, param)}.py"
    return None


def test_every_env_has_what_its_rules_import(rules):
    checked = 0
    for name, rule in rules.items():
        if rule.script:
            env = (REPOSITORY / "rules" / str(rule.conda_env)).resolve()
            used = imports(SCRIPTS / Path(rule.script).name)
            if plugin_of(rule):
                used |= imports(plugin_of(rule))
            assert used <= packages(env), f"{name}: envs/{env.name} lacks {sorted(used - packages(env))}"
            checked += bool(used)
    assert checked >= 8
