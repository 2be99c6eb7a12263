"""Which of our modules a step runs, and a hash of their code that comments, docstrings and layout do not change."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"

# What every step has without being changed by it: how a job meets Snakemake, reports and counts.
PLUMBING = {"glue", "progress", "versions", "registry"}


def code(path: Path) -> str:
    """A file's code as text, without comments, docstrings and layout."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
    return ast.dump(tree)


def nodes(path: Path) -> Iterator[ast.AST]:
    """All that a file runs: every node but those under `if TYPE_CHECKING`."""
    ahead: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while ahead:
        node = ahead.pop()
        if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
            yield node
            ahead.extend(ast.iter_child_nodes(node))


def imported(path: Path) -> set[Path]:
    """Files of the package talkset that a file imports, anywhere in it."""
    found = set()
    for node in nodes(path):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "talkset":
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names if alias.name.split(".")[0] == "talkset"]
        for name in names:
            file = SCRIPTS / Path(*name.split(".")).with_suffix(".py")
            if file.is_file() and file.stem not in PLUMBING:
                found.add(file)
    return found


def closure(start: Path) -> list[Path]:
    """`start` and all that it imports of ours, directly or not, sorted."""
    seen, ahead = {start}, [start]
    while ahead:
        for file in imported(ahead.pop()) - seen:
            seen.add(file)
            ahead.append(file)
    return sorted(seen)


def digest(start: Path) -> str:
    """Twelve hex digits over the code of a step's script (or plug-in) and of all that it imports of ours."""
    content = hashlib.sha256()
    for file in closure(start):
        content.update(f"{file.relative_to(SCRIPTS)}\n{code(file)}\n".encode())
    return content.hexdigest()[:12]
