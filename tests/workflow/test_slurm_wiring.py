"""`--profile slurm` as far as it goes without SLURM: what is submitted, what stays here, and that a job runs."""

from __future__ import annotations

import json
import os
import shutil

from workspace import REPOSITORY

STUBS = REPOSITORY / "tests" / "stubs" / "slurm"


def test_a_submitted_job_asks_for_what_its_rule_states_and_runs(work, tmp_path):
    """Crops of one shard are made again: the job is submitted, runs as SLURM would run it, and the lists stay local."""
    shard = sorted(path.stem for path in work.results("crops").glob("*.tar"))[0]
    before = work.results("crops", f"{shard}.tar").read_bytes()
    work.results("crops", f"{shard}.tar").unlink()
    shutil.rmtree(work.results("filtered"))
    run = work.snakemake(
        *("--profile", str(REPOSITORY / "profiles" / "slurm"), "--latency-wait", "5"),
        *("--slurm-init-seconds-before-status-checks", "1", "--seconds-between-status-checks", "1"),
        *(f"results/demo/crops/{shard}.tar", f"results/demo/filtered/{shard}.tsv"),
        PATH=f"{STUBS}:{os.environ['PATH']}",
        STUB_FOLDER=str(tmp_path),
    )
    assert run.status == 0, run.output[-3000:]
    assert work.results("crops", f"{shard}.tar").read_bytes() == before
    jobs = [json.loads(line)["arguments"] for line in (tmp_path / "jobs.jsonl").read_text().splitlines()]
    asked = {job[job.index("--comment") + 1]: job for job in jobs}
    crop = asked[f"rule_crop_clips_wildcards_demo_{shard}"]
    assert crop[crop.index("-p") + 1] == "cpu"
    assert crop[crop.index("--mem") + 1] == "1500"
    assert crop[crop.index("-t") + 1] == "120"
    assert "--cpus-per-task=1" in crop
    assert not any("gpu" in word or "gres" in word for word in crop[:-1])
    assert not any("filter_clips" in name or "list_shard" in name for name in asked), "light rules stay on this machine"
