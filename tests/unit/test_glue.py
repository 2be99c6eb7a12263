"""Where scripts meet Snakemake: named items become arguments, output goes to the log, a fault ends in one sentence."""

from __future__ import annotations

import subprocess
import sys

import pytest
from workspace import REPOSITORY

JOB = """
import errno, os, sys
sys.path.insert(0, {scripts!r})
from pathlib import Path
from types import SimpleNamespace
from talkset import glue, progress
from talkset.faults import LaneBlocked, ToolFault

class Items(dict):
    __getitem__ = lambda self, key: list(self.values())[key] if isinstance(key, int) else dict.__getitem__(self, key)

def main(table: Path, parts: list, made: Path, *, version: int, threads: int):
    print("to the log", type(table).__name__, [type(part).__name__ for part in parts], made.name, version, threads)
    os.write(2, b"from a library\\n")
    progress.say("half way")
    {body}

glue.run(main, SimpleNamespace(
    rule="a_rule", threads=3, log=[{log!r}],
    input=Items(table="t.tsv", parts=["a", "b"]), output=Items(made="out.tsv"), params=Items(version=2),
))
"""


def run(tmp_path, body):
    log = tmp_path / "logs" / "job.log"
    code = JOB.format(scripts=str(REPOSITORY / "scripts"), log=str(log), body=body)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    return done, log.read_text()


def test_items_become_arguments_and_output_goes_to_the_log(tmp_path):
    done, log = run(tmp_path, "pass")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "half way\n")
    assert "to the log PosixPath ['PosixPath', 'PosixPath'] out.tsv 2 3" in log
    assert "from a library" in log and "half way" in log


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("raise ToolFault('no model here; run x')", "a_rule: no model here; run x (log: "),
        ("raise LaneBlocked('wait until noon')", "a_rule: wait until noon (log: "),
        ("raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))", "a_rule: No space left on device: out.tsv (log: "),
        ("raise OSError(errno.EACCES, 'Permission denied', 'x.mp4')", "a_rule: Permission denied: x.mp4 (log: "),
        ("raise KeyError('colour')", "a_rule: KeyError: 'colour' (log: "),
    ],
)
def test_a_fault_is_one_sentence_here_and_a_trace_in_the_log(tmp_path, body, sentence):
    done, log = run(tmp_path, body)
    assert done.returncode == 1
    assert sentence in done.stderr and len(done.stderr.splitlines()) == 2, done.stderr
    assert "Traceback" in log and "Traceback" not in done.stderr
