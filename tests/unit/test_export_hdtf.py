"""The loose export holds exactly the kept clips, touches nothing else, and may be killed at any file."""

from __future__ import annotations

import hashlib

import pytest

import export_hdtf
from talkset import files, shardtar, tables
from talkset.faults import ToolFault


class Dataset:
    """A ledger and two crop shards whose media are short byte strings."""

    def __init__(self, folder):
        self.folder = folder
        self.exported = folder / "export" / "hdtf" / "files.tsv"
        self.kept("RD_A_000", "WDA_B_001")
        self.shards("first")

    def kept(self, *clips: str):
        ledger = [
            {"clip": clip, "status": "ok" if clip in clips else "rejected", "weight": "0.5"}
            for clip in ("RD_A_000", "RD_A_001", "WDA_B_001")
        ]
        ledger.append({"clip": "WRA_C_000", "status": "gone", "weight": "0"})
        tables.write(self.folder / "manifest.tsv", ("clip", "status", "weight"), ledger)

    def shards(self, content: str):
        self.crops = [self.folder / "A.tar", self.folder / "B.tar"]
        with shardtar.Writer(self.crops[0]) as shard:
            for clip in ("RD_A_000", "RD_A_001"):
                media = {ending: f"{clip}{ending}{content}".encode() for ending in ("mp4", "wav")}
                shard.add(clip, {"clip": clip, "status": "ok"}, media)
        with shardtar.Writer(self.crops[1]) as shard:
            shard.add("WDA_B_001", {"clip": "WDA_B_001", "status": "ok"}, {"mp4": b"silent " + content.encode()})
            shard.add("WRA_C_000", {"clip": "WRA_C_000", "status": "gone"})

    def export(self) -> dict[str, bytes]:
        """Export; the media that then lie there."""
        export_hdtf.main(self.folder / "manifest.tsv", self.crops, self.exported, version=1)
        return self.there()

    def there(self) -> dict[str, bytes]:
        media = (path for path in self.exported.parent.iterdir() if path.suffix in (".mp4", ".wav"))
        return {path.name: path.read_bytes() for path in media}


WANTED = {
    "RD_A_000.mp4": b"RD_A_000mp4first",
    "RD_A_000.wav": b"RD_A_000wavfirst",
    "WDA_B_001.mp4": b"silent first",
}


@pytest.fixture
def dataset(tmp_path):
    return Dataset(tmp_path)


def test_kept_clips_lie_there_byte_for_byte_and_are_listed(dataset):
    assert dataset.export() == WANTED
    assert list(tables.rows(dataset.exported)) == [
        {
            "clip": name[:-4],
            "file": name,
            "bytes": str(len(content)),
            "sha256": hashlib.sha256(content).hexdigest(),
            "weight": "0.5",
        }
        for name, content in WANTED.items()
    ]


def test_what_is_there_is_not_written_again(dataset):
    dataset.export()
    before = {path.name: path.stat().st_ino for path in dataset.exported.parent.glob("*.mp4")}
    dataset.exported.unlink()  # as Snakemake does before it repeats a job
    dataset.export()
    assert {path.name: path.stat().st_ino for path in dataset.exported.parent.glob("*.mp4")} == before


def test_damaged_and_outdated_files_are_written_again(dataset):
    dataset.export()
    (dataset.exported.parent / "RD_A_000.mp4").write_bytes(b"RD_A_000mp4fIrst")
    assert dataset.export() == WANTED
    dataset.shards("other")
    assert dataset.export()["WDA_B_001.mp4"] == b"silent other"


def test_clips_no_longer_kept_go_and_foreign_files_stay(dataset):
    dataset.export()
    foreign = dataset.exported.parent / "RD_A_007.mp4"
    foreign.write_bytes(b"mine")
    dataset.exported.unlink()
    dataset.kept("RD_A_001")
    assert sorted(dataset.export()) == ["RD_A_001.mp4", "RD_A_001.wav", "RD_A_007.mp4"]
    assert foreign.read_bytes() == b"mine"


def test_a_foreign_file_is_never_overwritten(dataset):
    dataset.exported.parent.mkdir(parents=True)
    foreign = dataset.exported.parent / "RD_A_000.wav"
    foreign.write_bytes(b"mine")
    with pytest.raises(ToolFault, match="RD_A_000.wav was not written by talkset"):
        dataset.export()
    assert dataset.there() == {"RD_A_000.wav": b"mine"}


def test_only_names_that_this_script_gives_are_removed(dataset):
    dataset.export()
    outside = dataset.folder / "export" / "precious.mp4"
    outside.write_bytes(b"mine")
    noted = dataset.exported.parent / export_hdtf.WRITTEN
    noted.write_text(noted.read_text() + "../precious.mp4\nmanifest.tsv\n.hidden.mp4\n")
    (dataset.exported.parent / ".hidden.mp4").write_bytes(b"mine")
    dataset.export()
    assert outside.exists() and (dataset.exported.parent / ".hidden.mp4").exists()


class Killed(BaseException):
    pass


@pytest.mark.parametrize("replacements", range(6))
def test_killed_at_any_file_and_repeated_with_other_clips(dataset, monkeypatch, replacements):
    """Dies before the n-th rename, its partial file left behind; then other clips are kept."""
    replace, left = files.os.replace, [replacements]

    def dying(source, target):
        if not left[0]:
            raise Killed
        left[0] -= 1
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(files.os, "replace", dying)
        patch.setattr(files.Path, "unlink", lambda *_, **__: None)
        with pytest.raises(Killed):
            dataset.export()
    dataset.kept("RD_A_001")
    assert sorted(dataset.export()) == ["RD_A_001.mp4", "RD_A_001.wav"]
    assert sorted(path.name for path in dataset.exported.parent.iterdir()) == [
        export_hdtf.WRITTEN,
        "RD_A_001.mp4",
        "RD_A_001.wav",
        "files.tsv",
    ]


def test_a_kept_clip_without_a_crop_is_an_error(dataset):
    dataset.kept("RD_A_000")
    with pytest.raises(ToolFault, match="keeps RD_A_000, but no crop shard"):
        export_hdtf.main(dataset.folder / "manifest.tsv", dataset.crops[1:], dataset.exported, version=1)
