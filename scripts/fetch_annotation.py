"""Fetch one annotation file from its pinned address."""

from pathlib import Path

from talkset import glue, progress
from talkset.acquire import http
from talkset.faults import ToolFault


def main(annotation: Path, *, url: str, sha256: str, version: int) -> None:
    """Fetch `url` to `annotation`, whole or not at all.

    Args:
        annotation: output file.
        url: http or https address.
        sha256: of the file's bytes, 64 hex digits.
        version: of this step.

    Raises:
        ToolFault: the address cannot be read, or holds other bytes than the pinned ones.
    """
    try:
        got = http.fetch(url, annotation)
    except http.NotFetched as error:
        raise ToolFault(
            f"cannot fetch {url} ({error}); is this machine online and the address right? "
            "Files at hand can be given as a folder: datasets: annotations: <folder>"
        ) from error
    if got.sha256 != sha256.lower():
        http.drop(annotation)
        raise ToolFault(
            f"{url} holds other bytes than the pinned ones: sha256 {got.sha256}, pinned {sha256}; "
            "if the file has really changed, pin the new hash under datasets: annotations: sha256"
        )
    http.keep(annotation)
    progress.say(f"fetched {url}")


if __name__ == "__main__":
    glue.run(main, snakemake)  # noqa: F821
