"""How single fields of a plan file are written: quantities, shares, names, lengths, demands, targets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from llmsizer.core.errors import InvalidQuestion, LlmsizerError
from llmsizer.core.quantities import parse_quantity
from llmsizer.cost.demand import demand_of
from llmsizer.planner.targets import METRICS, PERCENTILES, preset_names, targets_of
from llmsizer.question.words import LARGEST_COUNT, LARGEST_LENGTH

LONGEST_LINE = 100


def _read_by(reader: Callable[[Any], Any], schema: dict[str, Any]) -> Any:
    """A field that a reader of the planner checks; the value stays as written, for the planner to read again."""

    def checked(value: Any) -> Any:
        try:
            if value is not None:
                reader(value)
        except LlmsizerError as error:
            message = error.message.removeprefix("targets: ").removeprefix("demand: ")
            text = f"{message}. {error.hint}" if error.hint else message
            raise PydanticCustomError("unit", "{text}", {"text": text}) from error
        return value

    return Annotated[Any, BeforeValidator(checked), WithJsonSchema(schema)]


def _quantity(unit: str, *examples: str) -> Any:
    def reader(value: Any) -> None:
        if not 0 < parse_quantity(value, unit) < float("inf"):
            raise InvalidQuestion(f"expected a quantity above zero, got '{value}'", f"Write for example: {examples[0]}")

    pattern = r"^\s*[0-9.][0-9._eE+-]*\s*[A-Za-zµ].*$"
    return _read_by(reader, {"type": "string", "pattern": pattern, "examples": list(examples)})


def share(value: Any) -> float:
    """A share written as a number or in percent.

    >>> share("20 %")
    0.2
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise InvalidQuestion("expected a share such as 0.2 or 20 %")
    found = parse_quantity(value, "1") if isinstance(value, str) else float(value)
    if not 0 <= found < 1:
        raise InvalidQuestion(f"expected a share from 0 to below 1 (100 %), got {value}")
    return found


def _names(value: Any) -> None:
    names = value.split(",") if isinstance(value, str) else value
    if not (isinstance(names, list) and names and all(isinstance(each, str) and each.strip() for each in names)):
        raise InvalidQuestion(f"expected a name or a list of names, got {value!r:.60}")


def _length(value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise InvalidQuestion(f"expected a number of tokens or a law such as 800..1000, got {value!r:.60}")


def _price(value: Any) -> None:
    owned = isinstance(value, Mapping) and set(value) == {"owned"} and isinstance(value["owned"], (Mapping, type(None)))
    if not (isinstance(value, str) or owned):
        raise InvalidQuestion(f"expected a name, a price such as 2.5 USD/h, or owned: {{…}}, got {value!r:.60}")


def _line(value: Any) -> None:
    if not isinstance(value, str) or not value.strip() or len(value) > LONGEST_LINE or not value.isprintable():
        raise InvalidQuestion(f"expected a line of text of at most {LONGEST_LINE} characters, got {value!r:.60}")


def _extras(value: Any) -> None:
    if not isinstance(value, Mapping):
        _names(value)


_TEXT = {"type": "string"}
_NAMES = [_TEXT, {"type": "array", "items": _TEXT, "minItems": 1}]
_HOURS = {"type": "array", "items": {"type": "number", "minimum": 0}, "minItems": 24, "maxItems": 168}
_OWNED = {"type": "object", "properties": {"owned": {"type": ["object", "null"]}}, "additionalProperties": False}
_LIMITS: dict[str, Any] = {
    name: {"type": "string", "examples": ["500 ms", "2 s"]}
    for metric in METRICS
    for name in (metric, *(f"{metric}_{percentile}" for percentile in PERCENTILES))
} | {"tokens_per_second": {"type": "number", "exclusiveMinimum": 0}}
_TARGETS = [{"enum": preset_names()}, {"type": "object", "properties": _LIMITS, "additionalProperties": False}]

Line = _read_by(_line, {"type": "string", "minLength": 1, "maxLength": LONGEST_LINE})
Names = _read_by(_names, {"anyOf": _NAMES})
Length = _read_by(
    _length,
    {
        "anyOf": [{"type": "integer", "minimum": 1}, _TEXT],
        "examples": [1024, "800..1000", "lognormal:1024:0.5", "lengths.csv"],
    },
)
Share = _read_by(share, {"anyOf": [{"type": "number", "minimum": 0, "exclusiveMaximum": 1}, _TEXT], "examples": ["20 %", 0.2]})
Rates = _read_by(demand_of, {"anyOf": [{"type": "number", "exclusiveMinimum": 0}, _HOURS]})
Price = _read_by(_price, {"anyOf": [_TEXT, _OWNED], "examples": ["2.5 USD/h", "lambda", "owned"]})
Extras = _read_by(_extras, {"anyOf": [*_NAMES, {"type": "object"}]})
Targets = _read_by(targets_of, {"anyOf": _TARGETS})
Time = _quantity("second", "1 min")
MoneyPerTime = _quantity("USD/second", "50 USD/h")
Power = _quantity("joule/second", "10 kW")
Emissions = _quantity("gram/joule", "400 g/kWh")
Count = Annotated[int, Field(ge=1, le=LARGEST_COUNT)]
Tokens = Annotated[int, Field(ge=1, le=LARGEST_LENGTH)]
Positive = Annotated[float, Field(gt=0, le=1e9)]
