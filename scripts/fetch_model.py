"""Fetch the files of one model from the hub or from an address, and verify them."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from talkset import glue, models, progress
from talkset.acquire import http
from talkset.acquire.pins import Firsts
from talkset.faults import ToolFault
from talkset.files import write_json

HUB = "https://huggingface.co"


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
        lock: table of what was fetched, for all models of the working folder.
        version: of this step.

    Raises:
        ToolFault: a file cannot be had, or is another one than the pinned or the first one; the text names both.
    """
    firsts = Firsts(Path(lock), "model", "revision")
    revision = _revision(model, source, next(iter(pinned)), firsts.rows(model=model))
    rows = []
    for path, (file, pin) in zip(files, pinned.items(), strict=True):
        url = _address(source, revision, file)
        with _named(model, source, url):
            got = http.fetch(url, path, size=pin["size"], headers=_headers(source))
        if wrong := firsts.wrong(url, got, pin["sha256"], model=model, file=file, revision=revision):
            http.drop(path)
            raise ToolFault(f"model {model}: {wrong}")
        rows.append({"model": model, "file": file, "size": got.size, "sha256": got.sha256, "revision": revision})
    firsts.note(rows, model=model)
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


if __name__ == "__main__":
    glue.run(main, snakemake)  # noqa: F821
