"""The demo, built once from end to end, and a way to run the workflow on a copy of it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass
class Run:
    """A finished Snakemake command."""

    status: int
    output: str

    @property
    def jobs(self) -> dict[str, int]:
        """Jobs by rule, from the table that Snakemake prints before it starts (or after, in a dry run)."""
        tables = re.findall(r"^job +count\n[- ]+\n(.*?)^total", self.output, re.MULTILINE | re.DOTALL)
        if not tables:
            assert "Nothing to be done" in self.output, self.output[-3000:]
            return {}
        return {name: int(count) for name, count in (line.split() for line in tables[-1].splitlines())}


@dataclass
class Work:
    """A working folder with its config."""

    folder: Path
    config: Path = REPOSITORY / "config" / "demo.yaml"

    def command(self, *arguments: str) -> list[str]:
        return [
            *(sys.executable, "-m", "snakemake", "--snakefile", str(REPOSITORY / "Snakefile")),
            *("--configfile", str(self.config), "--cores", "2"),
            *arguments,
        ]

    def snakemake(self, *arguments: str, **environment: str) -> Run:
        """Run the workflow here; no exception on failure."""
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env={**os.environ, "no_proxy": "", "NO_PROXY": "", **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return Run(done.returncode, done.stdout)

    def results(self, *parts: str) -> Path:
        return self.folder.joinpath("results", "demo", *parts)


def copied(folder: Path, to: Path) -> Path:
    """A copy of a working folder with all dates, as `cp -a` or `mv` leave it."""
    shutil.copytree(folder, to, symlinks=True)
    return to


@pytest.fixture(scope="session")
def demo(tmp_path_factory) -> Work:
    """The demo as `make demo` builds it; tests that change something work on a copy."""
    folder = tmp_path_factory.mktemp("demo")
    done = subprocess.run(
        [sys.executable, str(REPOSITORY / "scripts" / "run_demo.py")],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-5000:]
    (folder / "output.txt").write_text(done.stdout)
    return Work(folder)


@pytest.fixture
def work(demo, tmp_path) -> Work:
    """A copy of the finished demo."""
    return Work(copied(demo.folder, tmp_path / "copy"))
