"""Fetch the files of one model from the hub or from an address, and verify them."""

import contextlib
import datetime
import fcntl
import os
import re
from collections.abc import Iterator
from pathlib import Path

from talkset import glue, models, progress, tables
from talkset.acquire import http
from talkset.faults import ToolFault
from talkset.files import write_json

HUB = "https://huggingface.co"
COLUMNS = (
    "model",
    "file",
    "size",  # bytes
    "sha256",
    "revision",  # the hub's commit; empty: the model has an address, not a repository
    "fetched",  # date of the first fetch
)
IDENTITY = ("model", "file", "sha256", "revision")


def main(
    files: list[Path], record: Path, *, model: str, source: dict, pinned: dict[str, dict], lock: str, version: int
) -> None:
    """Fetch all files of a model, or none of them.

    What has arrived stays as hidden parts beside the files if the job fails or is killed, and is gone on with. A file
    whose hash is not pinned is trusted the first time, if it is what the hub says it is; from then on it has to be the
    same.

    Args:
        files: the model's files, in the order of `pinned`.
        record: the folder's record, see `talkset.models`.
        model: its name.
        source: `repo`, `revision`, `subfolder` and `url`, as in config/models.yaml.
        pinned: `sha256` and `size` by file; null: not known.
        lock: table of what was fetched, for all models of the working folder; not an output, since it outlives each.
        version: of this step.

    Raises:
        ToolFault: a file cannot be had, or is another one than the pinned or the first one; the text names both.
    """
    seen = [row for row in _read(Path(lock)) if row["model"] == model]
    revision = _revision(model, source, next(iter(pinned)), seen)
    rows = []
    for path, (file, pin) in zip(files, pinned.items(), strict=True):
        url = _address(source, revision, file)
        with _named(model, source, url):
            got = http.fetch(url, path, size=pin["size"], headers=_headers(source))
        first = next((row for row in seen if row["file"] == file and row["revision"] == revision), None)
        wrong = _wrong(url, got, pin["sha256"], first, lock)
        if wrong:
            http.drop(path)
            raise ToolFault(f"model {model}: {wrong}")
        rows.append({"model": model, "file": file, "size": got.size, "sha256": got.sha256, "revision": revision})
    _note(Path(lock), rows)
    for path in files:
        http.keep(path)
    hashes = {row["file"]: row["sha256"] for row in rows}
    said = models.record(id=models.source(source), revision=revision, weights=models.PUBLISHED, hashes=hashes)
    write_json(record, said)
    progress.say(f"model {model}: {sum(row['size'] for row in rows) / 1e6:.1f} MB in {record.parent}")


def _revision(model: str, source: dict, file: str, seen: list[dict]) -> str:
    """The commit to fetch: the pinned one, else that of the last fetch, else the newest; empty: not on the hub."""
    if not source["repo"]:
        return ""
    if source["revision"]:
        return source["revision"]
    if seen:
        return seen[0]["revision"]
    url = _address(source, "main", file)
    with _named(model, source, url):
        commit = http.first_answer(url, "X-Repo-Commit", headers=_headers(source))
    if not commit:
        raise ToolFault(f"model {model}: {url} does not say of which commit it is; pin one: models: {model}: revision")
    progress.say(f"model {model}: no revision is pinned, taking the newest, {commit}")
    return commit


def _address(source: dict, revision: str, file: str) -> str:
    if not source["repo"]:
        return source["url"].format(file=file)
    inside = f"{source['subfolder']}/{file}" if source["subfolder"] else file
    return f"{_hub()}/{source['repo']}/resolve/{revision}/{inside}"


def _hub() -> str:
    return (os.environ.get("HF_ENDPOINT") or HUB).rstrip("/")


def _headers(source: dict) -> dict[str, str]:
    """The user's token, which goes to the hub alone."""
    token = os.environ.get("HF_TOKEN", "").strip()
    return {"Authorization": f"Bearer {token}"} if token and source["repo"] else {}


@contextlib.contextmanager
def _named(model: str, source: dict, url: str) -> Iterator[None]:
    """Say what to do where the address cannot be had."""
    try:
        yield
    except http.NotFetched as error:
        if source["repo"] and error.status in (401, 403):
            has = "the token in HF_TOKEN does not open it" if _headers(source) else "HF_TOKEN is not set"
            todo = (
                f"the repository is closed or does not exist, and {has}: ask for access at {HUB}/{source['repo']} and "
                "put a token of yours into the environment variable HF_TOKEN"
            )
        elif error.status == 404:
            todo = f"there is no such file: what config/models.yaml says about {model} is wrong, or it was withdrawn"
        else:
            todo = "is this machine online? Mirrors of the hub are named in HF_ENDPOINT, proxies in https_proxy"
        raise ToolFault(
            f"model {model}: cannot fetch {url} ({error}); {todo}. "
            f"A folder that has the files can take its place: models: {model}: path: <folder>"
        ) from error


def _wrong(url: str, got: http.Got, pinned: str | None, first: dict | None, lock: str) -> str:
    """What speaks against fetched bytes, with both hashes; empty: nothing."""
    hub = got.said.get("x-linked-etag", "").strip('"')
    if pinned:
        if got.sha256 != pinned:
            return f"{url} holds other bytes than the pinned ones: sha256 {got.sha256}, pinned {pinned}"
    elif first:
        if got.sha256 != first["sha256"]:
            return (
                f"{url} holds other bytes than at its first fetch on {first['fetched']}: sha256 {got.sha256}, "
                f"then {first['sha256']}; if the new ones are right, delete the model's rows in {lock}"
            )
    elif re.fullmatch("[0-9a-f]{64}", hub) and got.sha256 != hub:
        return f"{url} arrived damaged: sha256 {got.sha256}, the hub says {hub}; run the same command again"
    return ""


def _note(lock: Path, rows: list[dict]) -> None:
    """Put a model's rows into the table of what was fetched, in place of its old ones."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    today = datetime.date.today().isoformat()
    with open(lock.with_name(f".{lock.name}.lock"), "a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)  # models are fetched side by side
        known = _read(lock)
        since = {tuple(row[key] for key in IDENTITY): row["fetched"] for row in known}
        table = [row for row in known if row["model"] != rows[0]["model"]]
        table += [row | {"fetched": since.get(tuple(row[key] for key in IDENTITY), today)} for row in rows]
        tables.write(lock, COLUMNS, sorted(table, key=lambda row: (row["model"], row["file"])))


def _read(lock: Path) -> list[dict]:
    return list(tables.rows(lock)) if lock.is_file() else []


if __name__ == "__main__":
    glue.run(main, snakemake)  # noqa: F821
