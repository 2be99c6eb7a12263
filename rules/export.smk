"""Layouts that other people's code reads.

REQUIRED INPUTS   results/{dataset}/manifest.tsv             which clips are kept
                  results/{dataset}/crops/{shard}.tar        their pictures and sound
OUTPUTS           results/{dataset}/export/hdtf/files.tsv    loose {clip}.mp4 + {clip}.wav beside it, and their list
"""


rule export_hdtf:
    input:
        manifest=paths.MANIFEST,
        crops=per_shard(paths.CROPS),
    output:
        exported=paths.EXPORT_HDTF,
    log:
        paths.log("export_hdtf"),
    localrule: True
    conda:
        "../envs/base.yaml"
    params:
        version=STEPS["export_hdtf"],
    script:
        "../scripts/export_hdtf.py"
