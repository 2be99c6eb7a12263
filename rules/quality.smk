"""Scores of every clip, and the verdict that follows from scores and thresholds alone.

REQUIRED INPUTS   results/{dataset}/{clips,tracks,crops}/{shard}.*
                  resources/models/{model}/*                      or the user's folder
OUTPUTS           results/{dataset}/scores/{score}/{shard}.tsv   scores that need a model of their own, one rule each
                  results/{dataset}/quality/{shard}.tsv          every score of every clip; drops nothing
                  results/{dataset}/filtered/{shard}.tsv         verdict, reasons, sampling weight
                  results/{dataset}/filtered.tsv                 the same of all shards
"""

for spec in plugin_specs("scores"):

    rule:
        name:
            f"score_{spec.name}"
        input:
            crops=paths.CROPS,
            tracks=paths.TRACKS,
            models=model_files("scores", spec.name),
        output:
            scores=paths.SCORES.replace("{score}", spec.name),
        log:
            paths.log(f"score_{spec.name}", "shard"),
        benchmark:
            paths.benchmark(f"score_{spec.name}", "shard")
        conda:
            f"../envs/{spec.env}"
        threads: spec.threads
        resources:
            mem_mb=spec.mem_mb,
            runtime=120,
            gpu=spec.gpus,
        params:
            score=spec.name,
            options=setting("scores", spec.name),
            weights=model_facts("scores", spec.name),
            version=[STEPS["score_clips"], spec.version],
        script:
            "../scripts/score_clips.py"


rule measure_quality:
    input:
        clips=paths.CLIPS,
        tracks=paths.TRACKS,
        crops=paths.CROPS,
        scores=shard_scores,
        shard_list=paths.SHARD_LIST,
    output:
        quality=paths.QUALITY,
    log:
        paths.log("measure_quality", "shard"),
    benchmark:
        paths.benchmark("measure_quality", "shard")
    conda:
        "../envs/vision.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        names=plugin_names("scores"),
        settings=setting("quality"),
        version=STEPS["measure_quality"],
    script:
        "../scripts/measure_quality.py"


rule filter_clips:
    input:
        quality=paths.QUALITY,
    output:
        filtered=paths.FILTERED_SHARD,
    log:
        paths.log("filter_clips", "shard"),
    localrule: True
    conda:
        "../envs/base.yaml"
    params:
        rules=setting("filter", "rules"),
        version=STEPS["filter_clips"],
    script:
        "../scripts/filter_clips.py"


rule gather_filtered:
    input:
        parts=per_shard(paths.FILTERED_SHARD),
    output:
        filtered=paths.FILTERED,
    log:
        paths.log("gather_filtered"),
    localrule: True
    conda:
        "../envs/base.yaml"
    params:
        version=STEPS["gather_filtered"],
    script:
        "../scripts/gather_filtered.py"
