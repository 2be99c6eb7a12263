"""What is rebuilt when, and what survives: dry runs after changes, moves, kills, blocked lanes."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import av
import numpy as np
import pytest
import yaml
from workspace import REPOSITORY, Run, Work, copied

from talkset import featurestore, registry, shardtar, tables
from talkset.demo import server

BELOW_FILTER = {
    "filter_clips",
    "gather_filtered",
    *(f"extract_{name}" for name in registry.names("features")),
    "write_manifest",
    "draw_contact_sheet",
    "export_hdtf",
    "all",
}


def with_config(work: Work, change: dict) -> Work:
    """The same folder with a changed demo config."""
    from talkset.config import _overlay

    path = work.folder / "changed.yaml"
    path.write_text(yaml.safe_dump(_overlay(yaml.safe_load((REPOSITORY / "config" / "demo.yaml").read_text()), change)))
    return Work(work.folder, path)


def decoded(file) -> str:
    """Hash of a video's decoded frames."""
    digest = hashlib.sha256()
    with av.open(file) as container:
        for frame in container.decode(video=0):
            digest.update(frame.to_ndarray().tobytes())
    return digest.hexdigest()


def fingerprint(folder: Path) -> dict[str, str]:
    """Every table's bytes, every record and every decoded frame of a finished run; for features see `same_features`."""
    found = {}
    for path in sorted(folder.glob("results/demo/**/*")):
        name = str(path.relative_to(folder))
        if path.suffix in {".tsv", ".txt", ".parquet"}:
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
        elif path.suffix == ".tar":
            shard = shardtar.Reader(path)
            for record in shard.records():
                found[f"{name}:{record['clip']}"] = repr(sorted(record.items()))
                for ending in ("mp4", "mkv"):
                    if shard.has(f"{record['clip']}.{ending}"):
                        found[f"{name}:{record['clip']}.{ending}"] = decoded(shard.media(f"{record['clip']}.{ending}"))
    return found


def same_features(one: Path, other: Path) -> None:
    """A job that goes on forms other batches, so a model's values agree to 1e-5 of the largest, or as far as stored."""
    files = sorted(path.relative_to(one) for path in one.glob("results/demo/features/*/*"))
    assert files and files == sorted(path.relative_to(other) for path in other.glob("results/demo/features/*/*"))
    for file in files:
        said = featurestore.metadata(one / file)
        assert said == featurestore.metadata(other / file)
        for clip in said["clips"]:
            first, second = featurestore.arrays(one / file, clip), featurestore.arrays(other / file, clip)
            for name, values in first.items():
                scale = 1e-3 if values.dtype == np.float16 else 1e-5
                close = scale * np.nanmax(np.abs(values), initial=0)
                np.testing.assert_allclose(second[name], values, rtol=0, atol=close, err_msg=f"{file} {clip}/{name}")


def test_after_a_finished_run_nothing_is_to_be_done(work):
    assert work.snakemake("--dry-run").jobs == {}


def test_moving_the_folder_threads_profile_and_comments_rebuild_nothing(work):
    moved = work.folder.with_name("elsewhere")
    work.folder.rename(moved)
    assert Work(moved).snakemake("--dry-run", "--cores", "1").jobs == {}
    assert Work(moved).snakemake("--dry-run", "--profile", str(REPOSITORY / "profiles" / "slurm")).jobs == {}
    commented = moved / "commented.yaml"
    commented.write_text("# a comment\n" + (REPOSITORY / "config" / "demo.yaml").read_text())
    assert Work(moved, commented).snakemake("--dry-run").jobs == {}


def test_touched_scripts_rebuild_nothing(work, tmp_path):
    """A git checkout renews the dates of scripts; the steps' versions alone say whether results differ."""
    clone = tmp_path / "clone"
    shutil.copytree(
        REPOSITORY,
        clone,
        ignore=shutil.ignore_patterns(".git", ".venv", "results", "resources", ".snakemake"),
        symlinks=True,
    )
    for script in clone.glob("scripts/**/*.py"):
        os.utime(script)
    command = work.command("--dry-run")
    command[command.index("--snakefile") + 1] = str(clone / "Snakefile")
    done = subprocess.run(command, cwd=work.folder, capture_output=True, text=True)
    assert Run(done.returncode, done.stdout + done.stderr).jobs == {}


def test_a_changed_threshold_rebuilds_the_filter_and_what_follows(work):
    changed = with_config(work, {"datasets": {"demo": {"filter": {"rules": {"short": {"threshold": 2.5}}}}}})
    jobs = changed.snakemake("--dry-run").jobs
    assert set(jobs) <= BELOW_FILTER, jobs
    assert {"filter_clips", "extract_mel", "write_manifest"} <= set(jobs)


def test_a_changed_annotation_rebuilds_its_shard_alone(work):
    annotations = work.folder / "resources" / "demo" / "annotations"
    times = annotations / "RD_annotion_time.txt"
    lines = times.read_text(encoding="utf-8-sig").splitlines()
    name, interval, *rest = lines[0].split()
    start, end = interval.split("-")
    minutes, seconds = end.split(":")
    lines[0] = " ".join([name, f"{start}-{minutes}:{int(seconds) - 1:02d}", *rest])
    times.write_text("\n".join(lines) + "\n")
    with server.serve(work.folder / "resources" / "demo") as url:
        done = work.snakemake("filtered", http_proxy=url)
    assert done.status == 0, done.output[-3000:]
    for rule in ("list_shard", "cut_clips", "track_faces", "crop_clips", "score_speech", "measure_quality"):
        assert done.output.count(f"rule {rule}:") == 1, rule
    assert "rule download_video:" not in done.output
    assert work.snakemake("filtered", "--dry-run").jobs == {}


def test_code_and_data_may_lie_apart_and_the_shipped_config_gives_the_defaults(demo, tmp_path):
    mine = tmp_path / "my.yaml"
    lists = demo.folder / "resources" / "demo" / "annotations"
    mine.write_text(f"build: [mine]\ndatasets:\n  mine: {{adapter: hdtf, annotations: {lists}}}\n")
    folder = tmp_path / "work"
    folder.mkdir()
    run = Work(folder, mine).snakemake("tables", "--directory", str(folder))
    assert run.status == 0, run.output[-2000:]
    assert len(list(tables.rows(folder / "results/mine/clips.tsv"))) == len(
        list(tables.rows(demo.results("clips.tsv")))
    )


@pytest.mark.parametrize("seed", range(2))
def test_killed_at_any_moment_and_started_again_it_ends_with_the_same_bytes(demo, tmp_path, seed):
    """SIGKILL to the whole process group at random moments; the last run must find no trace of it."""
    folder = tmp_path / "killed"
    (folder / "resources").mkdir(parents=True)
    copied(demo.folder / "resources" / "demo", folder / "resources" / "demo")
    work = Work(folder)
    chance = random.Random(seed)
    with server.serve(folder / "resources" / "demo") as url:
        environment = {**os.environ, "http_proxy": url, "no_proxy": "", "NO_PROXY": ""}
        for _ in range(5):
            running = subprocess.Popen(
                work.command("--nolock"),
                cwd=folder,
                env=environment,
                start_new_session=True,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            time.sleep(chance.uniform(4, 20))
            with_group = os.getpgid(running.pid)
            os.killpg(with_group, signal.SIGKILL)
            running.wait()
        done = work.snakemake("--nolock", http_proxy=url)
    assert done.status == 0, done.output[-3000:]
    assert fingerprint(folder) == fingerprint(demo.folder)
    same_features(folder, demo.folder)
    leftovers = [path for path in folder.glob("results/**/*") if ".partial" in path.name or path.suffix == ".part"]
    assert not leftovers
    assert work.snakemake("--dry-run").jobs == {}


def test_a_blocked_session_stops_the_lane_and_blames_no_video(demo, tmp_path):
    folder = tmp_path / "blocked"
    (folder / "resources").mkdir(parents=True)
    copied(demo.folder / "resources" / "demo", folder / "resources" / "demo")
    work = Work(folder)
    assert work.snakemake("tables").status == 0
    videos = [row["video"] for row in tables.rows(folder / "results/demo/videos.tsv")]
    faults = {video: server.Fault(status=429) for video in videos}
    with server.serve(folder / "resources" / "demo", faults) as url:
        done = work.snakemake("raw", http_proxy=url)
    assert done.status != 0
    assert not list(folder.glob("results/demo/raw/*.json")), "a blocked session must leave the videos untried"
    assert "429" in done.output


def test_raw_videos_go_when_config_says_so_and_nothing_is_rebuilt(demo, tmp_path):
    folder = tmp_path / "frugal"
    (folder / "resources").mkdir(parents=True)
    copied(demo.folder / "resources" / "demo", folder / "resources" / "demo")
    work = with_config(Work(folder), {"keep": {"raw": False}})
    with server.serve(folder / "resources" / "demo") as url:
        done = work.snakemake("clips", http_proxy=url)
    assert done.status == 0, done.output[-3000:]
    assert not list(folder.glob("results/demo/raw/*.mp4")) and list(folder.glob("results/demo/raw/*.json"))
    assert work.snakemake("clips", "--dry-run").jobs == {}


def test_the_papers_own_way_takes_the_listed_height_and_window(demo, tmp_path):
    folder = tmp_path / "annotated"
    (folder / "resources").mkdir(parents=True)
    copied(demo.folder / "resources" / "demo", folder / "resources" / "demo")
    work = with_config(Work(folder), {"datasets": {"demo": {"crop": {"way": "annotated"}}}})
    with server.serve(folder / "resources" / "demo") as url:
        done = work.snakemake("crops", http_proxy=url)
    assert done.status == 0, done.output[-3000:]
    listed = {row["clip"]: row for row in tables.rows(work.results("clips.tsv"))}
    checked = 0
    for path in work.results("crops").glob("*.tar"):
        for record in shardtar.Reader(path).records():
            row = listed[record["clip"]]
            raw = json.loads(work.results("raw", f"{row['video']}.json").read_text()) if row["x0"] else {}
            if record["status"] == "ok":
                checked += 1
                assert record["way"] == "annotated"
                assert raw["height"] == int(row["ref_height"]), "the exact height that the window was made at"
                assert record["window"] == [int(row[edge]) for edge in ("x0", "y0", "x1", "y1")]
    assert checked >= 8
    even30 = next(row for row in listed.values() if row["clip"] == "RD_Even30_000")
    assert even30["ref_height"] == "360"
