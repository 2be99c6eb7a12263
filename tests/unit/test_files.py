"""Files appear whole or not at all."""

from __future__ import annotations

import hashlib
import json

import pytest

from talkset import files


def test_a_file_appears_when_it_is_whole(tmp_path):
    with files.whole(tmp_path / "new" / "a.mp4") as partial:
        partial.write_bytes(b"whole")
        assert partial.suffix == ".mp4" and not (tmp_path / "new" / "a.mp4").exists()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.mp4"]


def test_an_error_leaves_what_was_there(tmp_path):
    files.write_text(tmp_path / "a.tsv", "before\n")
    with pytest.raises(RuntimeError), files.whole(tmp_path / "a.tsv") as partial:
        partial.write_text("half")
        raise RuntimeError("killed")
    assert (tmp_path / "a.tsv").read_text() == "before\n"
    assert [path.name for path in tmp_path.iterdir()] == ["a.tsv"]


def test_the_leftover_of_a_killed_job_is_overwritten(tmp_path):
    files.partial_of(tmp_path / "a.tsv").write_text("half of an earlier attempt")
    files.write_text(tmp_path / "a.tsv", "whole\n")
    assert (tmp_path / "a.tsv").read_text() == "whole\n"
    assert [path.name for path in tmp_path.iterdir()] == ["a.tsv"]


def test_json_refuses_what_json_does_not_have(tmp_path):
    files.write_json(tmp_path / "a.json", {"b": 1, "a": "ü"})
    assert list(json.loads((tmp_path / "a.json").read_text())) == ["b", "a"]
    with pytest.raises(ValueError):
        files.write_json(tmp_path / "b.json", {"x": float("nan")})
    assert not (tmp_path / "b.json").exists()


def test_sha256(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert files.sha256(tmp_path / "a") == hashlib.sha256(b"abc").hexdigest()
