"""Crops: the right pictures, the right window to a fraction of a pixel, honest colours, the same bytes every time."""

from contextlib import closing
from fractions import Fraction

import av
import media_factory
import numpy as np
import pytest

from talkset import cut, media, render, timeline
from talkset.demo import barcode
from talkset.faults import ClipFault

HOW = {"fps": 25, "size": 128, "preset": "veryfast", "crf": 10, "gop": 50}


def reader_of(path, start="0", end="1"):
    with closing(media.Source(path)) as source:
        fields, clip = cut.cut(source, Fraction(start), Fraction(end), path.with_name("clip"))
    return media.ClipReader(clip, {"start": start, "end": end} | fields)


def decoded(path, format="rgb24"):
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format=format) for frame in container.decode(video=0)]


def planes(frame):
    return [np.frombuffer(one, np.uint8).reshape(one.height, one.line_size)[:, : one.width] for one in frame.planes]


@pytest.mark.parametrize("fps", ["24", "25", "30000/1001", "30", "50", "60"])
def test_constant_25_with_the_picture_of_each_slot(fps, tmp_path):
    path = media_factory.make(tmp_path / "a.mp4", seconds=2, fps=fps, sound=None, size=(192, 192))
    reader = reader_of(path, "0.31", "1.63")
    made = render.crop(reader, (0, 0, 192, 192), tmp_path / "crop.mp4", count=33, **HOW)
    stamps = [number / Fraction(fps) for number in range(200)]
    picks = timeline.pick_frames(stamps, timeline.slots(Fraction("0.31"), 33))
    assert [barcode.read(picture) for picture in decoded(tmp_path / "crop.mp4")] == picks
    assert [reader.time(pts) + Fraction("0.31") for pts in made["source_pts"]] == [stamps[pick] for pick in picks]
    with av.open(str(tmp_path / "crop.mp4")) as container:
        stream = container.streams.video[0]
        assert stream.time_base == Fraction(1, 25)
        assert stream.average_rate == 25
        assert [frame.pts for frame in container.decode(stream)] == list(range(33))
        assert (stream.codec_context.pix_fmt, stream.width, stream.height) == ("yuv420p", 128, 128)


def test_key_frames_are_no_further_apart_than_asked(tmp_path):
    reader = reader_of(media_factory.make(tmp_path / "a.mp4", seconds=2, sound=None), "0", "2")
    render.crop(reader, (0, 0, 180, 180), tmp_path / "crop.mp4", count=50, **HOW | {"gop": 10})
    with av.open(str(tmp_path / "crop.mp4")) as container:
        keys = sorted(packet.pts for packet in container.demux() if packet.size and packet.is_keyframe)
    assert keys[0] == 0 and max(np.diff([*keys, 50])) <= 10


def test_the_same_bytes_every_time(tmp_path):
    reader = reader_of(media_factory.make(tmp_path / "a.mp4", seconds=1.2, sound=None))
    made = [render.crop(reader, (7, 3, 131, 127), tmp_path / f"{n}.mp4", count=25, **HOW) for n in (1, 2)]
    assert made[0] == made[1]
    assert (tmp_path / "1.mp4").read_bytes() == (tmp_path / "2.mp4").read_bytes()
    assert b"Lavf" not in (tmp_path / "1.mp4").read_bytes()


@pytest.mark.parametrize("x0", [40, 41, 42, 43])
@pytest.mark.parametrize("y0", [20, 21])
@pytest.mark.parametrize("side", [120, 150, 61])
def test_brightness_and_colour_stay_together_at_every_offset(x0, y0, side):
    """A blob whose brightness and colour have one centre keeps it, whatever the parity of the window's corner."""

    def blob(height, width, grid, down):
        y, x = np.mgrid[0:height, 0:width].astype(float)
        return 60 + 120 * np.exp(-((x * grid - 70.0) ** 2 + (y * grid + down - 50.0) ** 2) / (2 * 7.0**2))

    source = av.VideoFrame(320, 180, "yuv420p")
    for plane, values in zip(source.planes, (blob(180, 320, 1, 0), *2 * [blob(90, 160, 2, 0.5)]), strict=True):
        rows = np.zeros((plane.height, plane.line_size), np.uint8)
        rows[:, : plane.width] = values.round()
        plane.update(rows)
    source.pts, source.time_base = 0, Fraction(1, 25)
    frame = render._Scaler((x0, y0, x0 + side, y0 + side), 120).scale(media.Picture(0, Fraction(0), source, False))
    scale = 120 / side
    for plane, grid, below in zip(planes(frame), (1, 2, 2), (0, 0.5, 0.5), strict=True):
        weight = np.clip(plane.astype(float) - 70, 0, None)
        y, x = np.mgrid[0 : plane.shape[0], 0 : plane.shape[1]]
        # the centre of pixel p lies at p + 0.5 pixels from the edge
        across = (x * weight).sum() / weight.sum() * grid - ((70 - x0 + 0.5) * scale - 0.5)
        down = (y * weight).sum() / weight.sum() * grid + below - ((50 - y0 + 0.5) * scale - 0.5)
        assert max(abs(across), abs(down)) < 0.1 * max(1, scale)


def test_the_window_is_the_one_asked_for(tmp_path):
    def steps(number, width, height):
        y, x = np.mgrid[0:height, 0:width]
        return np.stack([x % 256, y, np.zeros_like(x)], axis=2).astype(np.uint8)

    path = media_factory.make(tmp_path / "a.mp4", seconds=0.4, draw=steps, sound=None, options={"crf": "1"})
    render.crop(reader_of(path, "0", "0.2"), (60, 30, 188, 158), tmp_path / "crop.mp4", count=5, **HOW | {"crf": 1})
    picture = decoded(tmp_path / "crop.mp4")[0].astype(int)
    assert np.abs(picture[64, 2:-2, 0] - np.arange(62, 186)).max() <= 6
    assert np.abs(picture[2:-2, 64, 1] - np.arange(32, 156)).max() <= 6


@pytest.mark.parametrize(
    ("stated", "size", "expected"),
    [
        ({}, (320, 180), {"range": 1, "matrix": 6, "primaries": 6, "transfer": 6}),
        ({}, (1280, 720), {"range": 1, "matrix": 1, "primaries": 1, "transfer": 1}),
        ({"colorspace": 1, "color_primaries": 1, "color_trc": 1, "color_range": 1}, (320, 180),
         {"range": 1, "matrix": 1, "primaries": 1, "transfer": 1}),
        ({"colorspace": 5, "color_primaries": 5, "color_trc": 6, "color_range": 2}, (1280, 720),
         {"range": 1, "matrix": 5, "primaries": 5, "transfer": 6}),
    ],
)  # fmt: skip
def test_colours_are_stated(stated, size, expected, tmp_path):
    path = media_factory.make(tmp_path / "a.mp4", seconds=0.2, size=size, colors=stated, sound=None)
    made = render.crop(reader_of(path, "0", "0.2"), (0, 0, 160, 160), tmp_path / "crop.mp4", count=5, **HOW)
    assert made["color"] == expected
    with av.open(str(tmp_path / "crop.mp4")) as container:
        frame = next(container.decode(video=0))
    seen = (frame.color_range, frame.colorspace, frame.color_primaries, frame.color_trc)
    assert seen == tuple(expected.values())


def test_an_interlaced_source_is_said_to_be_one(tmp_path):
    path = media_factory.make(tmp_path / "a.mp4", seconds=0.6, interlaced=True, sound=None)
    made = render.crop(reader_of(path, "0", "0.4"), (0, 0, 160, 160), tmp_path / "crop.mp4", count=10, **HOW)
    assert made["interlaced"]


def test_a_damaged_picture_ends_the_crop_with_its_place(tmp_path):
    def noise(number, width, height):
        return np.random.default_rng(number).integers(0, 255, (height, width, 3), np.uint8)

    path = media_factory.make(tmp_path / "a.mp4", seconds=1.2, draw=noise, sound=None, gop=10)
    reader = reader_of(path)
    clip = tmp_path / "clip.mp4"
    data = bytearray(clip.read_bytes())
    for offset in range(len(data) // 2, len(data) // 2 + 4000):
        data[offset] ^= 0x5A
    clip.write_bytes(data)
    with pytest.raises(ClipFault, match="s after the start is damaged"):
        render.crop(reader, (0, 0, 160, 160), tmp_path / "crop.mp4", count=25, **HOW)


@pytest.mark.parametrize("size", [96, 160, 192, 224])
def test_sizes_at_which_x264_is_not_repeatable_by_itself(size, tmp_path):
    def noise(number, width, height):
        return np.random.default_rng(number).integers(0, 255, (height, width, 3), np.uint8)

    path = media_factory.make(tmp_path / "a.mp4", seconds=0.8, draw=noise, size=(240, 240), sound=None)
    reader = reader_of(path, "0", "0.8")
    made = set()
    for _ in range(6):
        render.crop(reader, (0, 0, 240, 240), tmp_path / "c.mp4", count=20, **HOW | {"size": size})
        made.add((tmp_path / "c.mp4").read_bytes())
    assert len(made) == 1
