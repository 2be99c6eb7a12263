"""The real lists of HDTF: what a researcher's first dry run says."""

from __future__ import annotations

import re

import pytest
from workspace import REPOSITORY, Work

from talkset import tables

LISTS = REPOSITORY.parent / "shared" / "data" / "hdtf"


@pytest.fixture(scope="module")
def hdtf(tmp_path_factory) -> Work:
    if not LISTS.is_dir():
        pytest.skip("the real HDTF lists are not here (../shared/data/hdtf)")
    folder = tmp_path_factory.mktemp("hdtf")
    mine = folder / "my.yaml"
    mine.write_text(f"datasets:\n  hdtf: {{annotations: {LISTS}}}\n")
    return Work(folder, mine)


def test_the_first_dry_run_needs_no_data(hdtf):
    assert set(hdtf.snakemake("--dry-run").jobs) >= {"list_clips"}


def test_the_421_clips_are_planned(hdtf):
    made = hdtf.snakemake("tables")
    assert made.status == 0, made.output
    rows = list(tables.rows(hdtf.folder / "results/hdtf/clips.tsv"))
    assert len(rows) == 436 and sum(row["x0"] != "" for row in rows) == 421
    jobs = hdtf.snakemake("--dry-run").jobs
    assert jobs["download_video"] == 355
    shards = len({row["video"] for row in rows})
    assert shards == 368
    for rule in (
        "cut_clips",
        "track_faces",
        "crop_clips",
        "score_speech",
        "measure_quality",
        "filter_clips",
        "extract_mel",
    ):
        assert jobs[rule] == shards, rule


def test_one_video_can_be_asked_for_by_name(hdtf):
    hdtf.snakemake("tables")
    row = next(row for row in tables.rows(hdtf.folder / "results/hdtf/clips.tsv") if row["clip"] == "RD_Radio11_000")
    jobs = hdtf.snakemake("--dry-run", f"results/hdtf/crops/{row['video']}.tar").jobs
    assert set(jobs) == {"list_shard", "download_video", "cut_clips", "track_faces", "crop_clips"}
    assert set(jobs.values()) == {1}


def test_the_slurm_profile_works_as_typed_from_the_root(hdtf):
    run = Work(REPOSITORY, hdtf.config).snakemake("--profile", "slurm", "--dry-run", "--directory", str(hdtf.folder))
    assert run.status == 0, run.output[-2000:]
    assert "crop_clips" in run.jobs


def test_submission_asks_for_what_the_rules_state(hdtf):
    hdtf.snakemake("tables")
    run = Work(REPOSITORY, hdtf.config).snakemake("--profile", "slurm", "--dry-run", "--directory", str(hdtf.folder))
    block = re.search(r"rule track_faces:.*?resources: ([^\n]*)", run.output, re.DOTALL)[1]
    assert "slurm_partition=cpu" in block and "mem_mb=1500" in block, block


def test_lint_is_clean():
    run = Work(REPOSITORY).snakemake("--lint")
    assert run.status == 0 and "good condition" in run.output
