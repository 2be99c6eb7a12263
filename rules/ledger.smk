"""What became of every annotated clip, as a table, in words and as a picture.

REQUIRED INPUTS   results/{dataset}/clips.tsv, filtered.tsv, features/, crops/
OUTPUTS           results/{dataset}/manifest.tsv         one row per annotated clip: its end and why
                  results/{dataset}/summary.txt          counts and hours for people
                  results/{dataset}/contact_sheet.jpg    the crops with their verdicts
"""


rule write_manifest:
    input:
        clips=paths.CLIP_TABLE,
        filtered=paths.FILTERED,
        features=all_features,
    output:
        manifest=paths.MANIFEST,
        summary=paths.SUMMARY,
    log:
        paths.log("write_manifest"),
    localrule: True
    conda:
        "../envs/base.yaml"
    params:
        dataset="{dataset}",
        modalities=plugin_names("features"),
        version=STEPS["write_manifest"],
    script:
        "../scripts/write_manifest.py"


rule draw_contact_sheet:
    input:
        manifest=paths.MANIFEST,
        crops=per_shard(paths.CROPS),
    output:
        sheet=paths.CONTACT_SHEET,
    log:
        paths.log("draw_contact_sheet"),
    localrule: True
    conda:
        "../envs/media.yaml"
    params:
        version=STEPS["draw_contact_sheet"],
    script:
        "../scripts/draw_contact_sheet.py"
