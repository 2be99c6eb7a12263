"""The demo, built once from end to end."""

from __future__ import annotations

import subprocess
import sys

import pytest
from workspace import REPOSITORY, Work, copied


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
