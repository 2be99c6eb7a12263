"""The one place where scripts meet Snakemake: a rule's named items become keyword arguments of `main`."""

from __future__ import annotations

import inspect
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from talkset import progress
from talkset.faults import LaneBlocked, ToolFault


def run(main: Callable, snakemake) -> None:
    """Call `main` with the rule's named inputs, outputs and params, its log on file descriptors 1 and 2.

    File items become `Path` (lists of files: lists of `Path`); params are passed as they are; `threads` is passed
    where `main` asks for it. A fault ends in one sentence on the terminal and the trace in the log.
    """
    arguments = {name: _paths(value) for items in (snakemake.input, snakemake.output) for name, value in items.items()}
    arguments.update(snakemake.params.items())
    if "threads" in inspect.signature(main).parameters:
        arguments["threads"] = snakemake.threads
    if snakemake.log:
        _send_output_to(Path(snakemake.log[0]))
    try:
        main(**arguments)
    except BaseException as error:
        traceback.print_exc()
        sentence = str(error) if isinstance(error, (ToolFault, LaneBlocked)) else f"{type(error).__name__}: {error}"
        if isinstance(error, OSError) and error.strerror:
            sentence = f"{error.strerror}: {error.filename or snakemake.output[0]}"
        log = f" (log: {snakemake.log[0]})" if snakemake.log else ""
        print(f"{snakemake.rule}: {sentence}{log}", file=progress.console, flush=True)
        sys.exit(1)


def _paths(value):
    return Path(value) if isinstance(value, str) else [Path(item) for item in value]


def _send_output_to(log: Path) -> None:
    """Point stdout and stderr, also of libraries and child processes, at the log; keep the terminal for progress."""
    progress.console = os.fdopen(os.dup(2), "w", buffering=1)
    log.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    os.close(handle)
