"""Features of the kept clips, one rule per modality, made from the plug-ins in scripts/talkset/features.

REQUIRED INPUTS   results/{dataset}/filtered/{shard}.tsv                       which clips are kept
                  results/{dataset}/{crops,tracks}/{shard}.*                   picture, sound, landmarks
                  resources/models/{model}/*                                   or the user's folder
OUTPUTS           results/{dataset}/features/{modality}/{shard}.safetensors    key {clip}/{array}
"""

for spec in plugin_specs("features"):

    rule:
        name:
            f"extract_{spec.name}"
        input:
            filtered=paths.FILTERED_SHARD,
            crops=paths.CROPS,
            tracks=paths.TRACKS,
            models=model_files("features", spec.name),
        output:
            features=paths.FEATURES.replace("{modality}", spec.name),
        log:
            paths.log(f"extract_{spec.name}", "shard"),
        benchmark:
            paths.benchmark(f"extract_{spec.name}", "shard")
        conda:
            f"../envs/{spec.env}"
        threads: spec.threads
        resources:
            mem_mb=spec.mem_mb,
            runtime=120,
            gpu=spec.gpus,
        params:
            modality=spec.name,
            options=setting("features", spec.name),
            weights=model_facts("features", spec.name),
            version=[STEPS["extract_feature"], spec.version],
        script:
            "../scripts/extract_feature.py"
