"""`sync: correct` puts two stages before the crops of its dataset, and leaves every other dataset alone."""

from __future__ import annotations

import pytest
import yaml
from workspace import Work

from talkset.demo.tiny import syncnet_v2
from talkset.models import write_record

CORRECTION = {"crop_uncorrected", "score_uncorrected", "correct_sync"}


@pytest.fixture
def planned(tmp_path):
    """A dry run for the quality of a shard; every dataset has the same lists, none is made."""
    (tmp_path / "lists").mkdir()
    for part in ("video_url", "resolution", "annotion_time", "crop_wh", "crop_ratio"):
        (tmp_path / "lists" / f"RD_{part}.txt").touch()
    (tmp_path / "syncnet").mkdir()
    syncnet_v2.make(tmp_path / "syncnet")
    write_record(tmp_path / "syncnet", id="random-tiny/syncnet-v2", revision="seed 0", weights="random-tiny")
    entry = {"adapter": "hdtf", "annotations": "lists", "raw": "lists", "options": {"subsets": ["RD"]}}
    entry |= {"scores": {"occlusion": None}}

    def run(*datasets, **changed):
        config = {
            "build": ["corrected", "plain"],
            "datasets": {"corrected": entry | {"sync": {"correct": True}} | changed, "plain": entry},
            "models": {"syncnet-v2": {"path": "syncnet"}},
        }
        (tmp_path / "my.yaml").write_text(yaml.safe_dump(config))
        work = Work(tmp_path, tmp_path / "my.yaml")
        return work.snakemake("--dry-run", *(f"results/{dataset}/quality/a.tsv" for dataset in datasets))

    return run


def test_only_the_dataset_that_asks_is_corrected(planned):
    both = planned("corrected", "plain").jobs
    assert {name: both.get(name) for name in CORRECTION} == dict.fromkeys(CORRECTION, 1)
    assert (both["crop_clips"], both["score_sync"], both["measure_quality"]) == (1, 2, 2)


def test_no_correction_is_the_default(planned):
    jobs = planned("corrected", "plain", sync={}).jobs
    assert not CORRECTION & set(jobs)
    assert (jobs["crop_clips"], jobs["score_sync"]) == (2, 2)


def test_correcting_needs_the_score(planned):
    run = planned("corrected", scores={"sync": None, "occlusion": None})
    assert run.status != 0
    assert "datasets: corrected: sync: correct is true, but nothing measures the offset" in run.output
