"""Write the ledger of a dataset, one row per annotated clip, and a summary of it for people."""

from pathlib import Path

from talkset import files, glue, ledger, progress, tables
from talkset.faults import ToolFault


def main(
    clips: Path,
    filtered: Path,
    features: list[Path],
    manifest: Path,
    summary: Path,
    *,
    dataset: str,
    modalities: list[str],
    version: int,
) -> None:
    """Join the clip table with every clip's verdict and the features that it has.

    Args:
        clips: the dataset's clip table.
        filtered: the verdicts on all its clips.
        features: every feature file, `features/{modality}/{shard}.safetensors`; only headers are read.
        manifest: the ledger; as many rows as the clip table, in its order.
        summary: what became of the clips, as text.
        dataset: its name.
        modalities: those that a kept clip shall have.

    Raises:
        ToolFault: a clip is missing somewhere, or a file belongs to no modality that was asked for.
    """
    present = {modality: set() for modality in modalities}
    missing = {modality: {} for modality in modalities}
    for path in features:
        modality = path.parent.name
        if modality not in present:
            raise ToolFault(f"{path}: {modality!r} is none of the modalities asked for ({', '.join(modalities)})")
        there, why = ledger.feature_header(path)
        present[modality] |= there
        missing[modality] |= why
    listed = list(tables.rows(clips))
    rows = ledger.rows(listed, {row["clip"]: row for row in tables.rows(filtered)}, present, missing)
    text = ledger.summary(dataset, rows, ledger.listed_seconds(listed))
    tables.write(manifest, ledger.COLUMNS, rows)
    files.write_text(summary, text)
    progress.say(text)


if __name__ == "__main__":
    glue.run(main, snakemake)  # noqa: F821
