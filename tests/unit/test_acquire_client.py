"""Downloads from a site on the loopback interface: whole files, records, and what becomes of every kind of failure."""

from __future__ import annotations

import copy
import errno
import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import yt_dlp
import yt_dlp.extractor.youtube

import download_video
from talkset import files
from talkset.acquire import client
from talkset.acquire.lane import Lane
from talkset.demo import barcode
from talkset.demo.server import HOST, Fault, serve
from talkset.faults import LaneBlocked, ToolFault

SETTINGS = {
    "interval": 0,
    "jitter": 0,
    "per_hour": 1000,
    "cooldown": 600,
    "retries": 2,
    "attempts": 3,
    "backoff": 0,
    "timeout": 5,
    "request_interval": 0,
    "rate_limit": None,
    "proxy": None,
    "cookies": None,
    "accept_failures": False,
}
ONE, TWO, LATE = "-one_video_", "two_heights", "late_video0"
MANIFEST = """<?xml version="1.0"?>
<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT2S">
<Period><AdaptationSet mimeType="video/mp4">{pictures}</AdaptationSet>
<AdaptationSet mimeType="audio/mp4" lang="en"><Representation id="sound" codecs="mp4a.40.2" bandwidth="64000">
<BaseURL>sound.m4a</BaseURL></Representation></AdaptationSet></Period></MPD>
"""
REPRESENTATION = """<Representation id="{height}" codecs="avc1.64000a" width="{width}" height="{height}" frameRate="25"
 bandwidth="{height}000"><BaseURL>{height}.mp4</BaseURL></Representation>"""


def write_picture(path, height, frames=50, first=0):
    """Numbered frames at 25 fps; `first`: stamp of the first one, in frames."""
    width = height * 4 // 3
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"bf": "0", "crf": "20"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.thread_count = 1
        for number in range(frames):
            picture = np.full((height, width, 3), 90, np.uint8)
            barcode.draw(picture, number, strip=(0, 0, 1, 0.5))
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = first + number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def write_sound(path, seconds=2):
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        for start in range(0, 16000 * seconds, 1600):
            samples = np.sin(np.arange(start, start + 1600) / 20).astype(np.float32)[None] / 4
            frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 16000, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def write_dash(folder, heights, first=0):
    folder.mkdir()
    for height in heights:
        write_picture(folder / f"{height}.mp4", height, first=first)
    write_sound(folder / "sound.m4a")
    pictures = "".join(REPRESENTATION.format(height=height, width=height * 4 // 3) for height in heights)
    (folder / "manifest.mpd").write_text(MANIFEST.format(pictures=pictures))


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    media = folder / "media"
    media.mkdir()
    write_picture(media / f"{ONE}.mp4", 96)
    write_dash(media / TWO, (48, 96))
    write_dash(media / LATE, (48,), first=10)
    return folder


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def work(tmp_path):
    return Work(tmp_path)


class Work:
    """A working folder; `fetch` downloads into it as the rule does."""

    def __init__(self, folder):
        self.folder = folder
        self.raw = folder / "raw"
        self.raw.mkdir()

    def media(self, video=ONE):
        return self.raw / f"{video}.mp4"

    def fetch(self, site_url, video=ONE, height="", url=None, **settings):
        record = self.raw / f"{video}.json"
        download_video.main(
            self.media(video),
            record,
            video=video,
            url=url or f"http://{HOST}/watch?v={video}",
            height=height,
            max_height=settings.pop("max_height", None),
            settings=SETTINGS | {"proxy": site_url} | settings,
            lane=str(self.folder / "lane"),
            version=1,
        )
        return json.loads(record.read_text())

    def names(self):
        return sorted(path.name for path in self.raw.iterdir())


def numbers(path):
    with av.open(str(path)) as container:
        return [
            barcode.read(frame.to_ndarray(format="rgb24"), strip=(0, 0, 1, 0.5)) for frame in container.decode(video=0)
        ]


def test_a_file_comes_whole_with_its_record(site, work):
    with serve(site) as url:
        record = work.fetch(url)
    assert work.media().read_bytes() == (site / "media" / f"{ONE}.mp4").read_bytes()
    assert record == {
        "video": ONE,
        "url": f"http://{HOST}/watch?v={ONE}",
        "status": "ok",
        "reason": "",
        "format_id": "96p",
        "height": 96,
        "width": 128,
        "fps": "25",
        "vcodec": "h264",
        "acodec": None,
        "bytes": work.media().stat().st_size,
        "sha256": files.sha256(work.media()),
        "tool": f"yt-dlp {yt_dlp.version.__version__}",
        "wanted_height": None,
        "note": "",
        "checked": record["checked"],
    }
    assert tuple(record) == client.RECORD and len(record["checked"]) == 10
    assert work.names() == [f"{ONE}.json", f"{ONE}.mp4"]


@pytest.mark.parametrize(
    ("height", "taken", "note"),
    [
        ("", 96, ""),
        ("48", 48, ""),
        (50, 96, "50 lines wanted, took 96, the next larger (offered: 48, 96)"),
        ("720", 96, "720 lines wanted, took 96, the largest (offered: 48, 96)"),
    ],
)
def test_two_heights_with_separate_sound(site, work, height, taken, note):
    with serve(site) as url:
        record = work.fetch(url, TWO, height)
    assert (record["height"], record["note"], record["format_id"]) == (taken, note, f"{taken}+sound")
    assert (record["vcodec"], record["acodec"]) == ("h264", "aac")
    assert numbers(work.media(TWO)) == list(range(50))
    assert work.names() == [f"{TWO}.json", f"{TWO}.mp4"]


def test_merging_keeps_the_streams_places_in_time(site, work):
    with serve(site) as url:
        work.fetch(url, LATE)
    with av.open(str(work.media(LATE))) as container:
        assert next(container.decode(video=0)).time == pytest.approx(0.4, abs=1e-3)
    with av.open(str(work.media(LATE))) as container:
        assert next(container.decode(audio=0)).time == pytest.approx(0.0, abs=1e-3)


def test_gone_leaves_an_empty_file_and_the_reason(site, work):
    with serve(site) as url:
        record = work.fetch(url, "never_there0")
    assert (record["status"], record["sha256"], record["wanted_height"]) == ("gone", None, None)
    assert "HTTP Error 404" in record["reason"] and not record["reason"].startswith("ERROR")
    assert work.media("never_there0").read_bytes() == b""
    assert tuple(record) == client.RECORD


def test_a_blocked_session_stops_the_lane_and_blames_no_video(site, work):
    log = []
    with serve(site, {ONE: Fault(status=429)}, log) as url:
        with pytest.raises(LaneBlocked, match="HTTP Error 429.*rest until"):
            work.fetch(url)
        asked = len(log)
        with pytest.raises(LaneBlocked, match="HTTP Error 429"):
            work.fetch(url, TWO)
        assert len(log) == asked
        assert work.names() == []
        marker = work.folder / "lane" / "blocked.json"
        mark = json.loads(marker.read_text())
        assert (mark["video"], mark["until"] - mark["since"]) == (ONE, 600)
        marker.write_text(json.dumps(mark | {"until": time.time() - 1}))
        assert work.fetch(url, TWO)["status"] == "ok"


@pytest.mark.parametrize(
    "fault", [Fault(status=403, where="media"), Fault(status=402), Fault(status=429, where="media")]
)
def test_refusals_are_the_session_s(site, work, fault):
    with serve(site, {ONE: fault}) as url, pytest.raises(LaneBlocked):
        work.fetch(url)
    assert work.names() == []


def test_a_site_that_is_down_for_a_moment(site, work):
    with serve(site, {ONE: Fault(status=503, times=2)}) as url:
        assert work.fetch(url)["status"] == "ok"


def test_media_that_are_down_for_a_moment(site, work):
    with serve(site, {TWO: Fault(status=503, times=2, where="media")}) as url:
        assert work.fetch(url, TWO)["status"] == "ok"


@pytest.mark.parametrize("video", [ONE, TWO])
def test_a_connection_cut_in_the_middle(site, work, video):
    with serve(site, {video: Fault(cut=True, times=2, where="media")}) as url:
        assert work.fetch(url, video)["status"] == "ok"
    assert numbers(work.media(video)) == list(range(50))


def test_a_site_that_stays_down(site, work):
    with serve(site, {ONE: Fault(status=503)}) as url:
        with pytest.raises(ToolFault, match="HTTP Error 503.*after 3 attempts.*the same command tries again"):
            work.fetch(url)
        assert work.names() == []
        record = work.fetch(url, accept_failures=True)
    assert record["status"] == "failed" and "HTTP Error 503" in record["reason"]
    assert work.media().read_bytes() == b""


def test_media_that_are_missing_do_not_make_a_video_gone(site, work):
    with serve(site, {ONE: Fault(status=404, where="media")}) as url, pytest.raises(ToolFault, match="tries again"):
        work.fetch(url)
    assert work.names() == []


def test_a_page_without_a_video_is_an_unknown_message(site, work):
    with serve(site, {ONE: Fault(status=200, page="nothing here")}) as url:
        with pytest.raises(ToolFault, match="unknown message: Unsupported URL"):
            work.fetch(url)
        assert work.fetch(url, accept_failures=True)["status"] == "failed"


def test_a_file_cut_at_its_source(work, tmp_path, site):
    (tmp_path / "media").mkdir()
    whole = (site / "media" / TWO / "sound.m4a").read_bytes()
    write_dash(tmp_path / "media" / "cut00000000", (48,))
    (tmp_path / "media" / "cut00000000" / "sound.m4a").write_bytes(whole[:2000])
    with serve(tmp_path) as url, pytest.raises(ToolFault):
        work.fetch(url, "cut00000000")
    assert work.names() == []


def write_segments(folder, file, parts=4):
    """A manifest whose one stream comes in pieces."""
    folder.mkdir(parents=True)
    content = file.read_bytes()
    size = -(-len(content) // parts)
    for part in range(parts):
        (folder / f"{part}.m4s").write_bytes(content[part * size : (part + 1) * size])
    urls = "".join(f'<SegmentURL media="{part}.m4s"/>' for part in range(1, parts))
    segments = f'<SegmentList duration="1"><Initialization sourceURL="0.m4s"/>{urls}</SegmentList>'
    picture = REPRESENTATION.format(height=96, width=128).replace("<BaseURL>96.mp4</BaseURL>", segments)
    manifest = MANIFEST.format(pictures=picture)
    sound = manifest[manifest.index('<AdaptationSet mimeType="audio') : manifest.index("</Period>")]
    (folder / "manifest.mpd").write_text(manifest.replace(sound, ""))


def test_pieces_make_the_whole(work, tmp_path, site):
    write_segments(tmp_path / "media" / "pieces00000", site / "media" / f"{ONE}.mp4")
    with serve(tmp_path) as url:
        record = work.fetch(url, "pieces00000")
    assert (record["status"], record["note"]) == ("ok", "no sound offered")
    assert numbers(work.media("pieces00000")) == list(range(50))


def test_a_missing_piece_is_not_skipped(work, tmp_path, site):
    write_segments(tmp_path / "media" / "pieces00000", site / "media" / f"{ONE}.mp4")
    (tmp_path / "media" / "pieces00000" / "2.m4s").unlink()
    with serve(tmp_path) as url, pytest.raises(ToolFault, match="HTTP Error 404.*after 3 attempts"):
        work.fetch(url, "pieces00000")
    assert work.names() == []


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "ytsearch:cats", "//x/y", "", "http://", "ftp://x/y", "http://x/a b", "http://[x/", "-f"],
)
def test_only_web_addresses_are_asked(work, url):
    record = client.download("v", url, None, work.media("v"), SETTINGS, lane_of(work))
    assert record["status"] == "failed" and "http://" in record["reason"]
    assert work.media("v").read_bytes() == b"" and not (work.folder / "lane" / "pace.json").exists()


def lane_of(work):
    return Lane(work.folder / "lane", interval=0, jitter=0, per_hour=1000, cooldown=600)


def test_a_page_with_several_videos_is_not_one(work, tmp_path):
    page = b"<html><title>x</title>" + b"".join(
        b'<video src="/media/%d.mp4" width="64" height="48"></video>' % number for number in range(3)
    )
    with listen(lambda _: (200, page)) as (url, _):
        record = work.fetch(None, url=f"{url}/list")
    assert (record["status"], record["reason"]) == ("failed", "the address leads to a list of videos, not to one")


def test_a_live_stream_is_not_fixed(work):
    manifest = MANIFEST.replace("static", "dynamic").format(pictures=REPRESENTATION.format(height=48, width=64))
    with listen(lambda _: (200, manifest.encode())) as (url, _):
        record = work.fetch(None, url=f"{url}/live.mpd")
    assert record["status"] == "failed" and "live stream" in record["reason"]


class listen:
    """A web server that answers each path by a function: status and body; keeps the requests' headers."""

    def __init__(self, answer):
        self.seen = seen = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                seen.append((self.path, dict(self.headers)))
                status, body = answer(self.path)
                self.send_response(status)
                self.send_header("Content-Type", "text/html")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body)

            do_HEAD = do_GET

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return f"http://127.0.0.1:{self.server.server_port}", self.seen

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


COOKIES = "# Netscape HTTP Cookie File\n\n#HttpOnly_127.0.0.1\tFALSE\t/\tFALSE\t0\tSID\tvery-secret-cookie\n"


def test_cookies_are_sent_and_kept_secret(work, capfd):
    cookies = work.folder / "my cookies.txt"
    cookies.write_text(COOKIES)
    before = cookies.stat()
    with listen(lambda _: (404, b"very-secret-cookie is not here")) as (url, seen):
        record = work.fetch(None, url=f"{url}/watch?v=1", cookies=str(cookies))
    assert record["status"] == "gone"
    assert any(headers.get("Cookie") == "SID=very-secret-cookie" for _, headers in seen)
    assert (cookies.read_text(), cookies.stat().st_mtime_ns) == (COOKIES, before.st_mtime_ns)
    assert "very-secret" not in json.dumps(record) + "".join(capfd.readouterr())
    assert not any("very-secret" in path.read_text(errors="ignore") for path in work.raw.iterdir())


@pytest.mark.parametrize(
    ("text", "match"),
    [(None, "cannot be read"), ("SID very-secret-cookie\n", "line 1"), ('[{"value": "very-secret-cookie"}]', "line 1")],
)
def test_a_cookie_file_that_is_of_no_use(work, capfd, text, match):
    cookies = work.folder / "cookies.txt"
    if text:
        cookies.write_text(text)
    with pytest.raises(ToolFault, match=match) as caught:
        work.fetch(None, cookies=str(cookies))
    assert "very-secret" not in str(caught.value) + "".join(capfd.readouterr())
    assert work.names() == []


def test_a_proxy_with_a_password_comes_from_the_environment_and_stays_secret(site, work, capfd, monkeypatch):
    with serve(site) as url:
        monkeypatch.setenv("http_proxy", url.replace("://", "://me:hunter2secret@"))
        record = work.fetch(None)
        gone = work.fetch(None, "never_there0")
    assert (record["status"], gone["status"]) == ("ok", "gone")
    with pytest.raises(ToolFault) as caught:  # nobody listens there any more
        work.fetch(None, TWO)
    shown = "".join(traceback.format_exception(caught.value)) + json.dumps([record, gone]) + "".join(capfd.readouterr())
    assert "hunter2" not in shown and "me:" not in shown


def test_a_proxy_with_a_password_does_not_belong_in_the_configuration(work, capfd):
    with pytest.raises(ToolFault, match="http_proxy") as caught:
        work.fetch("http://me:hunter2@127.0.0.1:1")
    assert "hunter2" not in str(caught.value) + "".join(capfd.readouterr())


def test_passwords_in_a_list_s_address_reach_no_record(site, work, capfd):
    with serve(site) as url:
        record = work.fetch(url, "never_there0", url=f"http://me:hunter2@{HOST}/watch?v=never_there0&token=abc123def")
    assert record["status"] == "gone"
    assert not any(secret in json.dumps(record) + "".join(capfd.readouterr()) for secret in ("hunter2", "abc123def"))


JOB = """
import sys
sys.path.insert(0, sys.argv[1])
import json, download_video
from pathlib import Path
arguments = json.loads(sys.argv[2])
download_video.main(Path(arguments.pop("media")), Path(arguments.pop("record")), **arguments)
"""


def test_killed_in_the_middle_and_run_again(site, work):
    with serve(site) as url:
        arguments = {
            "media": str(work.media(TWO)),
            "record": str(work.raw / f"{TWO}.json"),
            "video": TWO,
            "url": f"http://{HOST}/watch?v={TWO}",
            "height": 96,
            "max_height": None,
            "settings": SETTINGS | {"proxy": url, "rate_limit": 2000},
            "lane": str(work.folder / "lane"),
            "version": 1,
        }
        scripts = str(Path(download_video.__file__).parent)
        command = [sys.executable, "-c", JOB, scripts, json.dumps(arguments)]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as job:
            try:
                deadline = time.monotonic() + 60
                while not list(work.raw.glob(".*.download/*.part")):
                    assert job.poll() is None and time.monotonic() < deadline
                    time.sleep(0.02)
            finally:
                job.send_signal(signal.SIGKILL)
        assert not work.media(TWO).exists() and (work.raw / f".{TWO}.download").is_dir()
        assert work.fetch(url, TWO)["status"] == "ok"
    assert numbers(work.media(TWO)) == list(range(50))
    assert work.names() == [f"{TWO}.json", f"{TWO}.mp4"]


@pytest.mark.parametrize("where", ["network", "file"])
def test_a_full_disk_is_a_tool_s_fault(site, work, monkeypatch, where):
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def fail(self, *_):
        if where == "network":
            raise full
        self.report_error(f"unable to write data: {full}")

    monkeypatch.setattr(yt_dlp.downloader.http.HttpFD, "real_download", fail)
    with serve(site) as url, pytest.raises(ToolFault, match="the disk is full.*make room"):
        work.fetch(url)
    assert work.names() == []


def test_a_defect_is_told_without_secrets(site, work, monkeypatch, capfd):
    def fail(*_):
        raise KeyError("http://me:hunter2@x/")

    monkeypatch.setattr(yt_dlp.downloader.http.HttpFD, "real_download", fail)
    with serve(site) as url, pytest.raises(ToolFault, match="broke off with KeyError") as caught:
        work.fetch(url)
    text = "".join(traceback.format_exception(caught.value)) + "".join(capfd.readouterr())
    assert "real_download" in text and "hunter2" not in text


@pytest.fixture
def youtube(site, monkeypatch):
    """yt-dlp's YouTube extractor, answered by the test: formats, messages; media come from the loopback site."""

    def answer(formats, warnings=(), error=None, **info):
        def extract(self, url):
            for text in warnings:
                self.report_warning(text)
            if error:
                raise yt_dlp.utils.ExtractorError(error, expected=True, video_id="-aB3dE5gH7i")
            return {"id": "-aB3dE5gH7i", "title": "x", "duration": 2, "formats": copy.deepcopy(formats), **info}

        monkeypatch.setattr(REAL_YOUTUBE, "_real_initialize", lambda self: None)
        monkeypatch.setattr(REAL_YOUTUBE, "_real_extract", extract)

    return answer


REAL_YOUTUBE = yt_dlp.extractor.youtube.YoutubeIE
YOUTUBE = "https://www.youtube.com/watch?v=-aB3dE5gH7i"


def stream(format_id, file, height=None, **more):
    given = {
        "format_id": format_id,
        "url": f"http://{HOST}/media/{TWO}/{file}",
        "ext": "mp4" if height else "m4a",
        "protocol": "https",
        "vcodec": "avc1.64000a" if height else "none",
        "acodec": "none" if height else "mp4a.40.2",
        "height": height,
        "fps": 25 if height else None,
        "tbr": 100,
    }
    return given | more


STREAMS = [
    stream("160", "48.mp4", 48),
    stream("133", "96.mp4", 96),
    stream("399-sr", "96.mp4", 1080, format_note="1080p, AI-upscaled"),
    stream("140-0", "sound.m4a", language="en", language_preference=10, format_note="English original"),
    stream("140-1", "gone.m4a", language="es", language_preference=-1, format_note="Spanish dubbed-auto", tbr=300),
    {"format_id": "sb0", "url": "http://x/y", "ext": "mhtml", "protocol": "mhtml", "vcodec": "none", "acodec": "none"},
]
SABR = "Some tv client https formats have been skipped as they are missing a URL. YouTube may have enabled SABR"


def test_youtube_s_real_streams(site, work, youtube):
    youtube(STREAMS)
    with serve(site) as url:
        record = work.fetch(url, "-aB3dE5gH7i", url=YOUTUBE)
    assert (record["status"], record["format_id"], record["height"], record["note"]) == ("ok", "133+140-0", 96, "")


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("Video unavailable. This video has been removed by the uploader", "gone"),
        ("Private video. Sign in if you\u2019ve been granted access to this video", "gone"),
        ("Sign in to confirm your age. This video may be inappropriate for some users.", "needs-access"),
        ("Incomplete YouTube ID dQw4. URL https://www.youtube.com/watch?v=dQw4 looks truncated.", "failed"),
    ],
)
def test_youtube_s_verdicts_become_records(work, youtube, text, status):
    youtube([], error=text)
    record = work.fetch(None, url=YOUTUBE)
    assert (record["status"], record["reason"]) == (status, text)
    assert work.media().read_bytes() == b""


@pytest.mark.parametrize(
    "text",
    [
        "Sign in to confirm you\u2019re not a bot. Use --cookies",
        "Video unavailable. This content isn't available, try again later. The current session has been rate-limited",
    ],
)
def test_youtube_s_refusals_block(work, youtube, text):
    youtube([], error=text)
    with pytest.raises(LaneBlocked):
        work.fetch(None, url=YOUTUBE)
    assert work.names() == []


@pytest.mark.parametrize(
    ("warning", "fault"),
    [
        ("The provided YouTube account cookies are no longer valid. They have likely been rotated", LaneBlocked),
        ("[youtube] x: n challenge solving failed: Some formats may be missing.", ToolFault),
    ],
)
def test_warnings_that_spoil_what_was_offered(site, work, youtube, warning, fault):
    youtube(STREAMS, warnings=[warning])
    with serve(site) as url, pytest.raises(fault):
        work.fetch(url, url=YOUTUBE)
    assert work.names() == []


def test_withheld_streams_matter_only_where_something_lacks(site, work, youtube):
    youtube(STREAMS, warnings=[SABR])
    with serve(site) as url:
        record = work.fetch(url, url=YOUTUBE, height=48)
        assert record["status"] == "ok" and "missing a URL" in record["note"]
        with pytest.raises(ToolFault, match="missing a URL.*96 lines.*PO token"):
            work.fetch(url, TWO, url=YOUTUBE, height=720)
    assert not work.media(TWO).exists()


@pytest.mark.parametrize("stated", [1, 2, 3])
def test_a_stated_length_is_rounded(site, work, youtube, stated):
    youtube(STREAMS, duration=stated)
    with serve(site) as url:
        assert work.fetch(url, url=YOUTUBE)["status"] == "ok"


def test_a_file_shorter_than_the_site_says(site, work, youtube):
    youtube(STREAMS, duration=8)
    with serve(site) as url, pytest.raises(ToolFault, match=r"not whole: 2.\d s of the 8.0 s that the site states"):
        work.fetch(url, url=YOUTUBE)
    assert work.names() == []


@pytest.mark.parametrize("error", ["Failed to extract any player response", "Requested format is not available"])
def test_a_refusal_that_is_but_a_warning(work, youtube, error):
    youtube([], warnings=["Unable to download API page: HTTP Error 429: Too Many Requests"], error=error)
    with pytest.raises(LaneBlocked, match=f"{error}.*HTTP Error 429"):
        work.fetch(None, url=YOUTUBE)


def test_only_storyboards_is_no_verdict_on_a_video(work, youtube):
    youtube(STREAMS[-1:])
    with pytest.raises(ToolFault, match="no stream with a usable picture"):
        work.fetch(None, url=YOUTUBE)
    assert work.names() == []


def test_youtube_needs_a_runtime_and_other_sites_do_not(site, work, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(work.folder / "bin" / "python"))
    monkeypatch.setenv("PATH", str(work.folder))
    with pytest.raises(ToolFault, match="JavaScript runtime.*pip install"):
        work.fetch(None, url=YOUTUBE)
    assert not (work.folder / "lane" / "pace.json").exists()
    with serve(site) as url:
        assert work.fetch(url)["status"] == "ok"


def test_youtube_needs_the_solver_scripts(work, monkeypatch):
    monkeypatch.setitem(sys.modules, "yt_dlp_ejs", None)
    with pytest.raises(ToolFault, match="yt-dlp-ejs"):
        work.fetch(None, url=YOUTUBE)


def test_two_jobs_keep_the_pace_together(site, work):
    videos = (ONE, TWO, LATE)
    with serve(site) as url:
        jobs = [
            threading.Thread(target=work.fetch, args=(url, video), kwargs={"interval": 0.4, "jitter": 0.1})
            for video in videos
        ]
        for job in jobs:
            job.start()
        for job in jobs:
            job.join()
    begun = sorted(json.loads((work.folder / "lane" / "pace.json").read_text())["begun"])
    assert len(begun) == 3 and all(after - before >= 0.4 for before, after in zip(begun, begun[1:], strict=False))
    assert all(json.loads((work.raw / f"{video}.json").read_text())["status"] == "ok" for video in videos)


def test_progress_is_told_now_and_then(capsys, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(client.time, "monotonic", lambda: now[0])
    tell = client._Progress("v")
    for second in range(25):
        now[0] = 100.0 + second
        state = {"downloaded_bytes": second * 1e6, "total_bytes": 40e6, "speed": 1e6, "eta": 40 - second}
        tell({"status": "downloading", **state})
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["v: 25 % of 40 MB, 1.0 MB/s, 30 s left", "v: 50 % of 40 MB, 1.0 MB/s, 20 s left"]
