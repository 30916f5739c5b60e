"""Formulas that can say how they came to their result.

A formula is one plain function whose signature carries units and whose decorator carries the
reference. Called with numbers or arrays it returns numbers; called with ``Value`` objects (or as
``formula.of(...)``) it checks their units, runs the same body and returns a ``Value`` that
remembers the formula and its inputs. ``lift`` turns a frozen noun into a view whose numbers come
out as ``Value`` leaves, so the same wiring runs plain (fast) and explained.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Generic, ParamSpec, TypeVar, cast

from llmsizer.core.errors import UnitError
from llmsizer.core.numerics import total_of
from llmsizer.core.quantities import Number, Unit, same_dimension

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

# Falling order of trust; an estimate is as good as the worst of its leaves.
TIERS = ("specified", "measured", "interpolated", "extrapolated", "assumed")


def worst_tier(tiers: Sequence[str]) -> str:
    """The least trusted of some tiers; ``specified`` for none."""
    return max(tiers, key=TIERS.index, default=TIERS[0])


@dataclass(frozen=True, slots=True)
class Source:
    """Where a fact comes from: a title people can look up, a date, and how far it is trusted."""

    title: str
    date: str = ""
    tier: str = "specified"
    note: str = ""

    def __str__(self) -> str:
        text = ", ".join(part for part in (self.title, self.date) if part)
        return f"{text} ({self.note})" if self.note else text


QUESTION = Source("the question")
STRUCTURE = Source("the model's structure")


@dataclass(frozen=True, slots=True)
class Derivation:
    """How a value was computed: by which formula (or sum) from which inputs."""

    formula: Formula[Any, Any] | None
    inputs: Mapping[str, Value]
    note: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Value:
    """A number that remembers its unit, its name and its origin. It has no arithmetic on purpose:
    every step is a named formula."""

    number: Any
    unit: str
    name: str
    origin: Source | Derivation

    def leaves(self) -> list[Value]:
        """The facts this value rests on, each once, in order of first use."""
        seen: dict[int, Value] = {}
        stack: list[Value] = [self]
        while stack:
            value = stack.pop()
            if id(value) not in seen:
                seen[id(value)] = value
                if type(value.origin) is Derivation:
                    stack.extend(list(value.origin.inputs.values())[::-1])
        return [value for value in seen.values() if isinstance(value.origin, Source)]


class Constant(float):
    """A number fixed by definition, with its unit, for use inside formula bodies."""

    unit: str
    meaning: str

    def __new__(cls, number: float, unit: str, meaning: str) -> Constant:
        constant = super().__new__(cls, number)
        constant.unit, constant.meaning = unit, meaning
        return constant


class Formula(Generic[P, R]):
    """One equation: callable with numbers, arrays or Values. See the module's docstring."""

    def __init__(self, function: Callable[P, R], reference: str, validity: str) -> None:
        self.function = function
        self.reference = reference
        self.validity = validity
        self.__name__ = function.__name__
        self.__qualname__ = function.__qualname__
        self.__module__ = function.__module__
        self.__doc__ = function.__doc__
        self.__wrapped__ = function
        self._units: tuple[tuple[str, ...], tuple[str, ...], str] | None = None

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        if Value in map(type, args) or (kwargs and Value in map(type, kwargs.values())):
            return self.of(*args, **kwargs)  # type: ignore[return-value]
        return self.function(*args, **kwargs)

    def units(self) -> tuple[tuple[str, ...], tuple[str, ...], str]:
        """Parameter names, their units, and the unit of the result, from the annotations."""
        if self._units is None:
            from typing import get_type_hints

            hints = get_type_hints(self.function, include_extras=True)
            result = _unit_of(hints.pop("return"), f"{self.__name__} returns")
            units = tuple(_unit_of(hint, f"{self.__name__}({name})") for name, hint in hints.items())
            self._units = tuple(hints), units, result
        return self._units

    def of(self, *args: Any, **kwargs: Any) -> Value:
        """The result as a Value that remembers this formula and its inputs.

        Plain numbers among the arguments become leaves whose source is the model's structure.
        Raises UnitError when a Value has another dimension than its parameter.
        """
        names, units, unit = self._units or self.units()
        given = args if len(args) == len(names) else self._in_order(names, args, kwargs)
        inputs = {
            name: value if type(value) is Value and value.unit == wanted else _as_value(value, wanted, name, self.__name__)
            for name, wanted, value in zip(names, units, given, strict=True)
        }
        number: Any = self.function(*[value.number for value in inputs.values()])  # type: ignore[call-arg]
        return Value(number, unit, self.__name__, Derivation(self, inputs))

    def _in_order(self, names: tuple[str, ...], args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Any]:
        """The arguments in the order of the parameters, defaults filled in."""
        defaults = self.function.__defaults__ or ()
        given = dict(zip(names[len(names) - len(defaults) :], defaults, strict=True))
        given |= dict(zip(names, args, strict=False)) | dict(kwargs)
        return [given[name] for name in names]


REGISTRY: dict[str, Formula[Any, Any]] = {}


def formula(*, reference: str, validity: str = "") -> Callable[[Callable[P, R]], Formula[P, R]]:
    """Registers a plain function as an equation with its reference and (if any) range of validity."""

    def register(function: Callable[P, R]) -> Formula[P, R]:
        made = Formula(function, reference, validity)
        REGISTRY[f"{function.__module__.removeprefix('llmsizer.')}.{function.__name__}"] = made
        return made

    return register


def _unit_of(hint: Any, where: str) -> str:
    for mark in getattr(hint, "__metadata__", ()):
        if isinstance(mark, Unit):
            return mark.unit
    raise UnitError(f"{where}: the annotation carries no unit")


def _as_value(given: Any, unit: str, name: str, where: str) -> Value:
    if type(given) is not Value:
        return Value(given, unit, name, STRUCTURE)
    if not _compatible(given.unit, unit):
        raise UnitError(f"{where}: {name} must be in [{unit}], got {given.name} [{given.unit}]")
    return given


_COUNTED = {"element", "token", "request"}


@lru_cache(maxsize=1024)
def _compatible(unit: str, wanted: str) -> bool:
    """Same dimension; or a bare structural count (layers, heads, widths) standing for a number of
    elements or tokens, which the formula's own annotation then says."""
    if same_dimension(unit, wanted):
        return True
    from llmsizer.core.quantities import unit_factor

    def countable(text: str) -> bool:
        return all(name in _COUNTED for name, _ in unit_factor(text)[1])

    return (unit == "1" and countable(wanted)) or (wanted == "1" and countable(unit))


def total(values: Sequence[Any], name: str) -> Number:
    """The sum of like things (layers, budget parts, cost items), plain or explained.

    >>> total([1.0, 2.0], "parts")
    3.0
    """
    if Value not in map(type, values):
        return total_of(values)  # type: ignore[no-any-return]
    if len(values) == 1:
        return named(values[0], name)  # type: ignore[no-any-return]
    unit = next(value.unit for value in values if type(value) is Value)
    inputs: dict[str, Value] = {}
    for position, given in enumerate(values):
        value = _as_value(given, unit, f"{name} {position + 1}", f"sum '{name}'")
        key = value.name
        while key in inputs:
            key = f"{value.name} ({position + 1})"
            position += 1
        inputs[key] = value
    return cast("Number", Value(total_of([v.number for v in inputs.values()]), unit, name, Derivation(None, inputs)))


def named(value: T, name: str) -> T:
    """The same value under the name it has in this place; numbers pass through."""
    given: Any = value
    return Value(given.number, given.unit, name, given.origin) if type(given) is Value else value  # type: ignore[return-value]


def plain(value: Any) -> float:
    """The number of a Value; numbers pass through."""
    return value.number if type(value) is Value else value  # type: ignore[no-any-return]


def is_explained(value: Any) -> bool:
    """Whether a number comes with its derivation."""
    return type(value) is Value


@dataclass(frozen=True, slots=True)
class Provenance:
    """The sources of a noun's fields: one for all, and others for single fields."""

    default: Source = STRUCTURE
    fields: Mapping[str, Source] = field(default_factory=dict)

    def of(self, name: str) -> Source:
        """The source of one field."""
        return self.fields.get(name, self.default)


class _View:
    """A noun seen through ``lift``: its numbers are Values, its methods run on the view."""

    __slots__ = ("_noun", "_provenance", "_seen")
    _noun: Any
    _provenance: Provenance
    _seen: dict[str, Any]

    def __init__(self, noun: Any, provenance: Provenance) -> None:
        object.__setattr__(self, "_noun", noun)
        object.__setattr__(self, "_provenance", provenance)
        object.__setattr__(self, "_seen", {})

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        """The noun's class, so that ``isinstance`` sees through the view."""
        return type(self._noun)

    def __getattr__(self, name: str) -> Any:
        """An attribute of the noun, lifted once: a fact that is used twice stays one leaf."""
        if name not in self._seen:
            self._seen[name] = self._found(name)
        return self._seen[name]

    def _found(self, name: str) -> Any:
        noun = self._noun
        attribute = getattr(type(noun), name, None)
        if isinstance(attribute, property):
            return attribute.fget(self)  # type: ignore[misc, unused-ignore]
        if callable(attribute) and not isinstance(attribute, type):
            return attribute.__get__(self, type(noun))
        return _lifted(getattr(noun, name), name, type(noun), self._provenance)

    def __bool__(self) -> bool:
        return True


def _lifted(found: Any, name: str, kind: type, provenance: Provenance) -> Any:
    if isinstance(found, bool) or found is None or isinstance(found, str):
        return found
    if isinstance(found, (int, float)):
        return Value(float(found), field_unit(kind, name), name, provenance.of(name))
    if isinstance(found, tuple):
        return tuple(_lifted(item, name, kind, provenance) for item in found)
    if isinstance(found, Mapping):
        return {key: _lifted(item, f"{name}.{key}", kind, provenance) for key, item in found.items()}
    if hasattr(found, "__dataclass_fields__") and not isinstance(found, (Source, Provenance, Value)):
        return lift(found, provenance)
    return found


_FIELD_UNITS: dict[type, dict[str, str]] = {}


def field_unit(kind: type, name: str) -> str:
    """The unit that a field of a noun is annotated with; 1 for counts and words."""
    if kind not in _FIELD_UNITS:
        from typing import get_type_hints

        _FIELD_UNITS[kind] = {
            field_name: _mark_in(hint) for field_name, hint in get_type_hints(kind, include_extras=True).items()
        }
    return _FIELD_UNITS[kind].get(name.split(".")[0], "1")


def _mark_in(hint: Any) -> str:
    """The unit marked anywhere inside an annotation (optional, mapping, tuple), else a count."""
    for mark in getattr(hint, "__metadata__", ()):
        if isinstance(mark, Unit):
            return mark.unit
    for argument in getattr(hint, "__args__", ()):
        if (unit := _mark_in(argument)) != "1":
            return unit
    return "1"


def lift(noun: T, provenance: Provenance | None = None) -> T:
    """A view of a frozen noun whose numbers are Values with the noun's units and sources.

    A noun that has a ``provenance`` field brings its own sources.
    """
    own = getattr(noun, "provenance", None)
    chosen = own if isinstance(own, Provenance) else provenance or Provenance()
    return cast(T, _View(noun, chosen))


def changed(noun: T, **fields: Any) -> T:
    """A frozen noun with some fields replaced; of a view a view."""
    given: Any = noun
    if type(given) is not _View:
        return cast(T, replace(given, **fields))
    plainly = {name: value._noun if type(value) is _View else value for name, value in fields.items()}
    return cast(T, _View(replace(given._noun, **plainly), given._provenance))
