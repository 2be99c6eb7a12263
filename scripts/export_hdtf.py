"""Export the kept clips as loose files, the layout that the usual HDTF script leaves behind.

`{clip}.mp4` (512x512, 25 fps) and `{clip}.wav` (16 kHz mono; absent where the source has no sound) lie beside
`files.tsv`, which lists them. Clip ids of HDTF are `{subset}_{video}_{index:03d}`. Nothing is encoded again: the bytes
are those of the crop shards.
"""

import contextlib
import hashlib
import os
import re
import shutil
from pathlib import Path

from talkset import files, glue, names, progress, shardtar, tables
from talkset.faults import ToolFault

COLUMNS = (
    "clip",
    "file",  # beside the table
    "bytes",
    "sha256",
    "weight",  # sampling weight of the clip, above 0 to 1
)
ENDINGS = ("mp4", "wav")

# Names of all files that talkset has put into the folder or was about to. Snakemake deletes the table before it
# repeats the job, and a killed job leaves none, so the table cannot tell which files are ours.
WRITTEN = ".written.txt"


def main(manifest: Path, crops: list[Path], exported: Path, *, version: int) -> None:
    """Make the folder of `exported` hold the kept clips and nothing that an earlier run left of others.

    Files that are there with the right content are left alone; files of clips no longer kept are removed; files that
    talkset did not write are never touched.

    Args:
        manifest: the ledger; clips with status `ok` are exported.
        crops: every crop shard of the dataset.
        exported: the table of the files, in the order of the ledger.

    Raises:
        ToolFault: a kept clip has no crop, or a foreign file has the name of one to write.
    """
    kept = {row["clip"]: row for row in tables.rows(manifest) if row["status"] == "ok"}
    found = {}
    for shard in map(shardtar.Reader, crops):
        for record in shard.records():
            members = (f"{record['clip']}.{ending}" for ending in ENDINGS if record["clip"] in kept)
            found.update({member: shard for member in members if shard.has(member)})
    without = [clip for clip in kept if f"{clip}.mp4" not in found]
    if without:
        raise ToolFault(f"{manifest} keeps {without[0]}, but no crop shard holds it; delete the ledger and repeat")
    wanted = [f"{clip}.{ending}" for clip in kept for ending in ENDINGS if f"{clip}.{ending}" in found]

    folder = exported.parent
    ours = _written(folder)
    for name in wanted:
        if name not in ours and (folder / name).exists() and not _same(folder / name, found[name], name):
            raise ToolFault(f"{folder / name} was not written by talkset; move it away, then repeat")
    files.write_text(folder / WRITTEN, _lines(ours | set(wanted)))

    for name in sorted(ours - set(wanted)):
        (folder / name).unlink(missing_ok=True)
        files.partial_of(folder / name).unlink(missing_ok=True)
    table = []
    for name in progress.each(wanted, len(wanted), "export_hdtf", "files"):
        clip = name.rpartition(".")[0]
        if not _same(folder / name, found[name], name):
            with (
                files.whole(folder / name) as partial,
                contextlib.closing(found[name].media(name)) as source,
                open(partial, "wb") as target,
            ):
                shutil.copyfileobj(source, target, 1 << 20)
        table.append(
            {
                "clip": clip,
                "file": name,
                "bytes": (folder / name).stat().st_size,
                "sha256": files.sha256(folder / name),
                "weight": kept[clip]["weight"],
            }
        )
    tables.write(exported, COLUMNS, table)
    files.write_text(folder / WRITTEN, _lines(set(wanted)))
    progress.say(f"export_hdtf: {len(kept)} clips, {len(wanted)} files in {folder}")


def _written(folder: Path) -> set[str]:
    """Names noted by earlier runs; a line that is not a name that this script gives is not trusted."""
    try:
        lines = (folder / WRITTEN).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return set()
    return {line for line in lines if re.fullmatch(rf"{names.SAFE}\.({'|'.join(ENDINGS)})", line)}


def _lines(written: set[str]) -> str:
    return "".join(f"{name}\n" for name in sorted(written))


def _same(path: Path, shard: shardtar.Reader, name: str) -> bool:
    """Whether a file is there with the content of a shard's member."""
    with contextlib.closing(shard.media(name)) as member:
        if not path.is_file() or path.stat().st_size != member.seek(0, os.SEEK_END):
            return False
        member.seek(0)
        return files.sha256(path) == hashlib.file_digest(member, "sha256").hexdigest()


if __name__ == "__main__":
    glue.run(main, snakemake)  # noqa: F821
