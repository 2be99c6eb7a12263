"""Targets by name, along the chain: `snakemake raw` only downloads, `snakemake crops` stops at the crops, and so on.

REQUIRED INPUTS   every rules file before this one
OUTPUTS           none of its own
"""


rule tables:
    input:
        in_datasets(paths.CLIP_TABLE),
    localrule: True


# Without an output of its own: it shows the plans each time.
rule plan:
    input:
        in_datasets(paths.PLAN),
    log:
        "logs/plan.log",
    localrule: True
    conda:
        "../envs/base.yaml"
    shell:
        "cat {input:q} | tee {log:q}"


rule models:
    input:
        needed_models,
    localrule: True


rule raw:
    input:
        raw_records,
    localrule: True


rule clips:
    input:
        in_shards(paths.CLIPS),
    localrule: True


rule tracks:
    input:
        in_shards(paths.TRACKS),
    localrule: True


rule crops:
    input:
        in_shards(paths.CROPS),
    localrule: True


rule filtered:
    input:
        in_datasets(paths.FILTERED),
    localrule: True


rule features:
    input:
        feature_files,
    localrule: True


rule manifest:
    input:
        in_datasets(paths.MANIFEST),
        in_datasets(paths.CONTACT_SHEET),
    localrule: True


rule export:
    input:
        exports,
    localrule: True
