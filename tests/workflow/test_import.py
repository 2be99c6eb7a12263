"""Real talking-head videos, imported through a list in HDTF's format and taken through the whole chain."""

from __future__ import annotations

import hashlib
import math

import pytest
import yaml
from workspace import REPOSITORY, Work

from talkset import featurestore, tables
from talkset.demo import models

VIDEOS = REPOSITORY.parent / "shared" / "data" / "videos"

# name: file, height, interval, window as `x width y height`
LISTED = {
    "Speaker": ("speaker_1080x1920_25fps.mp4", 1920, "00:00-00:08", "0 1080 0 1080"),
    "Portrait": ("portrait_512x480_30fps.mp4", 480, "00:02-00:12", "16 480 0 480"),
    "Silent": ("silent_512x512_25fps.mp4", 512, "00:00-00:03", "0 512 0 512"),
    "Scene": ("scene_1280x720_30fps.mp4", 720, "00:01-00:07", "280 720 0 720"),
}


@pytest.fixture(scope="module")
def imported(tmp_path_factory) -> Work:
    if not VIDEOS.is_dir():
        pytest.skip("the real videos are not here (../shared/data/videos)")
    folder = tmp_path_factory.mktemp("imported")
    lists, raw = folder / "lists", folder / "videos"
    lists.mkdir()
    raw.mkdir()
    lines = {part: [] for part in ("video_url", "resolution", "annotion_time", "crop_wh", "crop_ratio")}
    for name, (file, height, interval, window) in LISTED.items():
        (raw / f"RD_{name}.mp4").write_bytes((VIDEOS / file).read_bytes())
        lines["video_url"].append(f"{name} https://www.youtube.com/watch?v={name:_<11}")
        lines["resolution"].append(f"{name}.mp4 {height}")
        lines["annotion_time"].append(f"{name}.mp4 {interval}")
        lines["crop_wh"].append(f"{name}_0.mp4 {window}")
        lines["crop_ratio"].append(f"{name}_0.mp4 1.2")
    lines["video_url"].append("Missing https://www.youtube.com/watch?v=Missing____")
    lines["resolution"].append("Missing.mp4 720")
    lines["annotion_time"].append("Missing.mp4 00:00-00:05")
    lines["crop_wh"].append("Missing_0.mp4 0 720 0 720")
    lines["crop_ratio"].append("Missing_0.mp4 1.2")
    for part, text in lines.items():
        (lists / f"RD_{part}.txt").write_text("\n".join(text) + "\n")
    entry = {
        "adapter": "hdtf",
        "annotations": str(lists),
        "raw": str(raw),
        "shard_size": 2,
        "options": {"subsets": ["RD"]},
        "exports": ["hdtf"],
    }
    # The demo's config with its random-tiny models, so with all modalities; the dataset is another.
    config = folder / "my.yaml"
    demo = yaml.safe_load((REPOSITORY / "config" / "demo.yaml").read_text())
    entry |= {section: demo["datasets"]["demo"][section] for section in ("scores", "features", "filter")}
    config.write_text(yaml.safe_dump(demo | {"datasets": {"demo": entry}}))
    models.make(folder / "resources" / "demo" / "models")
    work = Work(folder, config)
    run = work.snakemake()
    assert run.status == 0, run.output[-3000:]
    return work


def test_every_video_ends_as_it_should(imported):
    ends = {row["clip"]: row for row in tables.rows(imported.results("manifest.tsv"))}
    assert len(ends) == 5
    assert ends["RD_Missing_000"]["status"] == "gone" and "RD_Missing" in ends["RD_Missing_000"]["reason"]
    assert ends["RD_Speaker_000"]["status"] == "ok"
    assert ends["RD_Silent_000"]["status"] == "ok" and "no sound" in ends["RD_Silent_000"]["reason"]
    assert ends["RD_Portrait_000"]["status"] == "ok"


def test_the_full_body_shot_keeps_its_face(imported):
    scores = {row["clip"]: row for path in imported.results("quality").glob("*.tsv") for row in tables.rows(path)}
    speaker = scores["RD_Speaker_000"]
    assert float(speaker["lost_share"]) < 0.05
    assert float(speaker["speech_share"]) > 0.5


def test_all_modalities_of_every_kept_clip_are_there(imported):
    """With weights that are random and tiny, from the code that loads the published ones."""
    names = ("landmarks", "mel", "video_latents", "struct_latents", "audio_features", "flame_params", "ref_features")
    for modality in names:
        clips, missing = set(), {}
        for path in imported.results("features", modality).glob("*.safetensors"):
            said = featurestore.metadata(path)
            clips |= set(said["clips"])
            missing |= said["missing"]
        without = {"RD_Silent_000": "no sound"} if modality in ("mel", "audio_features") else {}
        assert missing == without, modality
        assert clips == {"RD_Speaker_000", "RD_Portrait_000", "RD_Silent_000", "RD_Scene_000"} - set(without), modality


def test_model_scores_have_values(imported):
    scores = {row["clip"]: row for path in imported.results("quality").glob("*.tsv") for row in tables.rows(path)}
    for clip in ("RD_Speaker_000", "RD_Portrait_000", "RD_Scene_000"):
        for column in ("sync_offset", "sync_confidence", "occlusion", "agreement_pose_p95", "parted_share"):
            assert math.isfinite(float(scores[clip][column])), (clip, column)
    assert scores["RD_Silent_000"]["sync_offset"] == ""


def test_the_users_files_are_untouched(imported):
    for name, (file, *_) in LISTED.items():
        mine = imported.folder / "videos" / f"RD_{name}.mp4"
        assert not mine.is_symlink()
        assert hashlib.sha256(mine.read_bytes()).digest() == hashlib.sha256((VIDEOS / file).read_bytes()).digest()


def test_nothing_is_to_be_done_afterwards(imported):
    assert imported.snakemake("--dry-run").jobs == {}
