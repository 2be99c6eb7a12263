"""Crops whose sound is shifted to the lips, for datasets with sync: correct.

The order counts: an offset can only be measured on a crop whose pictures and sound come from one timeline, and what is
judged and extracted later is the corrected crop, measured again by the score sync of quality.smk.

REQUIRED INPUTS   results/{dataset}/shards/{shard}.tsv        the shard's clips
                  results/{dataset}/{clips,tracks}/{shard}.*  sound also from before and after each clip; faces
OUTPUTS           results/{dataset}/uncorrected/{shard}.tar   crops as crop_clips writes them, until they are corrected
                  results/{dataset}/uncorrected/{shard}.tsv   the score sync of these
                  results/{dataset}/crops/{shard}.tar         the same pictures, the sound shifted
"""


use rule crop_clips as crop_uncorrected with:
    output:
        crops=temp(paths.UNCORRECTED),
    log:
        paths.log("crop_uncorrected", "shard"),
    benchmark:
        paths.benchmark("crop_uncorrected", "shard")
    wildcard_constraints:
        dataset=only(CORRECTED),


if CORRECTED:

    use rule score_sync as score_uncorrected with:
        input:
            crops=paths.UNCORRECTED,
            tracks=paths.TRACKS,
            models=model_files("scores", "sync"),
        output:
            scores=paths.UNCORRECTED_SYNC,
        log:
            paths.log("score_uncorrected", "shard"),
        benchmark:
            paths.benchmark("score_uncorrected", "shard")
        wildcard_constraints:
            dataset=only(CORRECTED),


rule correct_sync:
    input:
        uncorrected=paths.UNCORRECTED,
        clips=paths.CLIPS,
        scores=paths.UNCORRECTED_SYNC,
        shard_list=paths.SHARD_LIST,
    output:
        crops=paths.CROPS,
    log:
        paths.log("correct_sync", "shard"),
    benchmark:
        paths.benchmark("correct_sync", "shard")
    wildcard_constraints:
        dataset=only(CORRECTED),
    conda:
        "../envs/media.yaml"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=60,
    params:
        version=STEPS["correct_sync"],
    script:
        "../scripts/correct_sync.py"
