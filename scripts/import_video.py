"""Take one source video from a folder of the user's, with its record.

A file is linked, by a symbolic link. A copy would double hundreds of gigabytes. A hard link would share the user's
inode: Snakemake sets dates on outputs (`--touch`), which would change the user's file, while on a symbolic link it sets
the link's own and, when the file is temporary, deletes the link alone. Links between two places of a working folder are
relative, so that the folder may be moved.

A folder of numbered pictures is put into one file, each picture as it is, so nothing is lost and nothing is decoded.
"""

import os
import re
from fractions import Fraction
from pathlib import Path

import av

from talkset import files, glue, listing, progress
from talkset.acquire.client import describe
from talkset.acquire.client import record as complete
from talkset.acquire.probe import Unreadable, probe
from talkset.faults import ClipFault, ToolFault
from talkset.media import open_file, picture_stream, writing

TOOL = "import"
# What downloaders call a file that they have not finished.
UNFINISHED = (".part", ".ytdl", ".temp", ".tmp", ".crdownload")
# Codecs of single pictures that a file of kind mp4 can hold as they are.
PICTURES = ("png", "mjpeg")
RATE = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9}|/[1-9][0-9]{0,8})?")


def main(
    source: list[Path],
    media: Path,
    record: Path,
    *,
    video: str,
    url: str,
    names: list[str],
    folder: str,
    rate: str,
    version: int,
) -> None:
    """Make `media` the one file or folder of `source` that is the video (empty where there is none); write `record`.

    Args:
        source: files of the folder called by one of `names`, with any ending; without names what lies where `url` says.
        names: names that the video goes by, without ending; the first that has a file counts.
        url: the video's address; without names its path below `folder`.
        folder: the import folder.
        rate: pictures a second, where the video may be a folder of pictures.
        version: version of this step.

    Raises:
        ToolFault: one name has several files.
    """
    values: dict = {}
    try:
        file, note = _pick(source, names, Path(folder)) if names else _at(source, url, Path(folder))
        if file.is_dir():
            note = assemble(file, media, rate)
            found = probe(media)
        else:
            try:
                found = probe(file)
            except Unreadable as error:
                raise ClipFault(f"{file.name}: {error}") from None
            if found.fault:
                note = "; ".join(filter(None, (note, f"not whole: {found.fault}")))
            _link(file, media)
        values = {"status": "ok", "note": note, **describe(media, found)}
        progress.say(f"{video}: {file.name}, {found.height} lines, {values['bytes'] / 1e6:.1f} MB")
    except ClipFault as fault:
        with files.whole(media) as partial:
            partial.touch()
        values = {"status": fault.status, "reason": fault.reason}
    files.write_json(record, complete(video, url, None, TOOL, **values))


def assemble(folder: Path, media: Path, rate: str) -> str:
    """Put the numbered pictures of `folder` into the file `media`, without sound, and say what was done.

    Args:
        folder: of PNG or JPEG files; their names end in the picture's number.
        media: output, .mp4.
        rate: pictures a second, exact.

    Raises:
        ClipFault: there are none, a number is missing or there twice, or the pictures are not of one kind and size.
    """
    if not RATE.fullmatch(rate) or not Fraction(rate):
        raise ClipFault(f"{folder.name} is a folder of pictures, and how many a second is not known (it says {rate!r})")
    tick = 1 / Fraction(rate)
    pictures = _in_order(folder)
    with files.whole(media) as partial, writing(partial), av.open(str(partial), "w", format="mp4") as output:
        kind, stream = None, None
        for place, path in enumerate(pictures):
            try:
                with open_file(path) as image:
                    given = picture_stream(image)
                    packet = next(packet for packet in image.demux(given) if packet.size)
                    found = (given.codec_context.name, given.width, given.height)
                    if stream is None and found[0] in PICTURES:
                        kind, stream = found, output.add_stream_from_template(given)
                        stream.time_base = tick
            except (ClipFault, av.FFmpegError, StopIteration):
                raise ClipFault(f"{folder.name}/{path.name} cannot be read as a picture") from None
            if found[0] not in PICTURES:
                raise ClipFault(f"{folder.name}/{path.name} is neither PNG nor JPEG but {found[0]}")
            if found != kind:
                texts = ["{} of {}x{}".format(*one) for one in (found, kind)]
                raise ClipFault(f"{folder.name}/{path.name} is a {texts[0]}, the pictures before it are {texts[1]}")
            packet.stream, packet.time_base = stream, tick
            packet.pts = packet.dts = place
            packet.duration, packet.is_keyframe = 1, True
            output.mux(packet)
    return f"{len(pictures)} pictures, {rate} a second"


def _in_order(folder: Path) -> list[Path]:
    """The pictures of a folder by their numbers, which follow each other."""
    seen = [path for path in folder.iterdir() if not path.name.startswith(".")]
    if not seen:
        raise ClipFault(f"the folder {folder.name} is empty")
    by_number: dict[int, Path] = {}
    for path in sorted(seen):
        number = listing.number(path.name)
        if number is None:
            raise ClipFault(f"{folder.name}/{path.name} is no numbered picture")
        if number in by_number:
            raise ClipFault(f"{folder.name}: {by_number[number].name} and {path.name} have one number")
        by_number[number] = path
    first, last = min(by_number), max(by_number)
    missing = last - first + 1 - len(by_number)
    if missing:
        absent = next(number for number in range(first, last) if number not in by_number)
        raise ClipFault(
            f"{folder.name}: of the pictures {first} to {last} {missing} are missing, the first of them is {absent}"
        )
    return [by_number[number] for number in range(first, last + 1)]


def _at(source: list[Path], url: str, folder: Path) -> tuple[Path, str]:
    """What lies at a path below the import folder."""
    if not source:
        raise ClipFault(f"{url} is not in the import folder {folder.name}", status="gone")
    return source[0], ""


def _pick(source: list[Path], names: list[str], folder: Path) -> tuple[Path, str]:
    """The file to take, and a note if another name has one too."""
    finished = [file for file in source if file.suffix.lower() not in UNFINISHED]
    by_name = {name: [file for file in finished if file.stem == name] for name in names}
    named = [(name, candidates) for name, candidates in by_name.items() if candidates]
    if not named:
        looked = " or ".join(f"{name}.*" for name in names)
        rest = f"; unfinished: {_listed(source, folder)}" if source else ""
        raise ClipFault(f"not in the import folder {folder.name}: looked for {looked}{rest}", status="gone")
    _, candidates = named[0]
    if len(candidates) > 1:
        raise ToolFault(
            f"{folder}: {_listed(candidates, folder)} are all called like one video: leave one of them there"
        )
    others = [file for _, more in named[1:] for file in more]
    return candidates[0], f"also there, not used: {_listed(others, folder)}" if others else ""


def _listed(found: list[Path], folder: Path) -> str:
    """Paths below the import folder."""
    return ", ".join(sorted(os.path.relpath(file, folder) for file in found))


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
