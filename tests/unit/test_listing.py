"""The listing of a media folder: every depth, any name, pictures as one entry, ids that are safe and never shared."""

from __future__ import annotations

import os
import re

import pytest
from told import told

from talkset import listing, names
from talkset.annotations import Oddities
from talkset.faults import ToolFault


def put(folder, *paths, content=b"x"):
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)


def entries(folder):
    listing.write(folder, folder.parent / "media.tsv", "mine")
    return list(listing.read(folder.parent / "media.tsv"))


@pytest.fixture
def media(tmp_path):
    folder = tmp_path / "media"
    folder.mkdir()
    return folder


def test_files_of_every_depth_are_listed_in_order(media):
    put(media, "b.mp4", "a/c/-d.MOV", "a/b c/e'\"f.mp4", "ä/\u4f60.mkv", content=b"12345")
    found = entries(media)
    assert [entry.path for entry in found] == ["a/b c/e'\"f.mp4", "a/c/-d.MOV", "b.mp4", "ä/\u4f60.mkv"]
    assert {entry.bytes for entry in found} == {5} and {entry.kind for entry in found} == {"file"}
    assert [entry.ending for entry in found] == ["mp4", "mov", "mp4", "mkv"]


def test_digest_sees_files_sizes_and_pictures(media):
    def digest():
        return listing.digest(listing.walk(media, Oddities("mine")))

    put(media, "a/b.mp4", "c/1.png")
    seen = [digest()]
    assert digest() == seen[0]
    for path, content in (("a/d.mp4", b"x"), ("a/d.mp4", b"xx"), ("c/2.png", b"x")):
        put(media, path, content=content)
        seen.append(digest())
    assert len(set(seen)) == 4


def test_folder_of_numbered_pictures_is_one_entry(media):
    put(media, "v/one/00000007.png", "v/one/00000008.png", "v/one/00000010.png", "v/two/f1.jpg")
    (media / "v" / "none").mkdir()
    assert entries(media) == [
        listing.Media("v/none", "images", 0, 0, 0, 0),
        listing.Media("v/one", "images", 3, 7, 10, 0),
        listing.Media("v/two", "images", 1, 1, 1, 0),
    ]


def test_pictures_among_other_files_are_files(media):
    put(media, "a/1.png", "a/talk.mp4", "b/1.png", "b/cover.png", "c/1.png", "c/d/2.png")
    assert [(entry.path, entry.kind) for entry in entries(media)] == [
        ("a/1.png", "file"), ("a/talk.mp4", "file"), ("b/1.png", "file"), ("b/cover.png", "file"),
        ("c/1.png", "file"), ("c/d", "images"),
    ]  # fmt: skip


def test_what_cannot_be_listed_is_said(media, capsys):
    put(media, "good.mp4", ".DS_Store", "._good.mp4", ".cache/x.mp4", "line\nbreak.mp4", "tab\there.mp4")
    with open(os.fsencode(media) + b"/Zo\xeb.mp4", "wb"):
        pass
    (media / "gone.mp4").symlink_to("nowhere.mp4")
    assert [entry.path for entry in entries(media)] == ["good.mp4"]
    said = capsys.readouterr().err
    assert told(said, "hidden", 3, ".DS_Store") and told(said, "a link to nothing", 1, "gone.mp4")
    assert told(said, "the name is not UTF-8 or holds control characters", 3)


def test_links_are_followed_once(media, tmp_path, capsys):
    put(tmp_path / "disk", "x.mp4")
    (media / "disk").symlink_to(tmp_path / "disk")
    (media / "again").symlink_to(tmp_path / "disk")
    (tmp_path / "disk" / "loop").symlink_to(media)
    put(media, "real.mp4")
    (media / "link.mp4").symlink_to("real.mp4")
    assert [entry.path for entry in entries(media)] == ["again/x.mp4", "link.mp4", "real.mp4"]
    assert told(capsys.readouterr().err, "a link to a folder that is listed already", 2)


def test_folder_that_is_not_there_is_a_fault(tmp_path):
    with pytest.raises(ToolFault, match="media folder .*/none cannot be read"):
        listing.write(tmp_path / "none", tmp_path / "media.tsv", "mine")


def test_file_that_is_no_listing_is_a_fault(tmp_path):
    (tmp_path / "media.tsv").write_text("path\tsize\na\t1\n")
    with pytest.raises(ToolFault, match="media.tsv: the columns are"):
        list(listing.read(tmp_path / "media.tsv"))


@pytest.mark.parametrize(
    ("path", "media_id"),
    [
        ("talk.mp4", "talk"),
        ("s1/bbaf2n.mpg", "s1+bbaf2n"),
        ("-x/_y.mp4", "-x+_y"),
        ("talks/Müller 1.mov", "talks+M=C3=BCller=201"),
        ("a.b/c.d.mp4", "a=2Eb+c=2Ed"),
        ('it\'s "so";$(rm)&|.mp4', "it=27s=20=22so=22=3B=24=28rm=29=26=7C"),
        ("{wildcard}.mp4", "=7Bwildcard=7D"),
    ],
)
def test_ids_are_readable_file_names(path, media_id):
    assert listing.media_id(path) == media_id
    assert re.fullmatch(names.SAFE, media_id)


def test_ids_of_different_paths_differ():
    paths = ["a/b.mp4", "a_b.mp4", "a+b.mp4", "a=2Bb.mp4", "a b.mp4", "a=20b.mp4", "a.b.mp4", "A/b.mp4", "a/ b.mp4"]
    paths += ["é.mp4", "e\u0301.mp4", "long/" + "x" * 300 + ".mp4", "long/" + "x" * 301 + ".mp4"]
    ids = [listing.media_id(path) for path in paths]
    assert len(set(ids)) == len(paths)
    assert all(re.fullmatch(names.SAFE, one) and len(one) <= listing.ID_LENGTH for one in ids)
