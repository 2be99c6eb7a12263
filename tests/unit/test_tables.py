"""Tables keep text as it is."""

from __future__ import annotations

from fractions import Fraction

import pytest

from talkset import tables
from talkset.faults import ToolFault


def test_what_is_written_is_read_back_as_text(tmp_path):
    path = tmp_path / "t.tsv"
    odd = {"clip": "00012", "start": "-1e5", "labels": '{"a": "b\tc"}', "identity": "NA", "url": "'x\"y"}
    tables.write(path, tables.CLIP_COLUMNS, [odd, {"clip": "-b", "end": None}])
    first, second = tables.rows(path)
    assert first == dict.fromkeys(tables.CLIP_COLUMNS, "") | odd
    assert second == dict.fromkeys(tables.CLIP_COLUMNS, "") | {"clip": "-b"}


def test_equal_tables_are_equal_bytes_with_lf_ends(tmp_path):
    for name in ("a.tsv", "b.tsv"):
        tables.write(tmp_path / name, ("clip", "url"), [{"clip": "a", "url": "u"}])
    assert (tmp_path / "a.tsv").read_bytes() == (tmp_path / "b.tsv").read_bytes() == b"clip\turl\na\tu\n"


def test_unknown_column_leaves_no_table(tmp_path):
    with pytest.raises(ValueError, match="colour"):
        tables.write(tmp_path / "t.tsv", ("clip",), [{"clip": "a"}, {"clip": "b", "colour": "red"}])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "value"), [("", None), ("90", 90), ("81.62", Fraction(4081, 50)), ("1001/30000", Fraction(1001, 30000))]
)
def test_times_are_exact(text, value):
    assert tables.seconds(text) == value


def test_a_lost_clip_is_named():
    tables.all_there("crops.tar", {"a": 1, "b": 2}, ["a", "b"], "list.tsv")
    with pytest.raises(ToolFault, match="crops.tar lacks clip 'c' of list.tsv"):
        tables.all_there("crops.tar", {"a": 1, "b": 2}, ["a", "c"], "list.tsv")
