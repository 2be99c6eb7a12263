"""From a dataset's published lists to the clip table and its shards.

REQUIRED INPUTS   config: datasets: {dataset}: annotations   a local folder, or URL + sha256 of each file
                  config: datasets: {dataset}: raw           a folder whose files are the clips, for adapters that need it
OUTPUTS           resources/{dataset}/{annotation}           the published files, verified
                  resources/annotations.lock.tsv             what was fetched when; fixes what the config does not pin
                  resources/{dataset}/media.tsv              the files of the folder raw
                  results/{dataset}/clips.tsv                one row per annotated clip (the only checkpoint)
                  results/{dataset}/videos.tsv               its index: one row per source video, with its shard
                  results/{dataset}/shards/{shard}.tsv       the rows of one shard
                  results/{dataset}/plan.txt                 what the lists ask for, and how large the features become
"""


rule fetch_annotation:
    output:
        annotation=paths.ANNOTATION,
    log:
        paths.log("fetch_annotation", "annotation"),
    wildcard_constraints:
        annotation=f"(?!{re.escape(listing.NAME)}$){names.SAFE}",
    localrule: True
    conda:
        "../envs/base.yaml"
    params:
        dataset="{dataset}",
        url=annotation_url,
        sha256=annotation_sha256,
        lock=paths.ANNOTATION_LOCK,
        version=STEPS["fetch_annotation"],
    script:
        "../scripts/fetch_annotation.py"


rule list_media:
    output:
        media_list=paths.MEDIA_LIST,
    log:
        paths.log("list_media"),
    localrule: True
    conda:
        "../envs/base.yaml"
    params:
        dataset="{dataset}",
        folder=setting("raw"),
        seen=media_digest,
        version=STEPS["list_media"],
    script:
        "../scripts/list_media.py"


checkpoint list_clips:
    input:
        annotations=annotation_files,
    output:
        clips=paths.CLIP_TABLE,
        videos=paths.VIDEO_INDEX,
    log:
        paths.log("list_clips"),
    localrule: True
    conda:
        "../envs/base.yaml"
    params:
        dataset="{dataset}",
        adapter=setting("adapter"),
        options=setting("options"),
        shard_size=setting("shard_size"),
        version=STEPS["list_clips"],
    script:
        "../scripts/list_clips.py"


# The table is ancient and the shard's digest a param: a changed annotation remakes the shards that it touches, no other.
rule list_shard:
    input:
        ancient(paths.VIDEO_INDEX),
        clips=ancient(paths.CLIP_TABLE),
    output:
        shard_list=paths.SHARD_LIST,
    log:
        paths.log("list_shard", "shard"),
    localrule: True
    conda:
        "../envs/base.yaml"
    params:
        shard="{shard}",
        digest=shard_digest,
        version=STEPS["list_shard"],
    script:
        "../scripts/list_shard.py"


rule write_plan:
    input:
        clips=paths.CLIP_TABLE,
    output:
        plan_text=paths.PLAN,
    log:
        paths.log("write_plan"),
    localrule: True
    conda:
        "../envs/base.yaml"
    params:
        dataset="{dataset}",
        features=setting("features"),
        version=STEPS["write_plan"],
    script:
        "../scripts/write_plan.py"
