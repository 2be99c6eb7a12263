"""Take one source video from a folder of the user's, with its record.

The file is linked, by a symbolic link. A copy would double hundreds of gigabytes. A hard link would share the user's
inode: Snakemake sets dates on outputs (`--touch`), which would change the user's file, while on a symbolic link it sets
the link's own and, when the file is temporary, deletes the link alone. Links between two places of a working folder are
relative, so that the folder may be moved.
"""

import os
from pathlib import Path

from talkset import files, glue, progress
from talkset.acquire.client import describe
from talkset.acquire.client import record as complete
from talkset.acquire.probe import Unreadable, probe
from talkset.faults import ClipFault, ToolFault

TOOL = "import"
# What downloaders call a file that they have not finished.
UNFINISHED = (".part", ".ytdl", ".temp", ".tmp", ".crdownload")


def main(
    source: list[Path], media: Path, record: Path, *, video: str, url: str, names: list[str], folder: str, version
) -> None:
    """Link `media` to the one file of `source` that is the video (empty where there is none), and write `record`.

    Args:
        source: files of the folder called by one of `names`, with any ending.
        names: names that the video goes by, without ending; the first that has a file counts.
        folder: the import folder.
        version: version of this step.

    Raises:
        ToolFault: one name has several files.
    """
    values: dict = {}
    try:
        file, note = _pick(source, names, Path(folder))
        try:
            found = probe(file)
        except Unreadable as error:
            raise ClipFault(f"{file.name}: {error}") from None
        if found.fault:
            note = "; ".join(filter(None, (note, f"not whole: {found.fault}")))
        values = {"status": "ok", "note": note, **describe(file, found)}
        _link(file, media)
        progress.say(f"{video}: {file.name}, {found.height} lines, {values['bytes'] / 1e6:.1f} MB")
    except ClipFault as fault:
        with files.whole(media) as partial:
            partial.touch()
        values = {"status": fault.status, "reason": fault.reason}
    files.write_json(record, complete(video, url, None, TOOL, **values))


def _pick(source: list[Path], names: list[str], folder: Path) -> tuple[Path, str]:
    """The file to take, and a note if another name has one too."""
    finished = [file for file in source if file.suffix.lower() not in UNFINISHED]
    by_name = {name: [file for file in finished if file.stem == name] for name in names}
    named = [(name, candidates) for name, candidates in by_name.items() if candidates]
    if not named:
        looked = " or ".join(f"{name}.*" for name in names)
        rest = f"; unfinished: {', '.join(file.name for file in source)}" if source else ""
        raise ClipFault(f"not in the import folder {folder.name}: looked for {looked}{rest}", status="gone")
    _, candidates = named[0]
    if len(candidates) > 1:
        listing = ", ".join(sorted(file.name for file in candidates))
        raise ToolFault(f"{folder}: {listing} are all called like one video: leave one of them there")
    others = [file.name for _, files_ in named[1:] for file in files_]
    return candidates[0], f"also there, not used: {', '.join(sorted(others))}" if others else ""


def _link(file: Path, media: Path) -> None:
    """Make `media` a link to `file`, in one step."""
    target = os.path.realpath(file)
    if not file.is_absolute():
        target = os.path.relpath(target, os.path.realpath(media.parent))
    # Not the name that half-written files have: what follows a killed job would write through the link.
    link = media.with_name(f".{media.stem}.link{media.suffix}")
    link.unlink(missing_ok=True)
    os.symlink(target, link)
    os.replace(link, media)


if __name__ == "__main__":
    glue.run(main, snakemake)  # noqa: F821
