"""A catalog in which some facts are as they were, so that a question can be asked with one change undone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, replace
from typing import Any, cast

from llmsizer.catalog.catalog import Catalog
from llmsizer.catalog.models import model_of_entry
from llmsizer.core.inputs import Input
from llmsizer.schema.accelerator import Accelerator, Node
from llmsizer.schema.calibration import Calibration, Curve
from llmsizer.schema.engine import EngineProfile
from llmsizer.schema.model import Model

# Sections whose facts can be put back; prices are put back as a word of the question.
SECTIONS = ("models", "accelerators", "nodes", "engines", "calibrations")


@dataclass(frozen=True, eq=False)
class PutBack(Catalog):
    """A catalog with ``old`` values: by section and entry, field by field (None: the field was not there)."""

    old: Mapping[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)

    def accelerator(self, name: str) -> Accelerator:
        """As in ``Catalog``, with the old facts."""
        return cast(Accelerator, self._as_it_was("accelerators", super().accelerator(name)))

    def node(self, name: str) -> Node:
        """As in ``Catalog``, with the old facts."""
        return cast(Node, self._as_it_was("nodes", super().node(name)))

    def engine(self, name: str, accelerator: Accelerator) -> EngineProfile:
        """As in ``Catalog``, with the old facts."""
        return cast(EngineProfile, self._as_it_was("engines", super().engine(name, accelerator)))

    def model(self, name: str) -> Model:
        """As in ``Catalog``, with the old fields of its config."""
        found = super().model(name)
        old = self.old.get(("models", found.id))
        if not old:
            return found
        record = self.records["models"][found.id]
        config = {**record.data["config"], **old}
        kept = {key: value for key, value in config.items() if value is not None}
        return model_of_entry(found.id, {**record.data, "config": kept}, record.provenance(), record.file)

    def calibration(self, name: str, accelerator: Accelerator, engine: str) -> Calibration:
        """As in ``Catalog``, with the old parameters of its curves."""
        found = super().calibration(name, accelerator, engine)
        old = self.old.get(("calibrations", found.device), {})

        def find(family: str, format_: str) -> Curve | None:
            curve, was = found.find(family, format_), old.get(f"{family} {format_}")
            return curve if curve is None or was is None else replace(curve, parameters=was)

        return Calibration(found.name, found.device, find, found.spreads)

    def _as_it_was(self, section: str, noun: Any) -> Any:
        old = self.old.get((section, noun.id), {})
        changed: dict[str, Any] = {}
        for place, value in old.items():
            name, _, key = place.partition(".")
            if key:
                mapping = {**changed.get(name, getattr(noun, name)), key: value}
                changed[name] = {each: number for each, number in mapping.items() if number is not None}
            else:
                changed[name] = _default(noun, name) if value is None else tuple(value) if isinstance(value, list) else value
        return replace(noun, **changed) if changed else noun


def _default(noun: Any, name: str) -> Any:
    of: Field[Any] = next(each for each in fields(noun) if each.name == name)
    return None if of.default is MISSING else of.default


def put_back(catalog: Catalog, old: Iterable[Input]) -> PutBack:
    """A catalog with some facts as they were."""
    values: dict[tuple[str, str], dict[str, Any]] = {}
    for each in old:
        values.setdefault((each.section, each.entry), {})[each.field] = each.value
    return PutBack(catalog.records, catalog.overlays, old=values)
