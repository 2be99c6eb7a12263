"""Every path of the chain, once: the names are the same in all datasets and versions."""

ANNOTATION = "resources/{dataset}/{annotation}"
# What was fetched once, for all datasets: what the config does not pin is fixed here from the first time on.
ANNOTATION_LOCK = "resources/annotations.lock.tsv"
# The listing of a media folder, among the annotations.
MEDIA_LIST = "resources/{dataset}/media.tsv"
MODEL = "resources/models/{model}/{file}"
MODEL_RECORD = "resources/models/{model}/talkset.json"
# What was fetched once, for all models: what the config does not pin is fixed here from the first time on.
MODEL_LOCK = "resources/models/lock.tsv"
CLIP_TABLE = "results/{dataset}/clips.tsv"
VIDEO_INDEX = "results/{dataset}/videos.tsv"
PLAN = "results/{dataset}/plan.txt"
SHARD_LIST = "results/{dataset}/shards/{shard}.tsv"
RAW_MEDIA = "results/{dataset}/raw/{video}.mp4"
RAW_RECORD = "results/{dataset}/raw/{video}.json"
CLIPS = "results/{dataset}/clips/{shard}.tar"
TRACKS = "results/{dataset}/tracks/{shard}.parquet"
CROPS = "results/{dataset}/crops/{shard}.tar"
UNCORRECTED = "results/{dataset}/uncorrected/{shard}.tar"
UNCORRECTED_SYNC = "results/{dataset}/uncorrected/{shard}.tsv"
SCORES = "results/{dataset}/scores/{score}/{shard}.tsv"
QUALITY = "results/{dataset}/quality/{shard}.tsv"
FILTERED_SHARD = "results/{dataset}/filtered/{shard}.tsv"
FILTERED = "results/{dataset}/filtered.tsv"
FEATURES = "results/{dataset}/features/{modality}/{shard}.safetensors"
MANIFEST = "results/{dataset}/manifest.tsv"
SUMMARY = "results/{dataset}/summary.txt"
CONTACT_SHEET = "results/{dataset}/contact_sheet.jpg"
EXPORT_HDTF = "results/{dataset}/export/hdtf/files.tsv"

# One download lane for a working folder, whatever the dataset: the site counts requests, not datasets.
LANE = "resources/.lane"


def log(rule: str, *wildcards: str) -> str:
    """Path of a rule's log: `logs/{dataset}/<rule>/<wildcards>.log`."""
    return _per_job("logs", rule, wildcards, "log")


def benchmark(rule: str, *wildcards: str) -> str:
    """Path of a rule's benchmark: `benchmarks/{dataset}/<rule>/<wildcards>.tsv`."""
    return _per_job("benchmarks", rule, wildcards, "tsv")


def _per_job(folder: str, rule: str, wildcards: tuple[str, ...], ending: str) -> str:
    name = ".".join(f"{{{wildcard}}}" for wildcard in wildcards) or rule
    return f"{folder}/{{dataset}}/{rule}/{name}.{ending}"
