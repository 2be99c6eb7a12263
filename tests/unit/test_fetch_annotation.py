"""Fetching a pinned file, against a server on the loopback."""

from __future__ import annotations

import hashlib
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import fetch_annotation
from talkset import tables
from talkset.acquire import http
from talkset.faults import ToolFault

CONTENT = b"Radio1.mp4 00:20-01:35\n" * 9000
PINNED = hashlib.sha256(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Answers with the server's `answers`, one status a request; 0: half the body, then the end."""

    def do_GET(self):
        status = self.server.answers.pop(0)
        self.server.asked += 1
        self.send_response(status or 200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT if status else CONTENT[: len(CONTENT) // 2])

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(http, "PAUSES", (0.0, 0.0))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.answers, running.asked = [], 0
        running.url = f"http://127.0.0.1:{running.server_port}/RD_annotion_time.txt"
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def fetch(folder, url, sha256=PINNED):
    path = folder / "d" / "RD_annotion_time.txt"
    lock = str(folder / "annotations.lock.tsv")
    fetch_annotation.main(path, dataset="d", url=url, sha256=sha256, lock=lock, version=1)
    return path.read_bytes()


def lock(folder):
    return list(tables.rows(folder / "annotations.lock.tsv"))


def left(folder):
    """The files of a fetch that failed; no empty folders."""
    return [path for path in folder.rglob("*") if path.is_file()]


def test_pinned_bytes_are_written(server, tmp_path):
    server.answers = [200]
    assert fetch(tmp_path, server.url) == CONTENT
    assert [path.name for path in (tmp_path / "d").iterdir()] == ["RD_annotion_time.txt"]
    (row,) = lock(tmp_path)
    assert row == {
        "dataset": "d",
        "file": "RD_annotion_time.txt",
        "size": str(len(CONTENT)),
        "sha256": PINNED,
        "url": server.url,
        "fetched": row["fetched"],
    }


def test_what_is_not_pinned_is_fixed_by_the_first_fetch(server, tmp_path):
    server.answers = [200, 200, 200, 200]
    assert fetch(tmp_path, server.url, None) == CONTENT
    first = lock(tmp_path)
    assert fetch(tmp_path, server.url, None) == CONTENT and lock(tmp_path) == first
    tables.write(tmp_path / "annotations.lock.tsv", first[0], [first[0] | {"sha256": "0" * 64}])
    with pytest.raises(ToolFault, match="first fetch") as fault:
        fetch(tmp_path, server.url, None)
    assert all(part in str(fault.value) for part in (server.url, PINNED, "0" * 64, "annotations.lock.tsv"))
    assert fetch(tmp_path, server.url) == CONTENT, "a pin goes before the first fetch"


def test_another_address_and_another_file_have_a_first_fetch_of_their_own(server, tmp_path):
    server.answers = [200, 200]
    others = [
        {
            "dataset": "d",
            "file": "other.txt",
            "size": 1,
            "sha256": "0" * 64,
            "url": server.url,
            "fetched": "2026-01-31",
        },
        {"dataset": "e", "file": "RD_annotion_time.txt", "size": 1, "sha256": "0" * 64, "url": server.url},
        {"dataset": "d", "file": "RD_annotion_time.txt", "size": 1, "sha256": "0" * 64, "url": "https://a.org/old"},
    ]
    tables.write(tmp_path / "annotations.lock.tsv", others[0], others)
    assert fetch(tmp_path, server.url, None) == CONTENT
    assert [(row["dataset"], row["file"], row["sha256"]) for row in lock(tmp_path)] == [
        ("d", "RD_annotion_time.txt", PINNED),
        ("d", "other.txt", "0" * 64),
        ("e", "RD_annotion_time.txt", "0" * 64),
    ]


def test_other_bytes_are_refused_with_both_hashes(server, tmp_path):
    server.answers = [200]
    with pytest.raises(ToolFault) as fault:
        fetch(tmp_path, server.url, "0" * 64)
    assert all(part in str(fault.value) for part in (server.url, PINNED, "0" * 64))
    assert server.asked == 1 and left(tmp_path) == []


def test_missing_file_is_not_asked_for_again(server, tmp_path):
    server.answers = [404]
    with pytest.raises(ToolFault, match="404") as fault:
        fetch(tmp_path, server.url)
    assert server.url in str(fault.value) and server.asked == 1 and left(tmp_path) == []


@pytest.mark.parametrize("first", [503, 429, 0], ids=["overloaded", "too many requests", "cut off"])
def test_passing_trouble_is_overcome(server, tmp_path, first, capfd):
    server.answers = [first, first, 200]
    assert fetch(tmp_path, server.url) == CONTENT
    assert server.asked == 3
    assert "again in" in capfd.readouterr().err


def test_lasting_trouble_ends(server, tmp_path):
    server.answers = [0, 0, 0]
    with pytest.raises(ToolFault, match=f"ended after {len(CONTENT) // 2} of {len(CONTENT)} bytes"):
        fetch(tmp_path, server.url)
    assert server.asked == 3 and left(tmp_path) == []


def test_refused_connection_is_named(server, tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/x.txt"
        with pytest.raises(ToolFault, match="refused") as fault:
            fetch(tmp_path, url)
    assert url in str(fault.value) and left(tmp_path) == []


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://a.org/x", "RD_video_url.txt"])
def test_address_of_another_kind_is_refused(tmp_path, url):
    with pytest.raises(ToolFault, match="https://"):
        fetch(tmp_path, url)


def test_fault_of_our_own_disk_is_not_blamed_on_the_network(server, tmp_path, monkeypatch):
    def full(path, mode):
        return open("/dev/full", mode)

    server.answers = [200]
    monkeypatch.setattr(http, "open", full, raising=False)
    with pytest.raises(ToolFault, match="the disk of .* is full"):
        fetch(tmp_path, server.url)
    assert server.asked == 1
