"""Input and params functions of all rules; they only look up what the config, the index and the paths say.

REQUIRED INPUTS   CONFIG and DATASETS, from common.smk
OUTPUTS           functions; no rule of its own
"""

EXPORTS = {"hdtf": paths.EXPORT_HDTF}


@functools.cache
def read_index(path, modified):
    """The index of one dataset's videos; `modified` makes a renewed table be read anew within one run."""
    return shards.Index(path)


def index(dataset):
    """The index of a dataset's videos and shards, once the checkpoint has made it."""
    path = checkpoints.list_clips.get(dataset=dataset).output.videos
    return read_index(path, os.stat(path).st_mtime_ns)


def wanted_videos(dataset, shard):
    """The source videos that the shard cuts clips from."""
    found = index(dataset)
    return [video for video in found.videos(shard) if found.row(video)["clips"] != "0"]


def shard_files(template, dataset, **fixed):
    """One file per shard of a dataset."""
    return [
        template.format(dataset=dataset, shard=shard, **fixed)
        for shard in index(dataset).shards
    ]


def per_shard(template):
    """An input function: one file per shard of the dataset."""

    def files(wildcards):
        return shard_files(template, wildcards.dataset)

    return files


def setting(*keys):
    """A params function: one value from the dataset's complete settings."""

    def value(wildcards):
        found = DATASETS[wildcards.dataset]
        for key in keys:
            found = found[key]
        return found

    return value


def kept(template, stage):
    """The output path of a stage whose files may go, by config, when all that needs them is done."""
    return template if CONFIG["keep"][stage] else temp(template)


def only(datasets):
    """A wildcard's constraint: one of these datasets; where there are none it matches nothing."""
    return "|".join(datasets) or "(?!)"


def plugin_specs(kind):
    """What the plug-ins of a kind tell of themselves, for those that some dataset to build asks for, in a fixed order."""
    used = sorted({name for settings in DATASETS.values() for name in settings[kind]})
    return [registry.load(kind, name).SPEC for name in used]


def plugin_names(kind):
    """A params function: names of the plug-ins of a kind that the dataset asks for."""

    def names_of(wildcards):
        return list(DATASETS[wildcards.dataset][kind])

    return names_of


@functools.cache
def plugin_models(kind, name, dataset):
    """The models that a plug-in's options name: what is known of them by option, and their files (dates count or not)."""
    try:
        known = models.wanted(
            CONFIG["models"],
            registry.load(kind, name).SPEC.models,
            DATASETS[dataset][kind][name],
        )
        return known, [
            models.input_files(entry["name"], CONFIG["models"][entry["name"]])
            for entry in known.values()
        ]
    except ToolFault as fault:
        raise WorkflowError(str(fault))


def model_files(kind, name):
    """An input function: every file of a plug-in's models."""

    def files(wildcards):
        _, found = plugin_models(kind, name, wildcards.dataset)
        return [
            file for steady, dated in found for file in [*map(ancient, steady), *dated]
        ]

    return files


def model_facts(kind, name):
    """A params function: what is known of a plug-in's models before they are fetched."""

    def facts(wildcards):
        known, _ = plugin_models(kind, name, wildcards.dataset)
        return known

    return facts


def needed_models(wildcards):
    """Every file of every model that the datasets to build need."""
    return sorted(
        {
            file
            for dataset, settings in DATASETS.items()
            for kind in ("scores", "features")
            for name in settings[kind]
            for parts in plugin_models(kind, name, dataset)[1]
            for part in parts
            for file in part
        }
    )


def annotation_files(wildcards):
    """The dataset's annotation files: in the user's own folder, or as fetched; the listing of its media as made here."""
    settings = DATASETS[wildcards.dataset]
    files = registry.load("datasets", settings["adapter"]).annotation_files(
        settings["options"]
    )
    found = []
    for file in files:
        if file == listing.NAME:
            found.append(paths.MEDIA_LIST.format(dataset=wildcards.dataset))
        elif isinstance(settings["annotations"], str):
            found.append(os.path.join(settings["annotations"], file))
        else:
            found.append(
                paths.ANNOTATION.format(dataset=wildcards.dataset, annotation=file)
            )
    return found


def annotation_url(wildcards):
    return DATASETS[wildcards.dataset]["annotations"]["url"].format(
        file=wildcards.annotation
    )


def annotation_sha256(wildcards):
    return DATASETS[wildcards.dataset]["annotations"]["sha256"][wildcards.annotation]


def shard_digest(wildcards):
    return index(wildcards.dataset).digest(wildcards.shard)


def video_url(wildcards):
    return index(wildcards.dataset).row(wildcards.video)["url"]


def video_names(wildcards):
    """Names that the video may have in the import folder; none: it lies where its url says."""
    names = index(wildcards.dataset).row(wildcards.video)["names"]
    return names.split(";") if names else []


def video_rate(wildcards):
    return index(wildcards.dataset).row(wildcards.video)["rate"]


def video_height(wildcards):
    """Height to ask for: the annotation's own where its fixed window is used, else the best there is (empty)."""
    annotated = DATASETS[wildcards.dataset]["crop"]["way"] == "annotated"
    return (
        index(wildcards.dataset).row(wildcards.video)["ref_height"] if annotated else ""
    )


def download_settings(wildcards, threads):
    """Pace, retries, proxy. That the function asks for `threads` keeps its value out of what makes a file out of date."""
    return {
        key: value
        for key, value in DATASETS[wildcards.dataset]["download"].items()
        if key != "max_height"
    }


@functools.cache
def media_folder(dataset):
    """What lies in the dataset's folder of videos, looked at once: rows of a listing."""
    try:
        return listing.walk(Path(DATASETS[dataset]["raw"]), Oddities(dataset))
    except ToolFault as fault:
        raise WorkflowError(f"config: datasets: {dataset}: raw: {fault}")


@functools.cache
def media_by_name(dataset):
    """Paths of the files in the dataset's folder of videos, of any depth, by their name without its ending."""
    found = {}
    for row in media_folder(dataset):
        if row["kind"] == "file":
            name = os.path.splitext(os.path.basename(row["path"]))[0]
            found.setdefault(name, []).append(
                os.path.join(DATASETS[dataset]["raw"], row["path"])
            )
    return found


def media_digest(wildcards):
    return listing.digest(media_folder(wildcards.dataset))


def import_sources(wildcards):
    """What the import folder has of a video: all files called by one of its names, or else what lies where its url says."""
    names = video_names(wildcards)
    if names:
        known = media_by_name(wildcards.dataset)
        return [file for name in names for file in known.get(name, [])]
    path = os.path.join(
        DATASETS[wildcards.dataset]["raw"],
        index(wildcards.dataset).row(wildcards.video)["url"],
    )
    return [path] if os.path.exists(path) else []


def shard_raw(template):
    """An input function: a raw file of every source video that the shard cuts clips from."""

    def files(wildcards):
        videos = wanted_videos(wildcards.dataset, wildcards.shard)
        return [
            template.format(dataset=wildcards.dataset, video=video) for video in videos
        ]

    return files


def shard_scores(wildcards):
    return [
        paths.SCORES.format(
            dataset=wildcards.dataset, shard=wildcards.shard, score=score
        )
        for score in DATASETS[wildcards.dataset]["scores"]
    ]


def all_features(wildcards):
    return [
        file
        for modality in DATASETS[wildcards.dataset]["features"]
        for file in shard_files(paths.FEATURES, wildcards.dataset, modality=modality)
    ]


def in_datasets(template):
    """One file per dataset to build."""
    return [template.format(dataset=dataset) for dataset in DATASETS]


def in_shards(template):
    """An input function: one file per shard of every dataset to build."""

    def files(wildcards):
        return [file for dataset in DATASETS for file in shard_files(template, dataset)]

    return files


def raw_records(wildcards):
    return [
        paths.RAW_RECORD.format(dataset=dataset, video=video)
        for dataset in DATASETS
        for shard in index(dataset).shards
        for video in wanted_videos(dataset, shard)
    ]


def feature_files(wildcards):
    return [
        file
        for dataset, settings in DATASETS.items()
        for modality in settings["features"]
        for file in shard_files(paths.FEATURES, dataset, modality=modality)
    ]


def exports(wildcards):
    return [
        EXPORTS[layout].format(dataset=dataset)
        for dataset, settings in DATASETS.items()
        for layout in settings["exports"]
    ]
