"""Annotated spans at source quality, without a lossy generation.

REQUIRED INPUTS   results/{dataset}/shards/{shard}.tsv       the shard's clips
                  results/{dataset}/raw/{video}.{mp4,json}   its source videos and their records
OUTPUTS           results/{dataset}/clips/{shard}.tar        per clip its span with sound, and its record
"""


rule cut_clips:
    input:
        shard_list=paths.SHARD_LIST,
        media=shard_raw(paths.RAW_MEDIA),
        records=shard_raw(paths.RAW_RECORD),
    output:
        clips=kept(paths.CLIPS, "clips"),
    log:
        paths.log("cut_clips", "shard"),
    benchmark:
        paths.benchmark("cut_clips", "shard")
    conda:
        "../envs/media.yaml"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=60,
    params:
        require_window=setting("options", "require_window"),
        version=STEPS["cut_clips"],
    script:
        "../scripts/cut_clips.py"
