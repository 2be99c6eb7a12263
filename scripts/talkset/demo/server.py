"""A video site on the loopback interface: what yt-dlp asks when the demo or a test downloads.

`/watch?v=ID` is a page with a `<video>` element; its media lie under `/media/`. The lists name the site by a host that
never resolves (`HOST`), so that they do not depend on a port: whoever downloads sets this server as its HTTP proxy.
"""

from __future__ import annotations

import contextlib
import html
import http.server
import re
import threading
import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from talkset import names

HOST = "demo.talkset.invalid"
TYPES = {
    ".mp4": "video/mp4",
    ".mkv": "video/x-matroska",
    ".webm": "video/webm",
    ".m4s": "video/iso.segment",
    ".mpd": "application/dash+xml",
}
BLOCK = 1 << 16


@dataclass(frozen=True)
class Fault:
    """What goes wrong when one video is asked for; give a status, a cut or both.

    Args:
        status: answer with this status instead of the content (503, 429, 403, ...).
        page: text of the HTML page that is sent with `status`; `status=200` makes it a page without any video.
        cut: promise the whole length, send half of the bytes and close the connection.
        times: how many requests it happens to before all is well; `None` = always.
        where: `watch` (the page) or `media` (manifest, segments, files).
    """

    status: int | None = None
    page: str = ""
    cut: bool = False
    times: int | None = None
    where: str = "watch"


@contextlib.contextmanager
def serve(folder: str | Path, faults: Mapping[str, Fault] | None = None, log: list[str] | None = None) -> Iterator[str]:
    """Serve `folder/media` while the block runs; give the server's URL, `http://127.0.0.1:<free port>`.

    A video `ID` is either one file `media/ID.<mp4, mkv or webm>`, offered with its height, or several heights with
    separate picture and sound as `media/ID/manifest.mpd` and its segments. Every other id is answered with 404. The
    same requests are answered in absolute form (`GET http://demo.talkset.invalid/watch?v=ID`), as a proxy gets them;
    other hosts get 403.

    Args:
        faults: by video id, see `Fault`.
        log: takes one line for each request: method, path with query, status.
    """
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    server.media = Path(folder) / "media"
    server.faults = dict(faults or {})
    server.met = dict.fromkeys(server.faults, 0)
    server.lock = threading.Lock()
    server.log = log if log is not None else []
    server.handle_error = lambda *_: None  # a client that hangs up is no news
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        target = urllib.parse.urlsplit(self.path)
        if target.hostname not in (None, HOST, "127.0.0.1", "localhost"):
            return self._page(403, f"this server only knows {HOST}")
        path = urllib.parse.unquote(target.path)
        if path == "/watch":
            video = urllib.parse.parse_qs(target.query).get("v", [""])[0]
            fault = self._fault(video, "watch")
            page = None if fault and fault.status else self._watch(video)
            return self._answer(fault, page and page.encode(), "text/html; charset=utf-8")
        parts = path.split("/")[1:]
        known = parts[0] == "media" and 2 <= len(parts) <= 3 and all(re.fullmatch(names.SAFE, part) for part in parts)
        file = self.server.media.joinpath(*parts[1:]) if known else None
        if not file or not file.is_file():
            return self._page(404, "no such file")
        fault = self._fault(parts[1] if len(parts) == 3 else file.stem, "media")
        return self._answer(fault, file, TYPES.get(file.suffix, "application/octet-stream"))

    do_HEAD = do_GET

    def _watch(self, video: str) -> str | None:
        """The page of one video, or `None` if the site does not have it."""
        media = self.server.media
        if not re.fullmatch(names.SAFE, video):
            return None
        if (media / video / "manifest.mpd").is_file():
            source = f'<source src="/media/{video}/manifest.mpd" type="application/dash+xml">'
        else:
            files = [media / f"{video}{ending}" for ending in (".mp4", ".mkv", ".webm")]
            file = next((file for file in files if file.is_file()), None)
            if file is None:
                return None
            width, height = _size(file)
            source = (
                f'<source src="/media/{file.name}" type="{TYPES[file.suffix]}"'
                f' width="{width}" height="{height}" label="{height}p">'
            )
        return f"<!doctype html><title>{html.escape(video)}</title><video controls>{source}</video>\n"

    def _fault(self, video: str, where: str) -> Fault | None:
        """The fault that this request meets, counted."""
        fault = self.server.faults.get(video)
        if fault is None or fault.where != where:
            return None
        with self.server.lock:
            self.server.met[video] += 1
            return fault if fault.times is None or self.server.met[video] <= fault.times else None

    def _answer(self, fault: Fault | None, content: Path | bytes | None, kind: str) -> None:
        if fault and fault.status:
            return self._page(fault.status, fault.page)
        if content is None:
            return self._page(404, "no such video")
        size = len(content) if isinstance(content, bytes) else content.stat().st_size
        span = _range(self.headers.get("Range"), size)
        if span is None:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{size}")
            self.send_header("Content-Length", "0")
            return self.end_headers()
        first, last = span
        partial = (first, last) != (0, size - 1)
        self.send_response(206 if partial else 200)
        self.send_header("Content-Type", kind)
        self.send_header("Accept-Ranges", "bytes")
        if partial:
            self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
        self.send_header("Content-Length", str(last + 1 - first))
        self.end_headers()
        if self.command == "HEAD":
            return None
        left = last + 1 - first
        if fault and fault.cut:
            left //= 2
            self.close_connection = True
        if isinstance(content, bytes):
            self.wfile.write(content[first : first + left])
            return None
        with open(content, "rb") as handle:
            handle.seek(first)
            while left > 0 and (block := handle.read(min(BLOCK, left))):
                self.wfile.write(block)
                left -= len(block)
        return None

    def _page(self, status: int, text: str) -> None:
        body = f"<!doctype html><title>{status}</title><p>{html.escape(text)}</p>\n".encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_request(self, code="-", size="-") -> None:
        self.server.log.append(f"{self.command} {self.path} {int(code)}")

    def log_message(self, *_) -> None:
        pass


def _range(header: str | None, size: int) -> tuple[int, int] | None:
    """First and last byte asked for: all without a (usable) header, `None` where the file has none of them."""
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", header or "")
    if not match or not any(match.groups()):
        return 0, size - 1
    first, last = match.groups()
    if not first:
        return max(0, size - int(last)), size - 1
    span = int(first), min(int(last or size - 1), size - 1)
    return span if span[0] <= span[1] else None


def _size(file: Path) -> tuple[int, int]:
    import av

    with av.open(str(file)) as container:
        picture = container.streams.video[0]
        return picture.width, picture.height
