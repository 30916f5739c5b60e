"""Whole catalogs as lists of facts: files of an older version, or a user's own laid over the built-in ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from llmsizer.catalog.catalog import Catalog, load_catalog
from llmsizer.catalog.package_data import RECORD_FILES
from llmsizer.catalog.records import NOUNS, PRICE_SECTIONS, SECTIONS, Record
from llmsizer.core.errors import CatalogError
from llmsizer.core.explain import field_unit
from llmsizer.core.inputs import NAMES, Input, as_data
from llmsizer.core.yaml import load_file
from llmsizer.schema.price import ASSUMPTION_UNITS

# Where the files of a version lie below its folder: in a checkout, in an installation, side by side.
PLACES = (".", "src/llmsizer/catalog/data", "llmsizer/catalog/data", "catalog/data")


def catalog_at(path: str | Path) -> Catalog:
    """The catalog of a file or folder.

    Files that are called as the built-in ones replace them whole; any other file is laid over them. Raises CatalogError.
    """
    from llmsizer.catalog.validation import document_records

    given = Path(path)
    whole = [file for file in _files(given) if file.name in RECORD_FILES]
    if not whole:
        if given.is_dir() and not any(child.suffix in {".yaml", ".yml"} for child in given.iterdir()):
            raise CatalogError(
                "holds no catalog", file=str(given), hint=f"Looked for {', '.join(RECORD_FILES)} and other YAML."
            )
        return load_catalog(given)
    records: dict[str, Mapping[str, Record]] = dict(load_catalog().records)
    for file in whole:
        records |= {section: found for section, found in document_records(load_file(file)).items() if found}
    return Catalog(records, (str(given),))


def _files(given: Path) -> list[Path]:
    if given.is_file():
        return [given]
    if not given.is_dir():
        raise CatalogError("no such file or folder", file=str(given), hint="Give a saved answer (.json) or a catalog (.yaml).")
    return [file for place in PLACES for name in RECORD_FILES if (file := given / place / name).is_file()]


def facts_of_catalog(catalog: Catalog) -> Iterator[Input]:
    """Every fact of a catalog."""
    for section in SECTIONS:
        for name in catalog.names(section):
            yield from _facts(section, name, catalog.records[section][name])


def _facts(section: str, entry: str, record: Record) -> Iterator[Input]:
    provenance = record.provenance()
    if section in PRICE_SECTIONS:
        yield from _prices(section, entry, record.data)
        return
    data = record.data["config"] if section == "models" else record.data
    for name, value in data.items():
        unit = field_unit(NOUNS[section], name) if section in NOUNS else "1"
        parts = {f"{name}.{key}": each for key, each in value.items()} if isinstance(value, dict) else {name: value}
        for place, each in parts.items():
            if place not in NAMES:
                yield Input(section, entry, place, as_data(each), unit, str(provenance.of(place)))


def _prices(section: str, entry: str, data: Mapping[str, Any]) -> Iterator[Input]:
    """A default of the cost model, or the dated prices of an instance or of a device to buy."""
    if section == "cost_assumptions":
        yield Input(section, entry, "value", data["value"], ASSUMPTION_UNITS[entry], data["text"])
        return
    unit = "USD/second" if section == "prices" else "USD"
    for rate in data["rates"]:
        name = " ".join(str(rate[key]) for key in ("market", "region", "date") if rate.get(key))
        yield Input(section, entry, name, rate["price"], unit, ", ".join(str(part) for part in rate["source"][:2]))
