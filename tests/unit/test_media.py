"""Sources of every awkward kind come out upright, square, progressive, 4:2:0, limited range, or with a reason."""

import struct
from contextlib import closing
from fractions import Fraction

import av
import media_factory
import numpy as np
import pytest

from talkset import cut, media, timeline
from talkset.demo import barcode
from talkset.faults import ClipFault


def clip_of(path, start="0.2", end="1"):
    with closing(media.Source(path)) as source:
        fields, clip = cut.cut(source, Fraction(start), Fraction(end), path.with_name("clip"))
    record = {"start": start, "end": end} | fields
    return media.ClipReader(clip, record), record


def corners(number, width, height):
    """Black, but red upper left, green upper right, blue lower left."""
    picture = np.zeros((height, width, 3), np.uint8)
    y, x = height // 3, width // 3
    picture[:y, :x], picture[:y, -x:], picture[-y:, :x] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    return picture


def seen_corners(frame):
    rgb = frame.to_ndarray(format="rgb24").astype(int)
    height, width = rgb.shape[:2]
    spots = [rgb[y, x] for y in (height // 8, -height // 8) for x in (width // 8, -width // 8)]
    return ["rgb"[spot.argmax()] if spot.max() > 100 else "-" for spot in spots]


@pytest.mark.parametrize("turn", [0, 90, 180, -90])
def test_turned_pictures_come_upright(turn, tmp_path):
    path = media_factory.make(tmp_path / "a.mp4", seconds=1.2, size=(96, 48), draw=corners, turn=turn, sound=None)
    reader, record = clip_of(path)
    assert (reader.width, reader.height) == ((96, 48) if turn % 180 == 0 else (48, 96))
    frame = next(reader.pictures()).frame
    assert (frame.width, frame.height) == (reader.width, reader.height)
    # a display rotation counter-clockwise moves the upper right corner to the upper left
    assert "".join(seen_corners(frame)) == {0: "rgb-", 90: "g-rb", 180: "-bgr", -90: "br-g"}[turn]


def test_mirrored_pictures_come_upright(tmp_path):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=25)
        stream.codec_context.width, stream.codec_context.height = 96, 48
        stream.set_display_rotation(90, hflip=True)
        for number in range(30):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(corners(number, 96, 48), format="rgb24")))
        output.mux(stream.encode(None))
    reader, record = clip_of(path)
    assert record["picture"]["turn"] in ("transpose=cclock_flip", "transpose=clock_flip")
    frame = next(reader.pictures()).frame
    plain = media_factory.make(tmp_path / "b.mp4", seconds=1.2, size=(96, 48), draw=corners, turn=90, sound=None)
    turned = seen_corners(next(clip_of(plain)[0].pictures()).frame)
    assert seen_corners(frame) in ([turned[1], turned[0], turned[3], turned[2]], [*turned[2:], *turned[:2]])


def test_a_slanted_picture_is_a_fault(tmp_path):
    path = media_factory.make(tmp_path / "a.mp4", seconds=1.2, turn=30, sound=None)
    with pytest.raises(ClipFault, match=r"turned by (29|30) degrees, not a multiple of 90"):
        clip_of(path)


@pytest.mark.parametrize(("sar", "size"), [(Fraction(4, 3), (214, 90)), (Fraction(8, 9), (160, 102))])
def test_pixels_become_square(sar, size, tmp_path):
    path = media_factory.make(tmp_path / "a.mp4", seconds=1.2, size=(160, 90), sar=sar, sound=None)
    reader, record = clip_of(path)
    picture = next(reader.pictures())
    assert (reader.width, reader.height) == size == (picture.frame.width, picture.frame.height)
    assert barcode.read(picture.frame.to_ndarray(format="gray")) == 5


@pytest.mark.parametrize("kind", [{"pix_fmt": "yuv420p10le"}, {"pix_fmt": "yuv444p"}, {"pix_fmt": "yuvj420p"}])
def test_other_pixel_formats_keep_their_colours(kind, tmp_path):
    path = media_factory.make(tmp_path / "a.mp4", seconds=1.2, size=(96, 48), draw=corners, sound=None, **kind)
    plain = media_factory.make(tmp_path / "b.mp4", seconds=1.2, size=(96, 48), draw=corners, sound=None)
    frame, other = (next(clip_of(one)[0].pictures()).frame for one in (path, plain))
    assert frame.format.name == "yuv420p"
    for plane, against in zip(planes(frame), planes(other), strict=True):
        inner = np.s_[4:-4:8, 4:-4:8]
        assert np.abs(plane[inner].astype(int) - against[inner]).max() <= 3


def planes(frame):
    return [np.frombuffer(one, np.uint8).reshape(one.height, one.line_size)[:, : one.width] for one in frame.planes]


@pytest.mark.parametrize("transfer", media.HDR_TRANSFERS)
def test_hdr_is_mapped_to_the_usual_range(transfer, tmp_path):
    colors = {"color_trc": transfer, "color_primaries": 9, "colorspace": 9, "color_range": 1}

    def ramp(number, width, height):
        return np.broadcast_to(np.linspace(0, 255, width).astype(np.uint8)[None, :, None], (height, width, 3)).copy()

    path = media_factory.make(
        tmp_path / "a.mp4", seconds=1.2, codec="libx265", pix_fmt="yuv420p10le", colors=colors, draw=ramp, sound=None,
        options={"x265-params": "log-level=none"},
    )  # fmt: skip
    reader, record = clip_of(path)
    frame = next(reader.pictures()).frame
    assert (frame.format.name, frame.color_trc, frame.color_primaries, frame.colorspace) == ("yuv420p", 1, 1, 1)
    row = planes(frame)[0][90].astype(int)
    assert row[4] < 24 and row[-4] > 215
    assert (np.diff(row[::16]) > 0).all()  # in order, nothing clipped
    assert record["picture"]["color"]["transfer"] == transfer


def test_interlaced_pictures_become_progressive(tmp_path):
    def fields(number, width, height):
        """A bar that is further right in the second field."""
        picture = np.full((height, width, 3), 16, np.uint8)
        for field in (0, 1):
            left = 8 * number + 4 * field
            picture[field::2, left : left + 24] = 235
        return picture

    path = media_factory.make(
        tmp_path / "a.mp4", seconds=1.2, size=(320, 180), draw=fields, interlaced=True, sound=None,
        options={"crf": "5"},
    )  # fmt: skip
    reader, record = clip_of(path)
    assert record["picture"]["interlaced"]

    def comb(frame):
        luma = planes(frame)[0].astype(int)
        return np.abs(2 * luma[1:-1:2] - luma[:-2:2] - luma[2::2]).mean()

    smooth = list(reader.pictures())
    raw = list(reader.pictures(deinterlace=False))
    assert all(picture.interlaced for picture in smooth)
    assert [picture.pts for picture in smooth] == [picture.pts for picture in raw]
    assert comb(raw[5].frame) > 5 * comb(smooth[5].frame)
    # send_frame: the picture is the one of the first field, at that field's time
    bar = planes(smooth[5].frame)[0][90] > 125
    assert abs(np.flatnonzero(bar)[0] - 8 * (5 + 5)) <= 1


@pytest.mark.parametrize("name", ["a.mp4", "a.ts"])
def test_pictures_nobody_needs_are_left_out_without_a_trace(name, tmp_path):
    path = media_factory.make(tmp_path / name, seconds=3, fps=50, bframes=4, sound=None, gop=1000)
    reader, record = clip_of(path, "1.507", "2.7")
    everything = {picture.pts: picture.frame.to_ndarray() for picture in reader.pictures()}
    slots = timeline.slots(Fraction(0), record["frames"])
    times = sorted(everything)
    picks = timeline.pick_frames([reader.time(pts) for pts in times], slots)
    seen = list(reader.shown(25))
    assert [slot for slot, _ in seen] == list(range(record["frames"]))
    for (_, picture), pick in zip(seen, picks, strict=True):
        assert picture.pts == times[pick]
        assert np.array_equal(picture.frame.to_ndarray(), everything[picture.pts])
    with av.open(str(path)) as container:  # and the lead-in, of which only references were decoded, left no trace
        truth = [frame.to_ndarray() for frame in container.decode(video=0)]
    assert np.array_equal(everything[record["first_pts"]], truth[75])


def test_any_rate_can_be_asked_for(tmp_path):
    path = media_factory.make(tmp_path / "a.mp4", seconds=3, sound=None)
    reader, _ = clip_of(path, "1", "2")
    shown = [barcode.read(picture.frame.to_ndarray(format="gray")) for _, picture in reader.shown(5)]
    assert shown == [25, 30, 35, 40, 45]
    assert len(list(reader.shown(50))) == 50


def test_detectors_may_skip_the_loop_filter(tmp_path):
    path = media_factory.make(tmp_path / "a.mp4", seconds=1.2, sound=None, options={"crf": "40"})
    reader, _ = clip_of(path)
    fine, rough = (next(reader.pictures(skip_loop_filter=skip)).frame.to_ndarray() for skip in (False, True))
    assert not np.array_equal(fine, rough)
    assert np.abs(fine.astype(int) - rough).mean() < 8


def test_frames_outlive_the_reader(tmp_path):
    path = media_factory.make(tmp_path / "a.mp4", seconds=1.2, interlaced=True, turn=90, sound=None)
    pictures = list(clip_of(path)[0].pictures())
    assert [int(picture.frame.to_ndarray().mean()) > 0 for picture in pictures] == [True] * 20


def damage(path, at: float):
    """Overwrite some of the picture's bytes that lie at a share of the file."""
    data = bytearray(path.read_bytes())
    where = int(len(data) * at)
    for offset in range(where, where + 4000):
        data[offset] ^= 0x5A
    path.write_bytes(data)


def test_a_damaged_picture_is_named(tmp_path):
    def noise(number, width, height):
        return np.random.default_rng(number).integers(0, 255, (height, width, 3), np.uint8)

    path = media_factory.make(tmp_path / "a.mp4", seconds=1.2, draw=noise, sound=None, gop=10)
    reader, record = clip_of(path)
    clip = tmp_path / "clip.mp4"
    damage(clip, 0.5)
    with pytest.raises(ClipFault, match=r"the picture 0\.\d+ s after the start is damaged: "):
        list(reader.pictures())
    with pytest.raises(ClipFault, match="is damaged"):
        list(reader.shown(25))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "cannot be read as a video"),
        (b"<html>not found</html>" * 100, "cannot be read as a video"),
        (struct.pack(">I4s", 8, b"ftyp") * 50, "cannot be read as a video"),
        (b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n/etc/hostname\n#EXT-X-ENDLIST\n", "cannot be read as a video"),
        (b"ffconcat version 1.0\nfile 'other.mp4'\n", "cannot be read as a video"),
    ],
)
def test_what_is_no_video_is_a_fault_and_opens_nothing(content, reason, tmp_path):
    media_factory.make(tmp_path / "other.mp4", seconds=1, sound=None)
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    with pytest.raises(ClipFault, match=reason):
        media.Source(path)


def test_sound_alone_is_a_fault(tmp_path):
    path = media_factory.make(tmp_path / "a.m4a", codec=None, seconds=1)
    with pytest.raises(ClipFault, match="no moving picture"):
        media.Source(path)


def test_a_cover_picture_is_not_the_video(tmp_path):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as output:
        cover = output.add_stream("mjpeg", rate=1)
        cover.codec_context.width, cover.codec_context.height, cover.codec_context.pix_fmt = 64, 64, "yuvj420p"
        cover.disposition = int(av.stream.Disposition.attached_pic)
        film = output.add_stream("libx264", rate=25)
        film.codec_context.width, film.codec_context.height = 96, 48
        output.start_encoding()
        photo = av.VideoFrame.from_ndarray(corners(0, 64, 64), format="rgb24").reformat(format="yuvj420p")
        output.mux(cover.encode(photo))
        for number in range(30):
            output.mux(film.encode(av.VideoFrame.from_ndarray(corners(number, 96, 48), format="rgb24")))
        output.mux(film.encode(None))
    with closing(media.Source(path)) as source:
        assert source.picture.codec_context.width == 96


def test_reordered_pictures_in_avi_have_no_times(tmp_path):
    path = media_factory.make(tmp_path / "a.avi", seconds=1.2, codec="mpeg4", sound="libmp3lame")
    with pytest.raises(ClipFault, match="AVI file does not say when"):
        media.Source(path)
