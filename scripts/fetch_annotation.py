"""Fetch one annotation file from its pinned address."""

from pathlib import Path

from talkset import glue, progress
from talkset.acquire import http
from talkset.acquire.pins import Firsts
from talkset.faults import ToolFault


def main(annotation: Path, *, dataset: str, url: str, sha256: str | None, lock: str, version: int) -> None:
    """Fetch `url` to `annotation`, whole or not at all.

    A file whose hash is not pinned is trusted the first time; from then on it has to be the same.

    Args:
        annotation: output file.
        dataset: name in the config.
        url: http or https address.
        sha256: of the file's bytes, 64 hex digits; null: not known.
        lock: table of what was fetched, for all annotations of the working folder.
        version: of this step.

    Raises:
        ToolFault: the address cannot be read, or holds other bytes than the pinned or the first ones.
    """
    try:
        got = http.fetch(url, annotation)
    except http.NotFetched as error:
        raise ToolFault(
            f"cannot fetch {url} ({error}); is this machine online and the address right? "
            "Files at hand can be given as a folder: datasets: annotations: <folder>"
        ) from error
    firsts = Firsts(Path(lock), "dataset", "url")
    row = {"dataset": dataset, "file": annotation.name, "url": url}
    if wrong := firsts.wrong(url, got, sha256, **row):
        http.drop(annotation)
        pin = f"; if the file has really changed, pin the new hash under datasets: {dataset}: annotations: sha256"
        raise ToolFault(wrong + (pin if sha256 else ""))
    firsts.note([row | {"size": got.size, "sha256": got.sha256}], dataset=dataset, file=annotation.name)
    http.keep(annotation)
    progress.say(f"fetched {url}")


if __name__ == "__main__":
    glue.run(main, snakemake)  # noqa: F821
