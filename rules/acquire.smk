"""Source videos and their records; the only rules that touch a video site. They run where the workflow is started.

REQUIRED INPUTS   results/{dataset}/videos.tsv         id, URL and wanted height of every source video
                  config: datasets: {dataset}: raw     a folder to import from instead of downloading
OUTPUTS           results/{dataset}/raw/{video}.mp4    the source as downloaded, or a link to the imported one (numbered pictures: put
                                                       into one file as they are); empty where it cannot be had
                  results/{dataset}/raw/{video}.json   its record: status, reason, format, size, sha256, tool
"""

# A name that no dataset has: one of the two rules may stand without datasets, and an empty pattern matches everything.
NO_DATASET = "(?!)"
IMPORTED = (
    "|".join(name for name, settings in DATASETS.items() if settings["raw"])
    or NO_DATASET
)
DOWNLOADED = (
    "|".join(name for name, settings in DATASETS.items() if not settings["raw"])
    or NO_DATASET
)


# The index is an input only because params may lean on a checkpoint's file where it is one.
rule download_video:
    input:
        ancient(paths.VIDEO_INDEX),
    output:
        media=kept(paths.RAW_MEDIA, "raw"),
        record=paths.RAW_RECORD,
    log:
        paths.log("download_video", "video"),
    benchmark:
        paths.benchmark("download_video", "video")
    wildcard_constraints:
        dataset=DOWNLOADED,
    localrule: True
    conda:
        "../envs/acquire.yaml"
    resources:
        lane=1,
    params:
        video="{video}",
        url=video_url,
        height=video_height,
        max_height=setting("download", "max_height"),
        settings=download_settings,
        lane=paths.LANE,
        version=STEPS["download_video"],
    script:
        "../scripts/download_video.py"


rule import_video:
    input:
        ancient(paths.VIDEO_INDEX),
        source=import_sources,
    output:
        media=kept(paths.RAW_MEDIA, "raw"),
        record=paths.RAW_RECORD,
    log:
        paths.log("import_video", "video"),
    benchmark:
        paths.benchmark("import_video", "video")
    wildcard_constraints:
        dataset=IMPORTED,
    localrule: True
    conda:
        "../envs/acquire.yaml"
    params:
        video="{video}",
        url=video_url,
        names=video_names,
        folder=setting("raw"),
        rate=video_rate,
        version=STEPS["import_video"],
    script:
        "../scripts/import_video.py"
