"""The demo's sources hold what `truth.json` says: frame numbers, stamps, sound onsets, faces, mouths; lists parse."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import warnings
from fractions import Fraction

import av
import imageio_ffmpeg
import numpy as np
import pytest
from scipy.signal import correlate, resample_poly

from talkset.demo import barcode, render, server
from talkset.faults import STATUSES

BY_NAME = {source.name: source for source in render.SOURCES}
THERE = [source.name for source in render.SOURCES if source.seconds]
DIRECT = [name for name in THERE if not BY_NAME[name].heights]


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    render.render(folder)
    return folder


@pytest.fixture(scope="module")
def download(demo, tmp_path_factory):
    """Download a source by name as users do, through yt-dlp's Python API; gives its info and the file."""
    import yt_dlp

    tools, out = tmp_path_factory.mktemp("tools"), tmp_path_factory.mktemp("downloads")
    (tools / "ffmpeg").symlink_to(imageio_ffmpeg.get_ffmpeg_exe())
    with server.serve(demo) as url:

        def get(name, **options):
            path = out / f"{name}.mp4"
            settings = {"outtmpl": str(path), "proxy": url, "ffmpeg_location": str(tools), "quiet": True}
            settings |= {"noprogress": True, "no_warnings": True, "format": "bv*+ba/b", "merge_output_format": "mp4"}
            with yt_dlp.YoutubeDL({**settings, **options}) as loader:
                return loader.extract_info(BY_NAME[name].url), path

        yield get


def decoded(path):
    """Frame numbers, stamps and interlaced flags of a file's picture."""
    numbers, stamps, flags = [], [], set()
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            numbers.append(barcode.read(frame.to_ndarray(format="gray")))
            stamps.append(frame.pts * frame.time_base)
            flags.add(bool(frame.interlaced_frame))
    return numbers, stamps, flags


def onset(path, source, part):
    """Where `part` (samples at the source's rate) begins in the sound of a file, seconds on the file's timeline."""
    with av.open(str(path)) as container:
        frames = list(container.decode(audio=0))
        begin = frames[0].pts * frames[0].time_base
        samples = np.concatenate([frame.to_ndarray()[0] for frame in frames])
    return begin + Fraction(int(np.argmax(correlate(samples, part, "valid"))), source.rate)


def check_sound(path, source):
    words = resample_poly(render.speech()[1], source.rate, render.speech()[0])[: source.rate]
    assert abs(onset(path, source, words) - source.onset) < Fraction(1, 1000)
    assert abs(onset(path, source, render.click(source.rate)) - source.click) < Fraction(1, 1000)


@pytest.mark.parametrize("name", DIRECT)
def test_frames_stamps_and_sound_of_a_file(demo, name):
    source = BY_NAME[name]
    path = demo / "media" / f"{source.video}.mp4"
    numbers, stamps, flags = decoded(path)
    assert numbers == list(range(len(numbers)))
    assert stamps == render.stamps(source)
    assert flags == {source.interlaced}
    with av.open(str(path)) as container:
        picture = container.streams.video[0]
        assert (picture.width, picture.height) == source.size
        assert bool(container.streams.audio) == bool(source.rate)
    if source.rate:
        check_sound(path, source)


def test_stamps_of_odd_rates():
    film = render.stamps(BY_NAME["Film2997"])
    assert {late - early for early, late in zip(film, film[1:], strict=False)} == {Fraction(1001, 30000)}
    variable = render.stamps(BY_NAME["Variable"])
    steps = {late - early for early, late in zip(variable, variable[1:], strict=False)}
    assert Fraction(1, 30) in steps and max(steps) == Fraction(1, 3) and len(steps) > 3
    assert max(variable) < BY_NAME["Variable"].seconds


def test_fields_show_two_moments(demo):
    source = BY_NAME["Interlaced"]
    number = 40
    with av.open(str(demo / "media" / f"{source.video}.mp4")) as container:
        frame = next(frame for n, frame in enumerate(container.decode(video=0)) if n == number)
    luma = frame.to_ndarray()[: source.size[1]].astype(float)
    moments = [number / 25, number / 25 + 1 / 50]
    shown = [
        av.VideoFrame.from_ndarray(render.picture(source, moment), "rgb24").to_ndarray(format="yuv420p")
        for moment in moments
    ]
    first = source.size[1] // 8  # below the frame number
    off = [[np.abs(luma - picture[: len(luma)])[first + odd :: 2].mean() for picture in shown] for odd in (0, 1)]
    assert off[0][0] < 0.6 * off[0][1], f"even lines are not the earlier moment: {off}"
    assert off[1][1] < 0.6 * off[1][0], f"odd lines are not the later moment: {off}"


@pytest.mark.parametrize("name, heights", [("Even25", [360, 540]), ("Even30", [360, 540])])
def test_two_heights_with_sound_apart(download, name, heights):
    source = BY_NAME[name]
    info, path = download(name)
    apart = [form["height"] for form in info["formats"] if form["acodec"] == "none"]
    assert sorted(apart) == heights
    assert [form["vcodec"] for form in info["formats"]].count("none") == 1
    assert info["height"] == 540
    numbers, stamps, _ = decoded(path)
    assert numbers == list(range(len(numbers)))
    assert stamps == render.stamps(source)
    check_sound(path, source)


def test_the_lower_height_can_be_chosen(download):
    info, path = download("Even25", format="bv[height=360]+ba", overwrites=True)
    assert info["height"] == 360
    numbers, stamps, _ = decoded(path)
    assert numbers == list(range(len(numbers))) and stamps == render.stamps(BY_NAME["Even25"])


@pytest.mark.parametrize("name", ["Film2997", "Interlaced", "Variable", "Silent"])
def test_a_single_file_arrives_as_it_is(demo, download, name):
    info, path = download(name)
    assert info["height"] == BY_NAME[name].size[1]
    assert path.read_bytes() == (demo / "media" / f"{BY_NAME[name].video}.mp4").read_bytes()


def test_the_missing_source_is_404(download):
    import yt_dlp

    with pytest.raises(yt_dlp.utils.DownloadError, match="HTTP Error 404"):
        download("Gone")


@pytest.mark.parametrize("name", THERE)
def test_mediapipe_finds_the_promised_faces(demo, name):
    import mediapipe

    source = BY_NAME[name]
    truth = json.loads((demo / "truth.json").read_text())["sources"][source.video]["faces"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        detector = mediapipe.solutions.face_detection.FaceDetection(model_selection=1, min_detection_confidence=0.5)
        mesh = mediapipe.solutions.face_mesh.FaceMesh(refine_landmarks=True, max_num_faces=2)
        margin = np.repeat(8.0 if source.blur else 0.0, 4)
        for moment in render.stamps(source)[20:120:12]:
            picture = render.picture(source, float(moment))
            assert len(detector.process(picture).detections or []) == len(truth)
            boxes = []
            for face in mesh.process(picture).multi_face_landmarks or []:
                points = np.array([(point.x, point.y) for point in face.landmark]) * source.size
                boxes.append(np.hstack([points.min(axis=0), points.max(axis=0)]))
            assert len(boxes) == len(truth)
            for box, face in zip(sorted(boxes, key=lambda box: box[0]), truth, strict=True):
                assert (np.abs(box - face["box"]) <= np.tile(face["travel"], 2) + margin).all(), (moment, box, face)
        detector.close()
        mesh.close()


def test_the_mouth_follows_the_sound(demo):
    import mediapipe

    source = BY_NAME["Even30"]
    moments = np.array([float(stamp) for stamp in render.stamps(source)[60:150:2]])
    gaps = []
    with mediapipe.solutions.face_mesh.FaceMesh(refine_landmarks=True) as mesh:
        for moment in moments:
            points = mesh.process(render.picture(source, moment)).multi_face_landmarks[0].landmark
            gaps.append((points[14].y - points[13].y) * source.size[1])
    samples, rate = render.sound(source), source.rate
    loudness = [np.sqrt(np.mean(samples[int((m - 0.04) * rate) : int((m + 0.04) * rate)] ** 2)) for m in moments]
    assert np.corrcoef(gaps, loudness)[0, 1] > 0.8
    assert min(gaps) < 3 and max(gaps) > 20  # pixels: from shut to wide open


def test_good_faces_enlarged_by_their_ratio_fill_256_pixels():
    for source in render.SOURCES:
        for clip in source.clips:
            if clip.status == "ok":
                x0, y0, x1, y1 = render.face_box(source.tiles[0])
                assert max(x1 - x0, y1 - y0) * float(clip.ratio) >= 256


def lists(folder, kind):
    """All lines of one kind of list: (subset, words)."""
    for subset in ("RD", "WDA", "WRA"):
        text = (folder / "annotations" / f"{subset}_{kind}.txt").read_bytes().decode("utf-8-sig")
        for line in text.splitlines():
            yield subset, line.split()


def test_the_lists_have_hdtf_syntax_and_oddities(demo):
    folder = demo / "annotations"
    assert len(list(folder.iterdir())) == 15
    assert (folder / "WDA_video_url.txt").read_bytes().startswith(b"\xef\xbb\xbf")
    assert not any(path.read_bytes().startswith(b"\xef\xbb\xbf") for path in folder.glob("R*"))
    assert (folder / "WRA_crop_wh.txt").read_bytes().count(b"\r\n") == 4
    assert b" \n" in (folder / "WRA_annotion_time.txt").read_bytes()
    assert not (folder / "WRA_annotion_time.txt").read_bytes().endswith(b"\n")
    urls = {name: url for _, (name, url) in lists(demo, "video_url")}
    assert urls == {source.name: source.url for source in render.SOURCES}
    ids = [re.fullmatch(r"http://demo\.talkset\.invalid/watch\?v=([\w-]{11})(&t=6s)?", url)[1] for url in urls.values()]
    assert len({video.lower() for video in ids}) == len(ids) == 12
    assert any(video.startswith("-") for video in ids) and sum(url.endswith("&t=6s") for url in urls.values()) == 1
    times = {words[0]: words[1:] for _, words in lists(demo, "annotion_time")}
    assert times["Even25.mp4"] == ["00:01-00:05", "00:05-00:06"] and times["Gone.mp4"] == ["00:10-00:40"]
    assert sum(map(len, times.values())) == 15
    ratios = {words[0]: words[1] for _, words in lists(demo, "crop_ratio")}
    windows = {words[0] for _, words in lists(demo, "crop_wh")}
    assert windows == set(ratios) and len(windows) == 14 and "Film2997_1.mp4" not in windows
    assert set(ratios.values()) == {"1.2", "1.1"}


def test_the_windows_frame_the_face(demo):
    heights = {words[0].removesuffix(".mp4"): int(words[1]) for _, words in lists(demo, "resolution")}
    for _, (clip, *numbers) in lists(demo, "crop_wh"):
        source = BY_NAME[clip.rsplit("_", 1)[0]]
        x, width, y, height = map(int, numbers)
        scale = heights[source.name] / source.size[1]
        assert width == height and x >= 0 and y >= 0
        assert x + width <= source.size[0] * scale and y + height <= source.size[1] * scale
        if source.tiles[0].face:
            x0, y0, x1, y1 = np.array(render.face_box(source.tiles[0])) * scale
            assert x <= x0 and y <= y0 and x1 <= x + width and y1 <= y + height


def test_every_annotated_clip_has_its_expected_end(demo):
    truth = json.loads((demo / "truth.json").read_text())
    assert len(truth["clips"]) == 15
    for clip in truth["clips"].values():
        assert set(clip["status"].split("|")) <= set(STATUSES)
        assert bool(clip["reasons"]) == (clip["status"] == "rejected")
        assert clip["video"] in truth["sources"]
    assert {clip["status"] for clip in truth["clips"].values()} >= set(STATUSES) - {"needs-access", "failed"}
    for video, source in truth["sources"].items():
        assert source["there"] == (source["name"] != "Gone")
        assert source["url"].split("v=")[1].removesuffix("&t=6s") == video
        if source["there"]:
            assert [Fraction(stamp) for stamp in source["stamps"]] == render.stamps(BY_NAME[source["name"]])


def test_the_clicks_middle_is_the_promised_one(demo):
    for source in json.loads((demo / "truth.json").read_text())["sources"].values():
        for middle in source.get("clicks", []):
            samples, rate = render.sound(BY_NAME[source["name"]]), source["rate"]
            first = int((middle - 0.1) * rate)
            power = samples[first : int((middle + 0.1) * rate)].astype(float) ** 2
            centre = (first + (power * np.arange(len(power))).sum() / power.sum()) / rate
            assert abs(centre - middle) < 1e-4


@pytest.fixture
def tiny(monkeypatch):
    """A demo of one short file and one short source in two heights."""
    tile = (render.Tile((0, 0, 64, 48), scale=0.3),)
    short = dataclasses.replace(BY_NAME["Film2997"], size=(64, 48), tiles=tile, seconds=Fraction(1, 4))
    apart = dataclasses.replace(short, name="Apart", video="apart", fps=Fraction(25), heights=(24, 48))
    monkeypatch.setattr(render, "SOURCES", (short, apart))


def contents(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_rendering_twice_gives_the_same_bytes(tiny, tmp_path):
    for folder in ("a", "b"):
        render.render(tmp_path / folder)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert "media/-tSk2997fps.mp4" in contents(tmp_path / "a")


def test_a_finished_render_is_kept(tiny, tmp_path, monkeypatch):
    render.render(tmp_path)
    monkeypatch.setattr(render, "render_source", lambda *_: pytest.fail("rendered again"))
    render.render(tmp_path)


@pytest.mark.parametrize("harm", ["truth.json", "media/-tSk2997fps.mp4", "media/apart/manifest.mpd", "version"])
def test_an_unfinished_or_older_render_is_done_again(tiny, tmp_path, harm):
    render.render(tmp_path)
    before = contents(tmp_path)
    if harm == "version":
        (tmp_path / "truth.json").write_text('{"version": "0"}')
    else:
        (tmp_path / harm).unlink()
    (tmp_path / "media" / "apart" / "left-by-an-older-one.m4s").write_text("x")
    render.render(tmp_path)
    assert contents(tmp_path) == before


def test_a_render_that_breaks_leaves_no_file_that_looks_whole(tiny, tmp_path, monkeypatch):
    calls = []

    def breaks(*arguments):
        if calls:
            raise OSError("no space left on device")
        calls.append(arguments)
        return np.zeros((48, 64, 3), np.uint8)

    monkeypatch.setattr(render, "picture", breaks)
    with pytest.raises(OSError, match="no space"):
        render.render(tmp_path)
    assert contents(tmp_path) == {}
