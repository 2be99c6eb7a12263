"""Every dataset from its published format to a clip table and a plan; folders of videos and of pictures to clips."""

from __future__ import annotations

import json

import av
import pytest
import test_celebv_hq
import test_hdtf
import test_panda70m
import test_talkvid
import test_vfhq
import test_voxceleb2
import test_webvid
import yaml
from media_factory import make
from PIL import Image
from workspace import Work

from talkset import shardtar, tables
from talkset.datasets import celebv_hq, panda70m, talkvid, webvid

CLIP = test_vfhq.FIRST


def put(folder, **texts):
    folder.mkdir(parents=True)
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")


def work_on(folder, datasets) -> Work:
    """A working folder with a config of these datasets, on top of the shipped one."""
    path = folder / "my.yaml"
    path.write_text(yaml.safe_dump({"build": list(datasets), "datasets": datasets}))
    return Work(folder, path)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory) -> Work:
    """A sample of every dataset, the tables built; two entries for the adapters that have two sources."""
    folder = tmp_path_factory.mktemp("mixed")
    lists, raw = folder / "lists", folder / "raw"
    put(lists / "hdtf", **{f"RD_{part}.txt": text for part, text in test_hdtf.GOOD.items()})
    put(lists / "celebv_hq", **{celebv_hq.FILE: json.dumps(test_celebv_hq.DOCUMENT)})
    put(lists / "talkvid", **{talkvid.FILE: json.dumps(test_talkvid.GOOD)})
    put(lists / "panda70m", **{panda70m.FILE: test_panda70m.PUBLISHED})
    put(lists / "webvid", **{webvid.FILE: "\n".join([test_webvid.HEADER, test_webvid.line()]) + "\n"})
    put(lists / "vfhq")
    test_vfhq.pack(lists / "vfhq", test_vfhq.GOOD)
    put(lists / "voxceleb2")
    test_voxceleb2.files(lists / "voxceleb2")
    put(raw / "vfhq_test" / "VFHQ-Test" / CLIP, **{"00000001.png": "x", "00000002.png": "x"})
    put(raw / "voxceleb2_local" / "mp4" / "id00017" / "_bB3dE5gH7i", **{"00001.mp4": "x"})
    put(raw / "mead" / "M003" / "video" / "front" / "angry" / "level_2", **{"017.mp4": "x"})
    put(raw / "folder" / "talks", **{"Müller 1.mp4": "x"})
    datasets = {path.name: {"annotations": str(path)} for path in lists.iterdir()}
    datasets |= {path.name: {"raw": str(path)} for path in raw.iterdir()}
    datasets["hdtf"] |= {"options": {"subsets": ["RD"]}}
    datasets["voxceleb2_local"] |= {
        "adapter": "voxceleb2",
        "annotations": str(lists / "voxceleb2"),
        "options": {"source": "local", "require_window": False},
    }
    work = work_on(folder, datasets)
    run = work.snakemake("tables")
    assert run.status == 0, run.output[-3000:]
    return work


CLIPS = {
    "hdtf": 3,
    "celebv_hq": 3,
    "vfhq": 2,
    "vfhq_test": 1,
    "talkvid": 2,
    "voxceleb2": 2,
    "voxceleb2_local": 1,
    "panda70m": 1,
    "webvid": 1,
    "mead": 1,
    "folder": 1,
}


def test_every_dataset_has_its_clip_table(mixed):
    found = {name: list(tables.rows(mixed.folder / "results" / name / "clips.tsv")) for name in CLIPS}
    assert {name: len(rows) for name, rows in found.items()} == CLIPS
    assert all(row["dataset"] == name for name, rows in found.items() for row in rows)
    assert not (mixed.folder / "resources" / "annotations.lock.tsv").exists(), "nothing was fetched"


def test_all_datasets_together_are_planned_to_the_crops(mixed):
    jobs = mixed.snakemake("crops", "--dry-run").jobs
    imported = {"vfhq_test", "voxceleb2_local", "mead", "folder"}
    videos = {
        name: sum(row["clips"] != "0" for row in tables.rows(mixed.folder / "results" / name / "videos.tsv"))
        for name in CLIPS
    }
    assert jobs["import_video"] == sum(videos[name] for name in imported) == 4
    assert jobs["download_video"] == sum(count for name, count in videos.items() if name not in imported)
    assert jobs["crop_clips"] == jobs["cut_clips"] == len(CLIPS) + 1, "one shard each, and two for hdtf"
    assert not {"list_media", "list_clips", "fetch_annotation"} & set(jobs)


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> Work:
    """Two videos and what is not one, with a table that names one more; a folder of pictures; backups of downloads."""
    folder = tmp_path_factory.mktemp("folders")
    videos, pictures = folder / "videos", folder / "pictures" / "VFHQ-Test" / CLIP
    for place, path in enumerate(("a/b/one.mp4", "two.mp4")):
        (videos / path).parent.mkdir(parents=True, exist_ok=True)
        make(videos / path, seconds=2 + place, click_times=[0.5])
    (videos / "notes.txt").write_text("x")
    table = "url,start,end\na/b/one.mp4,0.4,1.4\ntwo.mp4,,\nlost/three.mp4,0,2\n"
    put(folder / "lists", **{"clips.csv": table, celebv_hq.FILE: json.dumps(test_celebv_hq.DOCUMENT)})
    (folder / "backups" / "some" / "where").mkdir(parents=True)
    make(folder / "backups" / "some" / "where" / "k_Lm-9QrS2t.mkv", seconds=1, sound=None)
    pictures.mkdir(parents=True)
    for number in range(40):
        Image.new("RGB", (128, 96), (6 * number, 0, 255 - 6 * number)).save(pictures / f"{number + 1:08d}.png")
    work = work_on(
        folder,
        {
            "folder": {"annotations": "lists", "raw": str(videos), "options": {"table": "clips.csv"}, "shard_size": 64},
            "plain": {"adapter": "folder", "raw": "videos"},
            "vfhq_test": {"raw": str(folder / "pictures")},
            "celebv_hq": {"annotations": "lists", "raw": "backups"},
        },
    )
    run = work.snakemake("raw", "clips")
    assert run.status == 0, run.output[-3000:]
    return work


def clips(work, dataset) -> dict[str, tuple[shardtar.Reader, dict]]:
    shards = [shardtar.Reader(path) for path in work.folder.glob(f"results/{dataset}/clips/*.tar")]
    return {record["clip"]: (shard, record) for shard in shards for record in shard.records()}


def test_a_folder_of_videos_is_cut_and_what_is_gone_is_listed(folders):
    found = {clip: record for clip, (_, record) in clips(folders, "folder").items()}
    assert {clip: record["status"] for clip, record in found.items()} == {
        "a+b+one+0=2E4-1=2E4": "ok",
        "two": "ok",
        "lost+three+0-2": "gone",
    }
    assert found["lost+three+0-2"]["reason"] == "lost/three.mp4 is not in the import folder videos"
    assert (found["a+b+one+0=2E4-1=2E4"]["frames"], found["two"]["frames"]) == (25, 75)
    assert {record["status"] for _, record in clips(folders, "plain").values()} == {"ok"}


def test_a_folder_of_pictures_is_put_together_and_cut_without_loss(folders):
    ((shard, record),) = clips(folders, "vfhq_test").values()
    assert (record["clip"], record["status"], record["frames"]) == (CLIP, "ok", 40)
    raw = json.loads((folders.folder / "results/vfhq_test/raw" / f"{CLIP}.json").read_text())
    assert (raw["vcodec"], raw["acodec"], raw["fps"], raw["note"]) == ("png", None, "25", "40 pictures, 25 a second")
    with av.open(shard.media(f"{CLIP}.{record['media']}")) as container:
        colours = [tuple(frame.to_ndarray(format="rgb24")[0, 0]) for frame in container.decode(video=0)]
    assert colours == [(6 * number, 0, 255 - 6 * number) for number in range(40)]


def test_backups_of_a_site_s_videos_are_found_by_name_at_any_depth(folders):
    records = [json.loads(path.read_text()) for path in folders.folder.glob("results/celebv_hq/raw/*.json")]
    assert {record["video"]: record["status"] for record in records} == {"k_Lm-9QrS2t": "ok", "-aB3dE5gH7i": "gone"}
    found = {clip: record["status"] for clip, (_, record) in clips(folders, "celebv_hq").items()}
    assert found == {"-aB3dE5gH7i_0": "gone", "-aB3dE5gH7i_1": "gone", "k_Lm-9QrS2t_1_0": "failed"}


def test_nothing_is_to_be_done_until_a_new_file_is_there(folders):
    assert folders.snakemake("clips", "--dry-run").jobs == {}
    make(folders.folder / "videos" / "lost.mp4", seconds=1)
    # What a dataset's listing leads to is known once it is made, so a dry run names the first of the two that have it.
    assert {"list_media", "list_clips"} <= set(folders.snakemake("clips", "--dry-run").jobs)
    run = folders.snakemake("clips")
    assert run.status == 0, run.output[-3000:]
    assert run.output.count("rule import_video:") == run.output.count("rule cut_clips:") == 1
    assert set(clips(folders, "plain")) == {"a+b+one", "lost", "two"}
