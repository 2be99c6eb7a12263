"""The demo's video site: content, byte ranges, proxy requests, and faults that come exactly as often as told."""

from __future__ import annotations

import http.client
from urllib.parse import urlsplit

import av
import numpy as np
import pytest

from talkset.demo.server import HOST, Fault, serve

VIDEO = "-abcdefghij"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    (folder / "media").mkdir()
    with av.open(str(folder / "media" / f"{VIDEO}.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for shade in (0, 80, 160):
            picture = np.full((48, 64, 3), shade, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    (folder / "truth.json").write_text("not to be served")
    return folder


def ask(url, target, method="GET", **headers):
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=5)
    try:
        connection.request(method, target, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def test_a_page_names_the_media_and_its_height(site):
    content = (site / "media" / f"{VIDEO}.mp4").read_bytes()
    with serve(site) as url:
        status, _, page = ask(url, f"/watch?v={VIDEO}&t=6s")
        assert status == 200
        assert f'src="/media/{VIDEO}.mp4"'.encode() in page and b'height="48"' in page
        status, headers, body = ask(url, f"/media/{VIDEO}.mp4")
    assert (status, headers["Content-Type"], body) == (200, "video/mp4", content)


def test_a_manifest_takes_the_place_of_a_file(site, tmp_path):
    folder = tmp_path / "media" / "twoheights0"
    folder.mkdir(parents=True)
    (folder / "manifest.mpd").write_text("<MPD/>")
    with serve(tmp_path) as url:
        assert b"/media/twoheights0/manifest.mpd" in ask(url, "/watch?v=twoheights0")[2]
        status, headers, body = ask(url, "/media/twoheights0/manifest.mpd")
    assert (status, headers["Content-Type"], body) == (200, "application/dash+xml", b"<MPD/>")


@pytest.mark.parametrize(
    "target",
    [
        "/watch?v=unknown0000",
        "/watch",
        "/watch?v=../truth",
        "/media/unknown0000.mp4",
        "/media/../truth.json",
        "/media/%2e%2e/truth.json",
        "/truth.json",
        "/media",
        "/",
    ],
)
def test_everything_else_is_404(site, target):
    with serve(site) as url:
        assert ask(url, target)[0] == 404


@pytest.mark.parametrize(
    "asked, first, last", [("0-9", 0, 9), ("10-", 10, None), ("-7", -7, None), ("5-99999999", 5, None)]
)
def test_byte_ranges(site, asked, first, last):
    content = (site / "media" / f"{VIDEO}.mp4").read_bytes()
    with serve(site) as url:
        status, headers, body = ask(url, f"/media/{VIDEO}.mp4", Range=f"bytes={asked}")
    expected = content[first : last + 1 if last else None]
    assert (status, body) == (206, expected)
    begin = first % len(content)
    assert headers["Content-Range"] == f"bytes {begin}-{begin + len(expected) - 1}/{len(content)}"


def test_a_range_past_the_end_is_416(site):
    with serve(site) as url:
        assert ask(url, f"/media/{VIDEO}.mp4", Range="bytes=99999999-")[0] == 416


def test_head_sends_no_body(site):
    with serve(site) as url:
        status, headers, body = ask(url, f"/media/{VIDEO}.mp4", method="HEAD")
    assert (status, body) == (200, b"")
    assert int(headers["Content-Length"]) == (site / "media" / f"{VIDEO}.mp4").stat().st_size


def test_it_is_a_proxy_for_its_own_host_only(site):
    with serve(site) as url:
        assert ask(url, f"http://{HOST}/watch?v={VIDEO}")[0] == 200
        assert ask(url, f"http://{HOST}/watch?v=unknown0000")[0] == 404
        assert ask(url, f"http://example.org/watch?v={VIDEO}")[0] == 403


def test_a_status_for_the_first_requests(site):
    log = []
    with serve(site, {VIDEO: Fault(503, times=2)}, log) as url:
        assert [ask(url, f"/watch?v={VIDEO}")[0] for _ in range(4)] == [503, 503, 200, 200]
        assert ask(url, f"/media/{VIDEO}.mp4")[0] == 200
    assert log[0] == f"GET /watch?v={VIDEO} 503" and len(log) == 5


def test_a_status_for_ever_with_its_text(site):
    with serve(site, {VIDEO: Fault(429, page="slow <down>", where="media")}) as url:
        assert ask(url, f"/watch?v={VIDEO}")[0] == 200
        answers = [ask(url, f"/media/{VIDEO}.mp4") for _ in range(3)]
    assert [status for status, _, _ in answers] == [429] * 3
    assert b"slow &lt;down&gt;" in answers[0][2]


def test_a_fault_for_an_id_that_the_site_does_not_have(site):
    with serve(site, {"removed0000": Fault(200, page="This video has been removed")}) as url:
        status, _, page = ask(url, "/watch?v=removed0000")
    assert status == 200 and b"has been removed" in page and b"<video" not in page


def test_a_cut_connection(site):
    content = (site / "media" / f"{VIDEO}.mp4").read_bytes()
    with serve(site, {VIDEO: Fault(cut=True, times=1, where="media")}) as url:
        with pytest.raises(http.client.IncompleteRead) as caught:
            ask(url, f"/media/{VIDEO}.mp4")
        assert caught.value.partial == content[: len(content) // 2]
        assert ask(url, f"/media/{VIDEO}.mp4")[2] == content


def test_it_says_nothing_and_ends(site, capfd):
    with serve(site, {VIDEO: Fault(cut=True, where="media")}) as url:
        ask(url, "/watch?v=unknown0000")
        with pytest.raises(http.client.IncompleteRead):
            ask(url, f"/media/{VIDEO}.mp4")
    assert capfd.readouterr() == ("", "")
    with pytest.raises(ConnectionRefusedError):
        ask(url, "/")
