"""The facts an answer rests on, each with its place in the catalogs, so that two answers can be compared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from llmsizer.core.explain import Provenance, field_unit, plain

# Fields of a noun that are names or remarks, not facts that a number could rest on.
NAMES = {"id", "name", "title", "aliases", "notes", "unverified", "provenance"}


@dataclass(frozen=True, slots=True)
class Input:
    """A fact: the section and entry of the catalog it stands in, its field, its value in a unit, its source."""

    section: str
    entry: str
    field: str
    value: Any
    unit: str
    source: str

    @property
    def place(self) -> tuple[str, str, str]:
        """Where it stands."""
        return self.section, self.entry, self.field

    def to_dict(self) -> dict[str, Any]:
        """The fact as plain data."""
        return asdict(self)


def facts_of(section: str, entry: str, noun: Any, names: Iterable[str] | None = None) -> Iterator[Input]:
    """The facts of a noun that carries its provenance: its fields, or those named; of a mapping each entry."""
    provenance: Provenance = noun.provenance
    for name in [field.name for field in fields(noun) if field.name not in NAMES] if names is None else names:
        value, unit = getattr(noun, name), field_unit(type(noun), name)
        if isinstance(value, Mapping):
            for key, each in value.items():
                yield Input(section, entry, f"{name}.{key}", as_data(each), unit, str(provenance.of(f"{name}.{key}")))
        elif value is not None:
            yield Input(section, entry, name, as_data(value), unit, str(provenance.of(name)))


def as_data(value: Any) -> Any:
    """A fact's value as JSON holds it."""
    if isinstance(value, Mapping):
        return {str(key): as_data(each) for key, each in value.items()}
    if isinstance(value, (tuple, list)):
        return [as_data(each) for each in value]
    number = plain(value)
    return number if number is None or isinstance(number, (str, bool, int, float)) else str(number)
