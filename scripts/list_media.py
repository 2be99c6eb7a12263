"""List the media folder of a dataset whose clips are its files."""

from pathlib import Path

from talkset import glue, listing


def main(media_list: Path, *, dataset: str, folder: str, seen: str, version: int) -> None:
    """Write the listing of `folder` to `media_list`, as `talkset.listing` says.

    Args:
        media_list: output.
        dataset: name in the config.
        folder: the user's.
        seen: digest of what the folder held when the workflow was started, so that another one lists it anew.
        version: of this step.

    Raises:
        ToolFault: the folder or one below it cannot be read.
    """
    listing.write(Path(folder), media_list, dataset)


if __name__ == "__main__":
    glue.run(main, snakemake)  # noqa: F821
