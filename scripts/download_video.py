"""Download one source video, with its record of what was fetched or why it could not be."""

from pathlib import Path

from talkset import files, glue
from talkset.acquire.client import download
from talkset.acquire.lane import Lane


def main(
    media: Path,
    record: Path,
    *,
    video: str,
    url: str,
    height: str,
    max_height: int | None,
    settings: dict,
    lane: str,
    version: int,
) -> None:
    """Write `media` (empty where the video cannot be had) and `record`.

    Args:
        height: the exact height wanted in pixels; empty for the best.
        max_height: where the best is wanted, take none above it (pixels).
        settings: the section `download` of the configuration: pace, retries, proxy; they change no result.
        lane: folder of the download lane's state.
        version: version of this step.

    Raises:
        LaneBlocked, ToolFault: as `talkset.acquire.client.download`; nothing is written.
    """
    pace = Lane(
        lane,
        interval=settings["interval"],
        jitter=settings["jitter"],
        per_hour=settings["per_hour"],
        cooldown=settings["cooldown"],
    )
    settings = {**settings, "max_height": max_height}
    files.write_json(record, download(video, url, int(height) if height else None, media, settings, pace))


if __name__ == "__main__":
    glue.run(main, snakemake)  # noqa: F821
