"""Numbers with units at the door, one unit per dimension inside, readable units on the way out.

Inside the house every number is a float in base units: byte, second, FLOP, joule, USD, token,
element, request, gram (of CO2 equivalent). Strings such as ``80 GiB`` or ``3.35 TB/s`` are parsed
once, at the edge; a bare number where a dimension is expected is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from llmsizer.core.errors import UnitError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Number: TypeAlias = float | NDArray[np.float64]
else:
    Number = float

KIB, MIB, GIB = 2.0**10, 2.0**20, 2.0**30

_DECIMAL = {"k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18}
_BINARY = {"Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40}
_SMALL = {"m": 1e-3, "u": 1e-6, "µ": 1e-6, "n": 1e-9}

Dimension: TypeAlias = tuple[tuple[str, int], ...]


_BYTE, _SECOND = {"byte": 1}, {"second": 1}
# Units without a prefix, with their factor to base units and their dimension.
_PLAIN_UNITS: dict[str, tuple[float, dict[str, int]]] = {
    "B": (1.0, _BYTE),
    "byte": (1.0, _BYTE),
    "bytes": (1.0, _BYTE),
    "bit": (0.125, _BYTE),
    "bits": (0.125, _BYTE),
    "s": (1.0, _SECOND),
    "second": (1.0, _SECOND),
    "seconds": (1.0, _SECOND),
    "min": (60.0, _SECOND),
    "h": (3600.0, _SECOND),
    "hour": (3600.0, _SECOND),
    "day": (86400.0, _SECOND),
    "month": (365.25 / 12 * 86400.0, _SECOND),
    "year": (365.25 * 86400.0, _SECOND),
    "years": (365.25 * 86400.0, _SECOND),
    "FLOP": (1.0, {"FLOP": 1}),
    "OP": (1.0, {"FLOP": 1}),
    "J": (1.0, {"joule": 1}),
    "joule": (1.0, {"joule": 1}),
    "Wh": (3600.0, {"joule": 1}),
    "W": (1.0, {"joule": 1, "second": -1}),
    "watt": (1.0, {"joule": 1, "second": -1}),
    "Hz": (1.0, {"second": -1}),
    "USD": (1.0, {"USD": 1}),
    "token": (1.0, {"token": 1}),
    "tokens": (1.0, {"token": 1}),
    "element": (1.0, {"element": 1}),
    "elements": (1.0, {"element": 1}),
    "request": (1.0, {"request": 1}),
    "requests": (1.0, {"request": 1}),
    "g": (1.0, {"gram": 1}),
    "gram": (1.0, {"gram": 1}),
    "kg": (1e3, {"gram": 1}),
    "%": (0.01, {}),
    "1": (1.0, {}),
}


def _unit_table() -> dict[str, tuple[float, dict[str, int]]]:
    table = dict(_PLAIN_UNITS)
    for unit in ("B", "bit", "FLOP", "OP", "W", "Wh", "Hz", "J"):
        for prefix, factor in _DECIMAL.items():
            table[prefix + unit] = (table[unit][0] * factor, table[unit][1])
    for unit in ("B", "bit"):
        for prefix, factor in _BINARY.items():
            table[prefix + unit] = (table[unit][0] * factor, table[unit][1])
    for prefix, factor in _SMALL.items():
        table[prefix + "s"] = (factor, _SECOND)
    return table


@lru_cache(maxsize=1)
def _units() -> dict[str, tuple[float, dict[str, int]]]:
    return _unit_table()


_TERM = re.compile(r"([*/]?)\s*([A-Za-zµ%1][A-Za-zµ]*)(?:\s*(?:\*\*|\^)\s*(\d))?\s*")
_QUANTITY = re.compile(r"\s*([-+]?(?:\d[\d_]*)?(?:\.\d+)?(?:[eE][-+]?\d+)?)\s*(.*?)\s*", re.ASCII)


@lru_cache(maxsize=512)
def unit_factor(unit: str) -> tuple[float, Dimension]:
    """The factor to base units and the dimension of a unit such as ``TB/s`` or ``USD/kWh``.

    >>> unit_factor("TB/s")
    (1000000000000.0, (('byte', 1), ('second', -1)))
    """
    factor, position, text = 1.0, 0, unit.strip()
    powers: dict[str, int] = {}
    table = _units()
    while position < len(text):
        match = _TERM.match(text, position)
        if match is None or match.group(2) not in table:
            word = match.group(2) if match else text[position:]
            raise UnitError(f"unknown unit '{word}' in '{unit}'", _unit_hint(word))
        size, base = table[match.group(2)]
        power = int(match.group(3) or 1) * (-1 if match.group(1) == "/" else 1)
        factor *= size**power
        for name, exponent in base.items():
            powers[name] = powers.get(name, 0) + exponent * power
        position = match.end()
    return factor, tuple(sorted((name, power) for name, power in powers.items() if power))


def _unit_hint(word: str) -> str:
    from llmsizer.core.errors import nearest

    near = nearest(word, _units(), count=3)
    return f"Did you mean: {', '.join(near)}?" if near else "Examples: 80 GiB, 3.35 TB/s, 500 ms, 2.5 USD/h"


def same_dimension(unit: str, other: str) -> bool:
    """Whether two units measure the same thing."""
    return unit_factor(unit)[1] == unit_factor(other)[1]


def parse_quantity(text: Any, unit: str) -> float:
    """A unit-carrying string as a float in base units of the dimension of ``unit``.

    >>> parse_quantity("80 GiB", "byte")
    85899345920.0

    Raises UnitError when the unit is missing, unknown or of another dimension.
    """
    if isinstance(text, bool) or not isinstance(text, str):
        raise UnitError(f"expected a quantity with a unit of [{unit}], got {text!r}", _example(unit))
    match = _QUANTITY.fullmatch(text) if len(text) < 200 else None
    if match is None or not any(character.isdigit() for character in match.group(1)):
        raise UnitError(f"expected a number and a unit of [{unit}], got '{text[:60]}'", _example(unit))
    if not match.group(2):
        raise UnitError(f"expected a quantity in [{unit}], got the bare number '{text.strip()}'", _example(unit))
    factor, dimension = unit_factor(match.group(2))
    if dimension != unit_factor(unit)[1]:
        raise UnitError(f"expected [{unit}], got '{text}' [{match.group(2)}]", _example(unit))
    value = float(match.group(1).replace("_", "")) * factor
    if not value < float("inf"):
        raise UnitError(f"'{text[:60]}' is too large", _example(unit))
    return value


def quantity_of(name: str, text: Any, unit: str, example: str = "") -> float:
    """``parse_quantity`` of what is called ``name``: its error says so."""
    try:
        return parse_quantity(text, unit)
    except UnitError as error:
        hint = f"Write for example: {example}" if example else error.hint
        raise UnitError(f"{name}: {error.message}", hint) from None


_EXAMPLES = {
    "byte": "80 GiB", "byte/second": "3.35 TB/s", "FLOP/second": "989.4 TFLOP/s", "second": "500 ms",
    "USD/hour": "2.5 USD/h", "USD/second": "2.5 USD/h", "watt": "700 W", "joule/second": "700 W",
    "USD": "25000 USD", "USD/joule": "0.08 USD/kWh",
}  # fmt: skip


def _example(unit: str) -> str:
    return f"Write for example: {_EXAMPLES.get(unit, '1 ' + unit)}"


@dataclass(frozen=True)
class Unit:
    """Marks an annotation with its unit; in catalog types it also makes pydantic parse unit strings."""

    unit: str

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        from pydantic_core import PydanticCustomError, core_schema

        def parse(value: Any) -> float:
            try:
                return parse_quantity(value, self.unit)
            except UnitError as error:
                text = f"{error.message}. {error.hint}" if error.hint else error.message
                raise PydanticCustomError("unit", "{text}", {"text": text}) from error

        if not unit_factor(self.unit)[1] or self.unit in {"token", "element", "request"}:
            return handler(source)
        return core_schema.no_info_plain_validator_function(parse)


Count = Annotated[Number, Unit("1")]
Fraction = Annotated[Number, Unit("1")]
Elements = Annotated[Number, Unit("element")]
ElementsPerToken = Annotated[Number, Unit("element/token")]
Tokens = Annotated[Number, Unit("token")]
Bytes = Annotated[Number, Unit("byte")]
BytesPerElement = Annotated[Number, Unit("byte/element")]
BytesPerToken = Annotated[Number, Unit("byte/token")]
BytesPerSecond = Annotated[Number, Unit("byte/second")]
Flop = Annotated[Number, Unit("FLOP")]
FlopPerByte = Annotated[Number, Unit("FLOP/byte")]
FlopPerSecond = Annotated[Number, Unit("FLOP/second")]
Seconds = Annotated[Number, Unit("second")]
SecondsPerToken = Annotated[Number, Unit("second/token")]
PerSecond = Annotated[Number, Unit("1/second")]
Watts = Annotated[Number, Unit("joule/second")]
Usd = Annotated[Number, Unit("USD")]
UsdPerSecond = Annotated[Number, Unit("USD/second")]
UsdPerToken = Annotated[Number, Unit("USD/token")]
UsdPerByte = Annotated[Number, Unit("USD/byte")]
UsdPerByteSecond = Annotated[Number, Unit("USD/byte/second")]
UsdPerJoule = Annotated[Number, Unit("USD/joule")]
Joules = Annotated[Number, Unit("joule")]
Grams = Annotated[Number, Unit("gram")]
GramsPerJoule = Annotated[Number, Unit("gram/joule")]

_SCALES: dict[str, tuple[tuple[float, str], ...]] = {
    "byte": ((2.0**40, "TiB"), (GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB"), (1.0, "B")),
    "byte/second": ((1e12, "TB/s"), (1e9, "GB/s"), (1e6, "MB/s"), (1e3, "kB/s"), (1.0, "B/s")),
    "byte/token": ((MIB, "MiB/token"), (KIB, "KiB/token"), (1.0, "B/token")),
    "FLOP": ((1e15, "PFLOP"), (1e12, "TFLOP"), (1e9, "GFLOP"), (1e6, "MFLOP"), (1.0, "FLOP")),
    "1/second": ((1e9, "GHz"), (1e6, "MHz"), (1.0, "Hz")),
    "FLOP/second": ((1e15, "PFLOP/s"), (1e12, "TFLOP/s"), (1e9, "GFLOP/s"), (1.0, "FLOP/s")),
    "second": ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns")),
    "joule/second": ((1e3, "kW"), (1.0, "W")),
    "joule": ((3.6e6, "kWh"), (1.0, "J")),
    "USD/second": ((1 / 3600, "USD/h"),),
    "USD/token": ((1e-6, "USD/million tokens"),),
    "USD/joule": ((1 / 3.6e6, "USD/kWh"),),
    "USD/byte": ((1e-9, "USD/GB"),),
    "USD/byte/second": ((1e-9 / (365.25 / 12 * 86400), "USD/GB/month"),),
    "gram/joule": ((1 / 3.6e6, "g/kWh"),),
}


def human(number: float, unit: str, digits: int = 4) -> str:
    """A number in a unit people read, e.g. ``human(85899345920, "byte")`` is ``80 GiB``.

    >>> human(3.35e12, "byte/second")
    '3.35 TB/s'
    """
    for scale, name in _SCALES.get(unit, ()):
        if abs(number) >= scale:
            return f"{_digits(number / scale, digits)} {name}"
    scale, name = _SCALES[unit][-1] if unit in _SCALES else (1.0, "" if unit == "1" else unit)
    return f"{_digits(number / scale, digits)} {name}".strip()


def _digits(number: float, digits: int) -> str:
    if number == int(number) and abs(number) < 1e15:
        return f"{int(number):,}"
    text = f"{number:,.{digits}g}"
    return f"{number:,.0f}" if "e" in text and abs(number) >= 1 else text
