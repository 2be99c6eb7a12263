"""Safe names: closed set of characters, one to one."""

from __future__ import annotations

import itertools
import random
import re
from urllib.parse import unquote_to_bytes

import pytest

from talkset import names


@pytest.mark.parametrize("text", ["LucilleRoybal-Allard", "-aB3dE5gH7i", "_x", "Clip+yt+P1+C0", "a.b", "00012", "-1e5"])
def test_ordinary_names_stay(text):
    assert names.safe_name(text) == text


@pytest.mark.parametrize(
    ("text", "mapped"),
    [
        ("../x", "=2E.=2Fx"),
        (".hidden", "=2Ehidden"),
        ("x;rm -rf", "x=3Brm=20-rf"),
        ("a=2Fb", "a=3D2Fb"),
        ("'\"", "=27=22"),
        ("a\x00b", "a=00b"),
        ("a\nb", "a=0Ab"),
        ("Zo\u00eb", "Zo=C3=AB"),
        ("\u0663", "=D9=A3"),
    ],
)
def test_other_characters_become_their_bytes(text, mapped):
    assert names.safe_name(text) == mapped


@pytest.mark.parametrize("text", ["", "a" * 201, "\u00eb" * 34])
def test_empty_and_overlong_names_are_refused_with_their_value(text):
    with pytest.raises(ValueError, match=re.escape(repr(text))):
        names.safe_name(text)


def back(mapped):
    """The inverse mapping, written independently."""
    return unquote_to_bytes(mapped.replace("%", "%25").replace("=", "%")).decode()


def test_every_text_can_be_told_back():
    draw = random.Random(7)
    alphabet = "ab.-_+=%/\\ ;$'\"\x00\n2EF3D\u00e9\u4e2d\U0001f600"
    texts = ["".join(draw.choices(alphabet, k=draw.randint(1, 12))) for _ in range(5000)]
    texts += ["".join(letters) for letters in itertools.product("=.2ED", repeat=4)]
    for text in texts:
        mapped = names.safe_name(text)
        assert re.fullmatch(names.SAFE, mapped)
        assert mapped not in (".", "..")
        assert back(mapped) == text
