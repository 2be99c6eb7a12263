"""Faces over time, and the crop that follows from them.

REQUIRED INPUTS   results/{dataset}/shards/{shard}.tsv       annotated windows and enlargements
                  results/{dataset}/clips/{shard}.tar        spans at source quality
OUTPUTS           results/{dataset}/tracks/{shard}.parquet   per frame and face: box, score, landmarks, head pose
                  results/{dataset}/crops/{shard}.tar        per clip picture, sound and record, on one timeline;
                                                             where sync: correct is set, sync.smk makes these
"""


rule track_faces:
    input:
        clips=paths.CLIPS,
        shard_list=paths.SHARD_LIST,
    output:
        tracks=paths.TRACKS,
    log:
        paths.log("track_faces", "shard"),
    benchmark:
        paths.benchmark("track_faces", "shard")
    conda:
        "../envs/vision.yaml"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=120,
    params:
        settings=setting("track"),
        version=STEPS["track_faces"],
    script:
        "../scripts/track_faces.py"


rule crop_clips:
    input:
        shard_list=paths.SHARD_LIST,
        clips=paths.CLIPS,
        tracks=paths.TRACKS,
    output:
        crops=paths.CROPS,
    log:
        paths.log("crop_clips", "shard"),
    benchmark:
        paths.benchmark("crop_clips", "shard")
    wildcard_constraints:
        dataset=only(name for name in DATASETS if name not in CORRECTED),
    conda:
        "../envs/media.yaml"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=120,
    params:
        settings=setting("crop"),
        version=STEPS["crop_clips"],
    script:
        "../scripts/crop_clips.py"
