"""Find every face in every picture of the clips of one shard: box, score, landmarks, head pose, joined over time."""

import contextlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import cv2

from talkset import faces, glue, media, progress, shardtar, tables, timeline
from talkset import tracks as face_tracks
from talkset.faults import ClipFault

# Without the loop filter H.264 decodes a fifth to a quarter faster, and landmarks are off by 0.3 px (mean; 95 %: 0.7)
# in a crop of 512 where a key picture comes every 5 s, by 0.4 px where none comes for 10 s: less than the mesh itself
# trembles. In HEVC it gains 8 % and costs 0.8 px.
UNFILTERED = ("h264",)


def main(clips: Path, shard_list: Path, tracks: Path, *, settings: dict, version: int) -> None:
    """Write the face tracks of one shard. A clip that ended before, or ends here, has a record and no rows.

    Args:
        clips: clip shard.
        shard_list: clip table rows of the shard.
        tracks: the parquet file (see `talkset.tracks`).
        settings: `rate` (analysed pictures a second; 0 = every picture of the source), `skip_loop_filter`, and those of
            `faces.FaceFinder`.
        version: of this step, kept in the file.

    Raises:
        ToolFault: the shard lacks a clip of the list, or mediapipe has no models.
    """
    cv2.setNumThreads(1)
    shard = shardtar.Reader(clips)
    records = {record["clip"]: record for record in shard.records()}
    listed = [row["clip"] for row in tables.rows(shard_list)]
    tables.all_there(clips, records, listed, shard_list)
    finder = faces.FaceFinder(settings)
    with face_tracks.Writer(tracks, {"version": version, "settings": settings}) as out:
        for clip in progress.each(listed, len(listed), "track_faces"):
            record = records[clip]
            if record["status"] != "ok":
                out.add({key: record[key] for key in ("clip", "status", "reason", "stage")})
                continue
            try:
                with contextlib.closing(shard.media(f"{clip}.{record['media']}")) as file:
                    reader = media.ClipReader(file, record)
                    done = {"clip": clip, "status": "ok", "reason": "", "stage": "track"}
                    done |= {"width": reader.width, "height": reader.height, "rate": str(_rate(record, settings))}
                    out.add(done, find(finder, reader, settings))
            except ClipFault as fault:
                progress.say(f"track_faces: {clip}: {fault.reason}")
                out.add({"clip": clip, "status": fault.status, "reason": fault.reason, "stage": "track"})


def find(
    finder: faces.FaceFinder, reader: media.ClipReader, settings: dict
) -> Iterator[tuple[int, Fraction, list[faces.Face]]]:
    """Yield stamp, time and faces of every analysed picture of a clip.

    Raises:
        ClipFault: a picture cannot be decoded.
    """
    record, last = reader.record, None
    unfiltered = settings["skip_loop_filter"] and record["picture"]["codec"] in UNFILTERED
    rate = _rate(record, settings)
    if settings["rate"]:
        pictures = (picture for _, picture in reader.shown(rate, skip_loop_filter=unfiltered))
    else:
        pictures = reader.pictures(skip_loop_filter=unfiltered)
    total = round(record["frames"] / timeline.FPS * rate)
    finder.restart()
    for picture in progress.each(pictures, total, f"track_faces: {record['clip']}", "pictures", every=30):
        if picture.pts != last:
            last = picture.pts
            yield picture.pts, picture.time, finder.find(picture.frame, picture.time)


def _rate(record: dict, settings: dict) -> Fraction:
    """Analysed pictures a second, nominal."""
    return Fraction(str(settings["rate"] or record["picture"]["fps"]))


if __name__ == "__main__":
    glue.run(main, snakemake)  # noqa: F821
