"""Values remember where they come from, and print it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pytest

from llmsizer.core.errors import UnitError
from llmsizer.core.explain import (
    QUESTION,
    TIERS,
    Derivation,
    Provenance,
    Source,
    Value,
    changed,
    is_explained,
    lift,
    named,
    plain,
    total,
    worst_tier,
)
from llmsizer.core.quantities import Bytes, Count
from llmsizer.core.render import explanation, shown
from llmsizer.formulas.roofline import ridge_point
from llmsizer.formulas.storage import bytes_of_copies, packed_bytes

SHEET = Source("a datasheet", "2024-03")
GUESS = Source("a guess", tier="assumed", note="nobody knows")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    size: Bytes
    label: str = "x"


@dataclass(frozen=True, slots=True, kw_only=True)
class Noun:
    size: Bytes
    count: Count
    parts: tuple[Part, ...] = ()
    peaks: Mapping[str, Bytes] = field(default_factory=dict)
    flag: bool = False
    nothing: Bytes | None = None
    provenance: Provenance = field(default_factory=Provenance)

    @property
    def whole(self) -> Bytes:
        return bytes_of_copies(self.size, self.count)

    def twice(self) -> Bytes:
        return bytes_of_copies(self.whole, 2)


NOUN = Noun(size=100.0, count=3, parts=(Part(size=5.0),), peaks={"a": 7.0}, provenance=Provenance(SHEET, {"count": GUESS}))


def test_the_same_wiring_runs_plain_and_explained():
    view = lift(NOUN)
    assert isinstance(view, Noun)
    assert (NOUN.twice(), plain(view.twice())) == (600.0, 600.0)
    assert is_explained(view.twice())
    assert not is_explained(NOUN.twice())


def test_lifted_numbers_carry_unit_name_and_source():
    view: Noun = lift(NOUN)
    leaves = {leaf.name: leaf for leaf in view.twice().leaves()}  # type: ignore[union-attr]
    assert (leaves["size"].unit, leaves["size"].origin) == ("byte", SHEET)
    assert leaves["count"].origin is GUESS
    assert view.parts[0].size.unit == "byte"  # type: ignore[union-attr]
    assert view.peaks["a"].name == "peaks.a"  # type: ignore[union-attr]
    assert view.flag is False
    assert view.nothing is None
    assert plain(changed(view, size=1.0).twice()) == 6.0
    assert changed(NOUN, size=1.0).twice() == 6.0


def test_a_view_is_not_changed():
    with pytest.raises(AttributeError):
        lift(NOUN).size = 1.0  # type: ignore[misc]


def test_formulas_check_units():
    value = Value(1.0, "second", "time", QUESTION)
    with pytest.raises(UnitError, match=r"bytes_of_copies: bytes_each must be in \[byte\], got time \[second\]"):
        bytes_of_copies(value, 2)
    assert plain(packed_bytes(Value(8, "1", "count", QUESTION), 4)) == 4.0


def test_totals():
    first, second = Value(1.0, "byte", "a", SHEET), Value(2.0, "byte", "a", GUESS)
    whole = total([first, second, 3.0], "whole")
    assert isinstance(whole, Value)
    assert whole.number == 6.0
    assert isinstance(whole.origin, Derivation)
    assert len(whole.origin.inputs) == 3
    assert total([], "nothing") == 0.0
    assert named(first, "b").name == "b"  # type: ignore[attr-defined]
    assert named(1.0, "b") == 1.0
    with pytest.raises(UnitError):
        total([first, Value(1.0, "second", "t", SHEET)], "mixed")


def test_tiers():
    assert worst_tier([]) == "specified"
    assert worst_tier(TIERS) == "assumed"


def test_the_printed_equation_is_the_code():
    peak = Value(989.4e12, "FLOP/second", "peak", SHEET)
    bandwidth = Value(3.35e12, "byte/second", "memory_bandwidth", GUESS)
    text = explanation(ridge_point(peak, bandwidth))  # type: ignore[arg-type]
    assert "ridge_point = 295.3 FLOP/byte" in text
    assert "= peak / memory_bandwidth" in text
    assert "= 989,400,000,000,000 / 3,350,000,000,000" in text
    assert "Williams, Waterman and Patterson 2009" in text
    assert "a datasheet, 2024-03" in text
    assert "assumed: a guess (nobody knows)" in text


def test_depth_and_width():
    view: Noun = lift(NOUN)
    deep, flat = explanation(view.twice(), depth=6), explanation(view.twice(), depth=1)  # type: ignore[arg-type]
    assert len(flat.splitlines()) < len(deep.splitlines())
    assert "…" in flat
    assert max(len(line) for line in explanation(view.twice(), width=60).splitlines()) <= 60  # type: ignore[arg-type]


def test_a_value_used_twice_is_derived_once():
    inner = bytes_of_copies(Value(1.0, "byte", "size", SHEET), 2)
    text = explanation(total([inner, named(inner, "again")], "both"))  # type: ignore[arg-type]
    assert text.count("bytes_each × copies") == 2
    text = explanation(total([total([inner, 1.0], "x"), total([inner, 2.0], "y")], "both"))  # type: ignore[arg-type]
    assert "(as above)" in text


def test_arrays_are_shown_as_a_range():
    value = bytes_of_copies(Value(np.array([2.0**30, 2.0**31]), "byte", "size", SHEET), 2)
    assert shown(value) == "2 GiB … 4 GiB (2 values)"  # type: ignore[arg-type]
    assert shown(Value(2.0**30, "byte", "size", SHEET)) == "1 GiB (1,073,741,824 byte)"
