"""Media shards: whole or not at all, equal bytes for equal content, and nothing taken from a tar that is not ours."""

from __future__ import annotations

import io
import tarfile

import pytest

from talkset import shardtar
from talkset.faults import ToolFault

RECORD = {"clip": "a_000", "status": "ok", "reason": ""}


def made(path):
    with shardtar.Writer(path) as shard:
        shard.add("a_000", RECORD, {"mp4": b"picture", "wav": b"sound"})
        shard.add("-b_001", {"clip": "-b_001", "status": "gone", "reason": "removed"})
    return path


def test_records_and_media_come_back_in_order(tmp_path):
    shard = shardtar.Reader(made(tmp_path / "a.tar"))
    assert [record["clip"] for record in shard.records()] == ["a_000", "-b_001"]
    assert shard.read("a_000.wav") == b"sound"
    assert shard.has("a_000.mp4") and not shard.has("-b_001.mp4")


def test_a_member_is_a_seekable_file_that_ends_where_it_ends(tmp_path):
    with shardtar.Reader(made(tmp_path / "a.tar")).media("a_000.mp4") as file:
        assert file.read(3) == b"pic"
        assert file.seek(-2, io.SEEK_END) == 5
        assert file.read() == b"re"
        assert file.seek(1) == 1 and file.tell() == 1
        assert file.read() == b"icture"


def test_equal_content_is_equal_bytes(tmp_path):
    assert made(tmp_path / "a.tar").read_bytes() == made(tmp_path / "b.tar").read_bytes()


def test_other_tools_read_it(tmp_path):
    with tarfile.open(made(tmp_path / "a.tar")) as tar:
        assert tar.getnames() == ["a_000.mp4", "a_000.wav", "a_000.json", "-b_001.json"]


def test_the_longest_id_fits(tmp_path):
    clip = "x" * 200
    with shardtar.Writer(tmp_path / "a.tar") as shard:
        shard.add(clip, RECORD | {"clip": clip}, {"mp4": b"picture"})
    assert shardtar.Reader(tmp_path / "a.tar").read(f"{clip}.mp4") == b"picture"


def test_an_error_leaves_no_file(tmp_path):
    with pytest.raises(RuntimeError), shardtar.Writer(tmp_path / "a.tar") as shard:
        shard.add("a_000", RECORD)
        raise RuntimeError("in the middle")
    assert not list(tmp_path.iterdir())


def test_an_error_leaves_the_file_that_was_there(tmp_path):
    before = made(tmp_path / "a.tar").read_bytes()
    with pytest.raises(RuntimeError), shardtar.Writer(tmp_path / "a.tar"):
        raise RuntimeError("at once")
    assert (tmp_path / "a.tar").read_bytes() == before


@pytest.mark.parametrize("name", ["../a.mp4", "/etc/passwd", "a/b.mp4", "a.sh", ".a.mp4", "a b.mp4", "a.json\n"])
def test_a_foreign_name_is_refused(tmp_path, name):
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo(name), io.BytesIO(b""))
    with pytest.raises(ToolFault, match="not one that talkset writes"):
        shardtar.Reader(tmp_path / "a.tar")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE])
def test_links_and_folders_are_refused(tmp_path, kind):
    member = tarfile.TarInfo("a_000.mp4")
    member.type, member.linkname = kind, "/etc/passwd"
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        tar.addfile(member)
    with pytest.raises(ToolFault, match="not one that talkset writes"):
        shardtar.Reader(tmp_path / "a.tar")


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6])
def test_a_truncated_shard_is_said_to_be_damaged(tmp_path, share):
    path = tmp_path / "a.tar"
    with shardtar.Writer(path) as shard:
        shard.add("a_000", RECORD, {"mp4": b"x" * 20000})
        shard.add("b_000", RECORD | {"clip": "b_000"}, {"mp4": b"x" * 20000})
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ToolFault, match="damaged"):
        shardtar.Reader(path)
