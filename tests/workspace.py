"""Running the workflow in a folder of a test's own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]


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
