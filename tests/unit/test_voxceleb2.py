"""VoxCeleb2's texts, files and people to clip table rows: known answers, and every way a line can be wrong."""

from __future__ import annotations

import hashlib
import json
import zipfile

import pytest
from jsonschema import Draft202012Validator
from told import told

import list_clips
from talkset import listing, tables
from talkset.datasets import voxceleb2
from talkset.faults import ToolFault

OPTIONS = {name: schema["default"] for name, schema in voxceleb2.SPEC.options["properties"].items()}
LOCAL = OPTIONS | {"source": "local", "require_window": False}
PEOPLE = ["id00012 ,n000012 ,m ,dev ", "id00017 ,n000017 ,m ,test ", "id09999 ,n009999 ,f ,dev "]
META = "\n".join(["VoxCeleb2 ID ,VGGFace2 ID ,Gender ,Set ", *PEOPLE]) + "\n"
DEV, TEST = "dev/txt/id09999/-aB3dE5gH7i/00007.txt", "id00017/_bB3dE5gH7i/00001.txt"


def text(identity="id09999", video="-aB3dE5gH7i", rows=None):
    """One utterance's text in the published form."""
    rows = rows or ["000349 \t0.319 \t0.067 \t0.424 \t0.753 ", "000350 \t0.321 \t0.060 \t0.424 \t0.753 "]
    head = [f"Identity  : \t{identity}", f"Reference : \t{video}", "Offset    : \t-2", "FV Conf   : \t16.303\t(1)"]
    return "\n".join([*head, "ASD Conf  : \t6.201", "", "FRAME \tX \tY \tW \tH ", *rows]) + "\n"


GOOD = {"dev": {DEV: text()}, "test": {TEST: text("id00017", "_bB3dE5gH7i")}}


def files(folder, content=GOOD, meta=META):
    (folder / "vox2_meta.csv").write_bytes(meta if isinstance(meta, bytes) else meta.encode())
    for part, texts in content.items():
        with zipfile.ZipFile(folder / f"vox2_{part}_txt.zip", "w") as archive:
            for name, said in texts.items():
                archive.writestr(name, said)
    return {name: folder / name for name in voxceleb2.SPEC.files}


def read(folder, content=GOOD, meta=META, **options):
    """Rows as the clip table takes them."""
    rows = voxceleb2.clips(files(folder, content, meta), OPTIONS | options, "vox")
    return list_clips.checked(rows, "vox")


def read_local(folder, *paths, meta=META, **options):
    for path in paths:
        (folder / "raw" / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / "raw" / path).write_bytes(b"x")
    listing.write(folder / "raw", folder / "media.tsv", "vox")
    given = files(folder, {}, meta) | {"media.tsv": folder / "media.tsv"}
    assert set(voxceleb2.annotation_files(LOCAL)) == {"vox2_meta.csv", "media.tsv"}
    return list_clips.checked(voxceleb2.clips(given, LOCAL | options, "vox"), "vox")


def test_row_in_full(tmp_path):
    row = {row["clip"]: row for row in read(tmp_path)}["id09999_-aB3dE5gH7i_00007"]
    assert row == dict.fromkeys(tables.CLIP_COLUMNS, "") | {
        "clip": "id09999_-aB3dE5gH7i_00007",
        "dataset": "vox",
        "video": "-aB3dE5gH7i",
        "url": "https://www.youtube.com/watch?v=-aB3dE5gH7i",
        "start": "13.96",
        "end": "14.04",
        "x0": "0.319",
        "y0": "0.06",
        "x1": "0.745",
        "y1": "0.82",
        "box_unit": "fraction",
        "identity": "id09999",
        "split": "dev",
        "aliases": "id09999/-aB3dE5gH7i/00007",
        "labels": row["labels"],
    }
    assert json.loads(row["labels"]) == {
        "gender": "f", "offset": -2, "fv_conf": 16.303, "asd_conf": 6.201, "frames": [349, 350], "rows": 2,
    }  # fmt: skip


def test_sets_are_split_and_choose_the_archives(tmp_path):
    assert {row["identity"]: row["split"] for row in read(tmp_path)} == {"id09999": "dev", "id00017": "test"}
    options = OPTIONS | {"sets": ["test"], "test_texts": "test"}
    assert voxceleb2.annotation_files(options) == ("vox2_meta.csv", "test")
    assert [row["identity"] for row in read(tmp_path, sets=["test"])] == ["id00017"]


def test_unpacked_folder_marks_and_line_ends_give_the_same_rows(tmp_path):
    rows = read(tmp_path)
    marked = {
        part: {name: "\ufeff" + said.replace("\n", "\r\n") for name, said in texts.items()}
        for part, texts in GOOD.items()
    }
    assert read(tmp_path, marked, "\ufeff" + META.replace("\n", "\r\n")) == rows
    given = files(tmp_path)
    with zipfile.ZipFile(given["vox2_dev_txt.zip"]) as archive:
        archive.extractall(tmp_path / "unpacked")
    given["unpacked"] = tmp_path / "unpacked"
    options = OPTIONS | {"dev_texts": "unpacked"}
    assert list_clips.checked(voxceleb2.clips(given, options, "vox"), "vox") == rows


@pytest.mark.parametrize(
    "meta",
    [META.replace(" ,", "\t,"), META.replace(" ,", ","), META.replace(" ,", "\t"), META.replace("\n", "\n\n")],
    ids=["tab before comma", "commas", "tabs", "empty lines"],
)
def test_people_are_read_whatever_parts_the_columns(tmp_path, meta):
    assert {json.loads(row["labels"])["gender"] for row in read(tmp_path, meta=meta)} == {"f", "m"}


def many(people=6, videos=5, utterances=4):
    names = [f"id{person:05d}" for person in range(people)]
    texts = {}
    for name in names:
        for video in range(videos):
            for number in range(utterances):
                reference = f"video{video}_{name[2:]}"[:11]
                texts[f"txt/{name}/{reference}/{number + 2:05d}.txt"] = text(name, reference)
    meta = "VoxCeleb2 ID,Gender,Set\n" + "".join(f"{name},f,dev\n" for name in names)
    return {"dev": texts, "test": {}}, meta


def taken(folder, **options):
    content, meta = many()
    return [row["clip"] for row in read(folder, content, meta, sets=["dev"], **options)]


def test_subset_takes_whole_videos_in_a_seeded_order_that_is_the_same_anywhere(tmp_path):
    all_of = taken(tmp_path, count=None)
    assert len(all_of) == 120 and taken(tmp_path, count=10000) == all_of
    ten = taken(tmp_path, count=10)
    assert ten == all_of[:10] == taken(tmp_path, count=30)[:10]
    assert [clip[:-6] for clip in ten] == [ten[0][:-6]] * 4 + [ten[4][:-6]] * 4 + [ten[8][:-6]] * 2
    assert [clip[-5:] for clip in ten[:4]] == ["00002", "00003", "00004", "00005"]
    videos = {clip[:7] + "/" + clip[8:19] for clip in all_of}
    first = min(videos, key=lambda video: hashlib.sha256(f"0 {video}".encode()).hexdigest())
    assert ten[0][:-6] == first.replace("/", "_") and taken(tmp_path, count=10, seed=1)[0] != ten[0]


def test_subset_of_one_utterance_a_video(tmp_path):
    clips = taken(tmp_path, count=20, per_video=1)
    assert len({clip[:-6] for clip in clips}) == 20 and {clip[-5:] for clip in clips} == {"00002"}


def test_how_many_were_taken_and_the_first_text_are_said(tmp_path, capsys):
    taken(tmp_path, count=10)
    said = capsys.readouterr().err
    assert "vox: 10 of 120 utterances taken" in said and "vox: first text, txt/id" in said


def test_odd_texts_are_said(tmp_path, capsys):
    odd = {
        "id00012/AAAAAAAAAAA/00001.txt": text("id00012", "AAAAAAAAAAA", rows=[""]),
        "id00012/BBBBBBBBBBB/00001.txt": text(
            "id00012", "BBBBBBBBBBB", rows=["000002 0.5 0.5 0 0.1", "000001 0.9 -0.1 0.2 0.3"]
        ),
        "id00012/CCCCCCCCCCC/00001.txt": text("id00012", "CCCCCCCCCCC", rows=["000001 0.5 0.5 -0.1 0.1"]),
        "id00012/readme.txt": "hello",
    }
    rows = {row["video"][0]: row for row in read(tmp_path, {"dev": odd, "test": {}}, sets=["dev"])}
    assert set(rows) == {"B", "C"}
    assert [rows["B"][column] for column in ("start", "end", "x0", "y0", "x1", "y1")] == [
        "0.04", "0.12", "0.9", "-0.1", "1.1", "0.2",
    ]  # fmt: skip
    assert (rows["C"]["x0"], rows["C"]["box_unit"]) == ("", "")
    said = capsys.readouterr().err
    assert told(said, "the text has no frames, so there is no clip", 1, "id00012/AAAAAAAAAAA/00001")
    assert told(said, "the utterance has a box without area", 2, "id00012/BBBBBBBBBBB/00001")
    assert told(said, "the window leaves the frame", 1, "id00012/BBBBBBBBBBB/00001")
    assert told(said, "the text has no box with an area", 1, "id00012/CCCCCCCCCCC/00001")
    assert told(said, "the text is not called like id00012/<video>/00001.txt, left out", 1, "id00012/readme.txt")


# What is changed in dev's text, the line that the error must show and what it must say.
MALFORMED = {
    "row cut off": ("0.424 \t0.753 \n000350", "0.424\n000350", 8, "a frame's number, then x, y"),
    "row too long": ("0.753 \n000350", "0.753 1\n000350", 8, "a frame's number, then x, y"),
    "row of words": ("0.067", "top", 8, "a frame's number, then x, y"),
    "boxes of VoxCeleb1": ("0.319 \t0.067 \t0.424 \t0.753", "223 80 130 130", 8, "boxes of VoxCeleb1"),
    "unknown line": ("Offset    :", "Shift     :", 3, "expected one of Identity"),
    "no colon": ("Offset    :", "Offset", 3, "expected one of Identity"),
    "line twice": ("Offset    : \t-2", "Identity: id09999", 3, "Identity is already in line 1"),
    "another person": ("id09999", "id00012", 1, "the file's path says 'id09999'"),
    "another video": ("-aB3dE5gH7i", "aB3dE5gH7i-", 2, "the file's path says '-aB3dE5gH7i'"),
    "NUL": ("Offset", "Off\0set", 3, "control characters"),
}


@pytest.mark.parametrize(("old", "new", "number", "says"), MALFORMED.values(), ids=MALFORMED)
def test_malformed_line_is_named_with_file_number_and_text(tmp_path, old, new, number, says):
    assert old in text()
    changed = text().replace(old, new, 1)
    with pytest.raises(ToolFault) as fault:
        read(tmp_path, {"dev": {DEV: changed}, "test": {}}, sets=["dev"])
    shown = f"{tmp_path}/vox2_dev_txt.zip/{DEV}, line {number}: {changed.split(chr(10))[number - 1]!r}: "
    assert str(fault.value).startswith(shown) and says in str(fault.value).removeprefix(shown)


META_FAULTS = {
    "no header": (META.split("\n", 1)[1], 1, "expected a header with VoxCeleb2 ID"),
    "short line": (META + "id00020 ,n1 ,m\n", 5, "expected VoxCeleb2 ID, VGGFace2 ID"),
    "strange id": (META + "12 ,n1 ,m ,dev\n", 5, "with an id like id00012"),
    "strange set": (META + "id00020 ,n1 ,m ,val\n", 5, "the set dev or test"),
    "two sets": (META + "id00012 ,n000012 ,m ,test\n", 5, "an earlier line says something else"),
}


@pytest.mark.parametrize(("meta", "number", "says"), META_FAULTS.values(), ids=META_FAULTS)
def test_malformed_line_of_the_people_is_named(tmp_path, meta, number, says):
    with pytest.raises(ToolFault, match=rf"vox2_meta\.csv, line {number}: .*{says}"):
        read(tmp_path, meta=meta)


def test_files_that_contradict_each_other_are_faults(tmp_path):
    with pytest.raises(ToolFault, match="vox2_meta.csv has no line for id09999"):
        read(tmp_path, meta=META.replace("id09999", "id09998"))
    with pytest.raises(ToolFault, match=r"00007.txt: vox2_meta.csv has id09999 in the set test, not in dev"):
        read(tmp_path, meta=META.replace("f ,dev", "f ,test"))
    with pytest.raises(ToolFault, match="00007.txt: utterance id09999/-aB3dE5gH7i/00007 is there twice"):
        read(tmp_path, {"dev": {DEV: text(), f"again/{DEV}": text()}, "test": GOOD["test"]})
    with pytest.raises(ToolFault, match="vox2_test_txt.zip holds no text that is called like"):
        read(tmp_path, GOOD | {"test": {"x.txt": ""}})
    with pytest.raises(ToolFault, match="no line begins with Reference; is the file whole"):
        read(tmp_path, GOOD | {"dev": {DEV: "Identity : id09999\n"}})


def test_local_files_are_whole_clips(tmp_path, capsys):
    rows = read_local(
        tmp_path,
        "dev/mp4/id09999/-aB3dE5gH7i/00007.mp4",
        "id00017/_bB3dE5gH7i/00001.mp4",
        "dev/aac/id09999/-aB3dE5gH7i/00007.m4a",
        "dev/mp4/id09999/notes.mp4",
    )
    row = {row["clip"]: row for row in rows}["id09999_-aB3dE5gH7i_00007"]
    assert len(rows) == 2
    assert row == dict.fromkeys(tables.CLIP_COLUMNS, "") | {
        "clip": "id09999_-aB3dE5gH7i_00007",
        "dataset": "vox",
        "video": "id09999_-aB3dE5gH7i_00007",
        "url": "dev/mp4/id09999/-aB3dE5gH7i/00007.mp4",
        "identity": "id09999",
        "split": "dev",
        "aliases": "id09999/-aB3dE5gH7i/00007",
        "labels": '{"gender": "f"}',
    }
    assert voxceleb2.import_names(row) == []
    said = capsys.readouterr().err
    assert told(said, "not an utterance's file (id00012/<video>/00001.mp4), left out", 2, "dev/aac/id09999")


def test_local_files_of_other_sets_are_left_out(tmp_path, capsys):
    paths = "dev/mp4/id09999/-aB3dE5gH7i/00007.mp4", "test/mp4/id00017/_bB3dE5gH7i/00001.mp4"
    assert [row["split"] for row in read_local(tmp_path, *paths, sets=["test"])] == ["test"]
    assert told(capsys.readouterr().err, "of a set that is not asked for, left out", 1, paths[0])


def test_local_faults(tmp_path):
    with pytest.raises(ToolFault, match="cropped already .*require_window: false"):
        read_local(tmp_path, "id09999/-aB3dE5gH7i/00007.mp4", require_window=True)
    with pytest.raises(ToolFault, match="'id09999/.*' are one utterance|'x/id09999/.*' are one utterance"):
        read_local(tmp_path, "x/id09999/-aB3dE5gH7i/00007.mp4")
    with pytest.raises(ToolFault, match="id00001/video______/00001.mp4: vox2_meta.csv has no line for id00001"):
        (tmp_path / "b").mkdir()
        read_local(tmp_path / "b", "id00001/video______/00001.mp4")
    with pytest.raises(ToolFault, match="no file below raw is called like .*robots.ox.ac.uk"):
        (tmp_path / "c").mkdir()
        read_local(tmp_path / "c", "x.mp4")


def test_videos_are_imported_by_their_youtube_id(tmp_path):
    assert {tuple(voxceleb2.import_names(row)) for row in read(tmp_path)} == {("-aB3dE5gH7i",), ("_bB3dE5gH7i",)}


@pytest.mark.parametrize(
    ("given", "fits"),
    [({"count": None}, True), ({"count": 0}, False), ({"sets": []}, False), ({"dev_texts": "dev/txt"}, False)],
)
def test_options(given, fits):
    assert Draft202012Validator(voxceleb2.SPEC.options).is_valid(given) is fits
