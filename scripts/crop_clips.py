"""Crop the clips of one shard to their faces: constant 25 pictures a second, and sound on the same timeline."""

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from talkset import files, geometry, glue, media, progress, render, shardtar, sound, tables, timeline
from talkset import tracks as face_tracks
from talkset.faults import ClipFault

# What the record keeps of the source's picture.
SOURCE = ("codec", "width", "height", "fps", "bit_rate", "pix_fmt", "turn", "sar", "color")


def main(shard_list: Path, clips: Path, tracks: Path, crops: Path, *, settings: dict, version: int) -> None:
    """Write the crop shard: per clip its pictures, its sound (if the source has any) and its record.

    A record of status `ok` holds, beside `clip`, `status`, `reason` and `stage`: `frames` (T), `fps`, `size`, `way`,
    `window` (x0, y0, x1, y1 in pixels of the upright source), `window_px` (its side), `face` (the track followed, -1 =
    none), `source_pts` (stamp in the clip file of the picture in each of the T slots), `source` (of the picture),
    `color` (of the crop), `sound` (of the source; `null` if there is none), `missing_s` (annotated seconds after the
    end of the picture), `sound_missing_s` (seconds of the crop for which the source has no sound), `pcm_sha256` (of the
    samples) and `sync` (`null`: the sound is where the source has it; `correct_sync` says here what it changed).

    Args:
        shard_list: clip table rows of the shard.
        clips: clip shard.
        tracks: face tracks of the shard.
        crops: the crop shard.
        settings: `way`, `size`, `preset`, `crf`, `gop`, and those of `geometry.window`.
        version: of this step.

    Raises:
        ToolFault: an input lacks a clip of the list.
        OSError: the disk is full or broken.
    """
    listed = list(tables.rows(shard_list))
    shard = shardtar.Reader(clips)
    cut = {record["clip"]: record for record in shard.records()}
    tracked = {record["clip"]: record for record in face_tracks.records(tracks)}
    for path, there in ((clips, cut), (tracks, tracked)):
        tables.all_there(path, there, (row["clip"] for row in listed), shard_list)
    with files.scratch(crops) as scratch, shardtar.Writer(crops) as out:
        for row in progress.each(listed, len(listed), "crop_clips"):
            clip = row["clip"]
            ended = next((one[clip] for one in (cut, tracked) if one[clip]["status"] != "ok"), None)
            if ended:
                out.add(clip, {key: ended[key] for key in ("clip", "status", "reason", "stage")})
                continue
            try:
                record, made = _crop(row, shard, cut[clip], tracks, settings, scratch)
            except ClipFault as fault:
                progress.say(f"crop_clips: {clip}: {fault.reason}")
                record, made = {"status": fault.status, "reason": fault.reason, "stage": "crop"}, {}
            out.add(clip, {"clip": clip} | record, made)


def _crop(
    row: Mapping[str, str], shard: shardtar.Reader, cut: dict, tracks: Path, settings: dict, scratch: Path
) -> tuple[dict, dict[str, Path]]:
    """The record of one clip and its media by ending."""
    picture, count = cut["picture"], cut["frames"]
    track = face_tracks.read(tracks, row["clip"], ("pts", "face", "x0", "y0", "x1", "y1"))
    face, window = choose(row, (picture["width"], picture["height"]), track, settings)
    made = {"mp4": scratch / "crop.mp4"}
    with closing(shard.media(f"{row['clip']}.{cut['media']}")) as file:
        how = {name: settings[name] for name in ("size", "preset", "crf", "gop")}
        shown = render.crop(media.ClipReader(file, cut), window, made["mp4"], count=count, fps=timeline.FPS, **how)
    heard = {"missing_s": None, "sha256": None}
    if cut["sound"]:
        made["wav"] = scratch / "crop.wav"
        with closing(shard.media(f"{row['clip']}.{cut['media']}")) as file:
            heard = sound.write_wav(made["wav"], file, cut, count)
    return {
        "status": "ok",
        "reason": "",
        "stage": "crop",
        "frames": count,
        "fps": timeline.FPS,
        "size": settings["size"],
        "way": settings["way"],
        "window": list(window),
        "window_px": window[2] - window[0],
        "face": face,
        "source_pts": shown["source_pts"],
        "source": {name: picture[name] for name in SOURCE} | {"interlaced": shown["interlaced"]},
        "color": shown["color"],
        "sound": cut["sound"],
        "missing_s": cut["missing_s"],
        "sound_missing_s": heard["missing_s"],
        "pcm_sha256": heard["sha256"],
        "sync": None,
    }, made


def choose(
    row: Mapping[str, str], size: tuple[int, int], track: Mapping, settings: dict
) -> tuple[int, tuple[int, int, int, int]]:
    """The face that a clip is about (-1 = none) and the window x0, y0, x1, y1.

    An annotated window says which face is meant; where the window follows the face and none is in there, it is the
    one that is largest over time. A window of our own choice lies on even pixels, where 4:2:0 is cut without loss.

    Raises:
        ClipFault: there is no window, see `geometry.window`.
    """
    way = settings["way"]
    face = face_tracks.follow(track, geometry.annotation(row, size))
    if face < 0 and way == "tracked":
        face = face_tracks.follow(track)
    found = geometry.window(way, row, size, face_tracks.boxes(track, face), settings)
    if way == "annotated":
        return face, (found.x0, found.y0, found.x1, found.y1)
    x0, y0, side = found.x0 - found.x0 % 2, found.y0 - found.y0 % 2, max(2, found.side - found.side % 2)
    return face, (x0, y0, x0 + side, y0 + side)


if __name__ == "__main__":
    glue.run(main, snakemake)  # noqa: F821
