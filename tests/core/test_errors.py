"""Errors say where, what and what would be right, whatever they are given."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmsizer.core import errors
from llmsizer.core.errors import CatalogError, LlmsizerError, UnknownName, nearest, shortened

KNOWN = ["meta-llama/Llama-3.1-8B", "meta-llama/Llama-3.1-70B", "Qwen/Qwen3-8B", "h100-sxm5-80gb"]


def test_every_error_is_one_family():
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    assert len(kinds) > 4
    assert all(issubclass(kind, LlmsizerError) for kind in kinds)


@pytest.mark.parametrize(
    ("typed", "best"),
    [("lama-3.1-8b", KNOWN[0]), ("LLAMA-3.1-70B", KNOWN[1]), ("qwen3_8b", KNOWN[2]), ("h100", KNOWN[3]), ("h100sxm", KNOWN[3])],
)
def test_the_nearest_comes_first(typed: str, best: str):
    assert nearest(typed, KNOWN)[0] == best


def test_nothing_near():
    assert nearest("zzz", KNOWN) == []
    assert nearest("", KNOWN) == []
    assert nearest("x", []) == []
    assert UnknownName("model", "zzz", KNOWN).hint == f"known: {', '.join(sorted(KNOWN))}"
    assert UnknownName("model", "zzz", [*KNOWN, *(f"aaaa{number}" for number in range(30))]).hint == ""


@given(st.text(max_size=300), st.lists(st.text(max_size=30), max_size=8))
def test_any_name(name: str, known: list[str]):
    error = UnknownName("thing", name, known, "extra")
    assert str(error).isprintable() or "\n" in str(error)
    assert len(error.message) < 140
    assert set(error.near) <= set(known)


def test_a_place_is_printed_when_known():
    assert str(CatalogError("is wrong", file="a.yaml", line=3, field="b.c", hint="try d")) == "a.yaml:3: b.c: is wrong\ntry d"
    assert str(CatalogError("is wrong", file="a.yaml")) == "a.yaml: is wrong"
    assert str(CatalogError("is wrong")) == "is wrong"


def test_shortened():
    assert shortened("a" * 10) == "a" * 10
    assert len(shortened("a" * 1000)) < 100
    assert shortened("a\nb\x1b") == "a\\nb\\x1b"
