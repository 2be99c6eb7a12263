"""Fetching a model from a hub and an address on the loopback: whole, verified, going on where it stopped."""

from __future__ import annotations

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import fetch_model
from talkset import models, tables
from talkset.acquire import http
from talkset.faults import ToolFault

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CONFIG = b'{"model_type": "tiny"}\n'
WEIGHTS = bytes(range(256)) * 4096  # 1 MiB
TOKEN = "hf_secret"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class Hub(BaseHTTPRequestHandler):
    """Answers like the hub: the commit in a header, big files forwarded to a second host (another port).

    The server's settings: `files` by path inside the repository, `commit`, `status` (instead of any content), `cut` (so
    many bytes of a file, then the end; once), `ranges` (whether parts can be asked for), `tag` (of the content), `cdn`
    (address of the second host), `linked` (hash that the hub claims of what lies there), `lengths` (whether answers
    tell how long they are). `asked` takes method, path and headers of every request.
    """

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        server = self.server
        server.asked.append((self.command, self.path, dict(self.headers)))
        if server.status:
            return self.answer(server.status, {}, b"no")
        path = self.path.split("?")[0]
        said = {}
        if path.startswith("/lab/net/resolve/"):
            revision, _, file = path.removeprefix("/lab/net/resolve/").partition("/")
            if revision not in ("main", server.commit):
                return self.answer(404, {}, b"no such revision")
            said = {"X-Repo-Commit": server.commit}
        else:
            file = path.lstrip("/")
        if file not in server.files:
            return self.answer(404, said, b"no such file")
        content = server.files[file]
        if said and server.cdn and file.endswith(".bin"):
            said |= {"X-Linked-Etag": f'"{server.linked or sha256(content)}"', "Location": f"{server.cdn}/{file}"}
            return self.answer(302, said, b"")
        first = 0
        wanted = self.headers.get("Range")
        if wanted and server.ranges and self.headers.get("If-Range") == server.tag:
            first = int(wanted.removeprefix("bytes=").rstrip("-"))
            if first >= len(content):
                return self.answer(416, {"Content-Range": f"bytes */{len(content)}"}, b"")
            said |= {"Content-Range": f"bytes {first}-{len(content) - 1}/{len(content)}"}
        if server.tag:
            said |= {"ETag": server.tag}
        return self.answer(206 if first else 200, said, content[first:])

    do_HEAD = do_GET

    def answer(self, status, headers, content):
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        if self.server.lengths:
            self.send_header("Content-Length", str(len(content)))
        self.close_connection |= not self.server.lengths
        self.end_headers()
        if self.command == "HEAD":
            return
        if self.server.cut and len(content) > self.server.cut:
            content, self.server.cut = content[: self.server.cut], 0
            self.close_connection = True
        self.wfile.write(content)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def hub(monkeypatch):
    """The hub; its second host as `hub.second`."""
    monkeypatch.setattr(http, "PAUSES", (0.0, 0.0))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    running = []
    for _ in range(2):
        server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
        server.daemon_threads = True
        server.url = f"http://127.0.0.1:{server.server_port}"
        server.files = {"config.json": CONFIG, "model.bin": WEIGHTS}
        server.commit, server.status, server.cut, server.ranges, server.tag = COMMIT, 0, 0, True, '"one"'
        server.cdn, server.linked, server.lengths, server.asked = "", "", True, []
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        running.append(server)
    hub, hub.second = running
    monkeypatch.setenv("HF_ENDPOINT", hub.url + "/")
    yield hub
    for server in running:
        server.shutdown()
        server.server_close()


def fetch(
    folder: Path, *, revision=COMMIT, url=None, pinned=None, subfolder="", names=("config.json", "model.bin")
) -> Path:
    """Fetch the model `net` into a working folder; the folder with its files."""
    place = folder / "resources" / "models" / "net"
    fetch_model.main(
        [place / name for name in names],
        place / "talkset.json",
        model="net",
        source={"repo": None if url else "lab/net", "revision": revision, "subfolder": subfolder, "url": url},
        pinned={name: {"sha256": None, "size": None} | (pinned or {}).get(name, {}) for name in names},
        lock=str(folder / "resources" / "models" / "lock.tsv"),
        version=1,
    )
    return place


def lock(folder: Path) -> list[dict]:
    return list(tables.rows(folder / "resources" / "models" / "lock.tsv"))


def test_files_record_and_lock_are_written(hub, tmp_path):
    pinned = {"model.bin": {"sha256": sha256(WEIGHTS), "size": len(WEIGHTS)}}
    place = fetch(tmp_path, pinned=pinned)
    assert sorted(path.name for path in place.iterdir()) == ["config.json", "model.bin", "talkset.json"]
    assert (place / "config.json").read_bytes() == CONFIG and (place / "model.bin").read_bytes() == WEIGHTS
    assert json.loads((place / "talkset.json").read_text()) == {
        "id": "lab/net",
        "revision": COMMIT,
        "weights": "published",
        "files": {"config.json": sha256(CONFIG), "model.bin": sha256(WEIGHTS)},
    }
    rows = lock(tmp_path)
    assert [(row["model"], row["file"], row["size"], row["sha256"], row["revision"]) for row in rows] == [
        ("net", "config.json", str(len(CONFIG)), sha256(CONFIG), COMMIT),
        ("net", "model.bin", str(len(WEIGHTS)), sha256(WEIGHTS), COMMIT),
    ]
    assert [path for _, path, _ in hub.asked] == [
        f"/lab/net/resolve/{COMMIT}/config.json",
        f"/lab/net/resolve/{COMMIT}/model.bin",
    ]


def test_subfolder_of_the_repository(hub, tmp_path):
    hub.files = {"vae/config.json": CONFIG}
    place = fetch(tmp_path, subfolder="vae", names=("config.json",))
    assert (place / "config.json").read_bytes() == CONFIG


def test_files_with_an_address_of_their_own(hub, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    place = fetch(tmp_path, url=hub.url + "/{file}", revision=None)
    record = models.read_record(place)
    assert record["id"] == hub.url + "/"
    assert record["revision"] == models.digest({"config.json": sha256(CONFIG), "model.bin": sha256(WEIGHTS)})
    assert not any("Authorization" in headers for _, _, headers in hub.asked), "the hub's token went elsewhere"


def test_cut_connection_is_gone_on_with(hub, tmp_path, capfd):
    hub.cut = 300_000
    place = fetch(tmp_path)
    assert (place / "model.bin").read_bytes() == WEIGHTS
    again = hub.asked[-1][2]
    assert again["Range"] == "bytes=300000-" and again["If-Range"] == '"one"'
    assert "again in" in capfd.readouterr().err


def test_killed_job_s_part_is_gone_on_with_by_the_next(hub, tmp_path, monkeypatch):
    monkeypatch.setattr(http, "PAUSES", ())
    hub.cut = 300_000
    with pytest.raises(ToolFault, match="ended after 300000 of 1048576 bytes"):
        fetch(tmp_path)
    place = tmp_path / "resources" / "models" / "net"
    assert not (place / "config.json").exists() and not (place / "talkset.json").exists()
    hub.asked.clear()
    assert (fetch(tmp_path) / "model.bin").read_bytes() == WEIGHTS
    asked = {path.rsplit("/", 1)[1]: headers.get("Range") for _, path, headers in hub.asked}
    assert asked == {"config.json": f"bytes={len(CONFIG)}-", "model.bin": "bytes=300000-"}
    assert sorted(path.name for path in place.iterdir()) == ["config.json", "model.bin", "talkset.json"]


@pytest.mark.parametrize("change", ["other content", "other revision", "no ranges", "no tag"])
def test_parts_of_two_contents_are_never_put_together(hub, tmp_path, monkeypatch, change):
    monkeypatch.setattr(http, "PAUSES", ())
    hub.tag = "" if change == "no tag" else hub.tag
    hub.cut = 300_000
    with pytest.raises(ToolFault):
        fetch(tmp_path)
    hub.ranges = change != "no ranges"
    if change == "other content":
        hub.tag, hub.files["model.bin"] = '"two"', WEIGHTS[::-1]
    elif change == "other revision":
        hub.commit, hub.files["model.bin"] = COMMIT[::-1], WEIGHTS[::-1]
    assert (fetch(tmp_path, revision=hub.commit) / "model.bin").read_bytes() == hub.files["model.bin"]


def test_trouble_does_not_last_while_bytes_arrive(hub, tmp_path, monkeypatch):
    """Three retries are for a server that gives nothing; a connection that is cut ten times still gets there."""
    handler = Hub.answer

    def short(self, status, headers, content):
        self.server.cut = 100_000 if self.path.endswith(".bin") else 0
        handler(self, status, headers, content)

    monkeypatch.setattr(Hub, "answer", short)
    assert (fetch(tmp_path) / "model.bin").read_bytes() == WEIGHTS
    assert len(hub.asked) == 1 + 11


def test_wrong_hash_names_both(hub, tmp_path):
    with pytest.raises(ToolFault) as fault:
        fetch(tmp_path, pinned={"model.bin": {"sha256": "0" * 64}})
    assert all(part in str(fault.value) for part in ("net", "model.bin", sha256(WEIGHTS), "0" * 64))
    place = tmp_path / "resources" / "models" / "net"
    assert not any("model" in path.name for path in place.iterdir()), "bytes that are wrong must not be gone on with"
    assert not (tmp_path / "resources" / "models" / "lock.tsv").exists()


def test_wrong_size_names_both_before_anything_is_fetched(hub, tmp_path, monkeypatch):
    monkeypatch.delattr(http, "_copy")
    with pytest.raises(ToolFault, match=f"has {len(WEIGHTS)} bytes, pinned are 7;"):
        fetch(tmp_path, pinned={"model.bin": {"size": 7}}, names=("model.bin",))


def test_wrong_size_of_an_answer_that_does_not_tell_it_is_found_at_the_end(hub, tmp_path):
    hub.lengths = False
    assert (fetch(tmp_path) / "model.bin").read_bytes() == WEIGHTS
    with pytest.raises(ToolFault, match=f"has {len(WEIGHTS)} bytes, pinned are 7;"):
        fetch(tmp_path, pinned={"model.bin": {"size": 7}})


def test_first_fetch_is_trusted_and_then_fixed(hub, tmp_path):
    place = fetch(tmp_path)
    hub.files["model.bin"] = WEIGHTS[::-1]
    with pytest.raises(ToolFault) as fault:
        fetch(tmp_path)
    assert all(part in str(fault.value) for part in (sha256(WEIGHTS), sha256(WEIGHTS[::-1]), "lock.tsv"))
    assert (place / "model.bin").read_bytes() == WEIGHTS
    assert lock(tmp_path)[1]["sha256"] == sha256(WEIGHTS)
    pinned = {"model.bin": {"sha256": sha256(WEIGHTS[::-1])}}
    assert (fetch(tmp_path, pinned=pinned) / "model.bin").read_bytes() == WEIGHTS[::-1], "a pin goes before the lock"
    assert lock(tmp_path)[1]["sha256"] == sha256(WEIGHTS[::-1])


def test_unpinned_revision_is_that_of_the_first_fetch(hub, tmp_path):
    place = fetch(tmp_path, revision=None)
    assert hub.asked[0][:2] == ("HEAD", "/lab/net/resolve/main/config.json")
    assert models.read_record(place)["revision"] == COMMIT == lock(tmp_path)[0]["revision"]
    assert all(f"/resolve/{COMMIT}/" in path for _, path, _ in hub.asked[1:])
    hub.asked.clear()
    fetch(tmp_path, revision=None)
    assert all(f"/resolve/{COMMIT}/" in path for _, path, _ in hub.asked), "the newest commit was asked for again"


def test_other_revision_is_not_held_to_the_lock(hub, tmp_path):
    fetch(tmp_path)
    hub.commit, hub.files["model.bin"] = COMMIT[::-1], WEIGHTS[::-1]
    assert (fetch(tmp_path, revision=COMMIT[::-1]) / "model.bin").read_bytes() == WEIGHTS[::-1]
    assert {row["revision"] for row in lock(tmp_path)} == {COMMIT[::-1]}


def test_lock_keeps_other_models(hub, tmp_path):
    other = {"model": "zoo", "file": "a", "size": "1", "sha256": "f" * 64, "revision": "", "fetched": "2026-01-31"}
    tables.write(tmp_path / "resources" / "models" / "lock.tsv", other, [other])
    fetch(tmp_path)
    assert [row["model"] for row in lock(tmp_path)] == ["net", "net", "zoo"] and lock(tmp_path)[2] == other


def test_token_goes_to_the_hub_alone_and_into_no_text(hub, tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    hub.cdn = hub.second.url
    place = fetch(tmp_path)
    assert all(headers["Authorization"] == f"Bearer {TOKEN}" for _, _, headers in hub.asked)
    assert hub.second.asked and not any("Authorization" in headers for _, _, headers in hub.second.asked)
    hub.status = 403
    with pytest.raises(ToolFault) as fault:
        fetch(tmp_path)
    assert TOKEN not in str(fault.value) + capfd.readouterr().err + (place / "talkset.json").read_text()


def test_unpinned_bytes_are_held_against_what_the_hub_says(hub, tmp_path):
    hub.cdn, hub.linked = hub.second.url, "a" * 64
    with pytest.raises(ToolFault) as fault:
        fetch(tmp_path)
    assert sha256(WEIGHTS) in str(fault.value) and "a" * 64 in str(fault.value)


@pytest.mark.parametrize("status", [401, 403])
def test_closed_repository_asks_for_a_token(hub, tmp_path, status):
    hub.status = status
    with pytest.raises(ToolFault) as fault:
        fetch(tmp_path)
    for word in (str(status), "HF_TOKEN is not set", "huggingface.co/lab/net", "models: net: path"):
        assert word in str(fault.value)
    assert len(hub.asked) == 1


def test_missing_file_is_named_and_not_asked_for_again(hub, tmp_path):
    del hub.files["model.bin"]
    with pytest.raises(ToolFault, match="404") as fault:
        fetch(tmp_path)
    assert f"{hub.url}/lab/net/resolve/{COMMIT}/model.bin" in str(fault.value) and len(hub.asked) == 2


def test_full_disk_says_what_to_do(hub, tmp_path, monkeypatch):
    monkeypatch.setattr(http.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1000})())
    with pytest.raises(ToolFault, match="is full .* run the same command again"):
        fetch(tmp_path)
