"""Numbers with units: parsed exactly, refused without, and printed as people read them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmsizer.core.errors import LlmsizerError, UnitError
from llmsizer.core.quantities import human, parse_quantity, same_dimension, unit_factor


@pytest.mark.parametrize(
    ("text", "unit", "number"),
    [
        ("80 GiB", "byte", 80 * 2**30),
        ("80GB", "byte", 80e9),
        ("1e3 MB", "byte", 1e9),
        ("16_160 MiB", "byte", 16160 * 2**20),
        ("3.35 TB/s", "byte/second", 3.35e12),
        ("1.758 Gbit/s", "byte/second", 1.758e9 / 8),
        ("989.4 TFLOP/s", "FLOP/second", 989.4e12),
        ("1979 TOP/s", "FLOP/second", 1979e12),
        ("500 ms", "second", 0.5),
        ("5 us", "second", 5e-6),
        ("5 µs", "second", 5e-6),
        ("2.5 USD/h", "USD/second", 2.5 / 3600),
        ("0.08 USD/kWh", "USD/joule", 0.08 / 3.6e6),
        ("700 W", "joule/second", 700),
        ("1530 MHz", "1/second", 1.53e9),
        ("38.9 byte/element", "byte/element", 38.9),
        ("40 %", "1", 0.4),
        (".5 GiB", "byte", 2**29),
    ],
)
def test_parsed(text: str, unit: str, number: float):
    assert parse_quantity(text, unit) == pytest.approx(number, rel=1e-15)


@pytest.mark.parametrize("given", [80, 80.0, "80", "80 ", True, None, [], {}, b"80 GiB", float("nan")])
def test_a_number_without_a_unit_is_refused(given: object):
    with pytest.raises(UnitError, match="byte") as caught:
        parse_quantity(given, "byte")
    assert "80 GiB" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("80 GiB/s", r"expected \[byte\]"),
        ("80 s", r"expected \[byte\]"),
        ("80 Gib", "unknown unit 'Gib'"),
        ("80 gb", "unknown unit"),
        ("GiB", "expected a number"),
        ("", "expected a number"),
        ("eighty GiB", "expected a number"),
        ("1e999 GiB", "too large"),
        ("nan GiB", "expected a number"),
        ("inf GiB", "expected a number"),
        ("1" * 300 + " GiB", "expected a number"),
        ("٨٠ GiB", "expected a number"),
    ],
)
def test_refused(text: str, message: str):
    with pytest.raises(UnitError, match=message):
        parse_quantity(text, "byte")


def test_the_nearest_unit_is_named():
    with pytest.raises(UnitError) as caught:
        parse_quantity("80 Gibi", "byte")
    assert "GiB" in caught.value.hint


@given(st.text(max_size=40), st.sampled_from(["byte", "second", "FLOP/second", "1", "USD/second"]))
def test_any_text_is_a_number_or_an_error(text: str, unit: str):
    message, number = "", math.nan
    try:
        number = parse_quantity(text, unit)
    except LlmsizerError as error:
        message = str(error)
    assert message or math.isfinite(number)


@given(st.floats(0, 1e15), st.sampled_from(["B", "kB", "MB", "GB", "TB", "KiB", "MiB", "GiB", "TiB", "bit"]))
def test_what_is_written_is_read(number: float, unit: str):
    assert parse_quantity(f"{number!r} {unit}", "byte") == number * unit_factor(unit)[0]


def test_dimensions():
    assert same_dimension("TB/s", "byte/second")
    assert same_dimension("W", "joule/second")
    assert same_dimension("USD/GB/month", "USD/byte/second")
    assert same_dimension("token^2", "token * token")
    assert same_dimension("1", "FLOP/FLOP")
    assert not same_dimension("byte", "byte/second")


@pytest.mark.parametrize(
    ("number", "unit", "text"),
    [
        (85899345920, "byte", "80 GiB"),
        (0, "byte", "0 B"),
        (-(2**30), "byte", "-1 GiB"),
        (1023, "byte", "1,023 B"),
        (131072, "byte/token", "128 KiB/token"),
        (0.0123, "second", "12.3 ms"),
        (2.5 / 3600, "USD/second", "2.5 USD/h"),
        (1234567, "1", "1,234,567"),
        (295.3, "FLOP/byte", "295.3 FLOP/byte"),
    ],
)
def test_human(number: float, unit: str, text: str):
    assert human(number, unit) == text


@given(st.floats(-1e30, 1e30, allow_nan=False), st.sampled_from(["byte", "second", "FLOP", "1", "token", "USD/second"]))
def test_human_prints_any_number_short(number: float, unit: str):
    assert len(human(number, unit)) < 64
