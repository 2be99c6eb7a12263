"""Say what a dataset's lists ask for and how large its features become, before anything is downloaded."""

from pathlib import Path

from talkset import files, glue, plan, progress, tables


def main(clips: Path, plan_text: Path, *, dataset: str, features: dict, version: int) -> None:
    """Write the plan and show it.

    Args:
        clips: the dataset's clip table.
        plan_text: the plan, see `talkset.plan.text`.
        dataset: its name.
        features: options by modality, complete.
        version: of this step.
    """
    text = plan.text(dataset, tables.rows(clips), features)
    files.write_text(plan_text, text)
    progress.say(text)


if __name__ == "__main__":
    glue.run(main, snakemake)  # noqa: F821
