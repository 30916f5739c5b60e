"""Validation of catalog files: every entry unwrapped, completed, checked, and overlays laid over.

Only this module (and ``entries``) needs YAML and pydantic; the compiled form spares them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any

from llmsizer.catalog.entries import Sources, entries, provenance_of, unwrap, validate
from llmsizer.catalog.models import ModelEntry, model_of_entry
from llmsizer.catalog.price_entries import price_record, with_more_rates
from llmsizer.catalog.records import NOUNS, PRICE_SECTIONS, SECTIONS, Record
from llmsizer.core.errors import CatalogError, UnitError, nearest
from llmsizer.core.explain import Provenance, Source
from llmsizer.core.quantities import GIB, parse_quantity
from llmsizer.core.yaml import Document, dotted, load_file

OTHER_SECTIONS = {"sources", "architectures"}
DEVICES = ("accelerators", "cpus")  # answer to one set of names

# What CUDA keeps of a discrete device beyond what nvidia-smi reports as total. Start-up logs show
# 0.33 to 0.80 GiB (measurements/memory.yaml); used only where the total is not measured.
CONTEXT_RESERVE = 0.5 * GIB
RESERVE_SOURCE = Source("driver_memory less 0.5 GiB for the driver", tier="assumed")
CAPACITY_SOURCE = Source("memory_capacity less 2 % for driver and firmware", tier="assumed")
UNIFIED_SOURCE = Source("default share of unified memory a GPU may use: 2/3 up to 36 GB, 3/4 above (FluidX3D device queries)")


def document_records(document: Document) -> dict[str, dict[str, Record]]:
    """All records of a catalog file, validated."""
    sources = Sources(document)
    _check_sections(document)
    return {
        section: {name: record(section, name, raw, document, sources) for name, raw in entries(document, section).items()}
        for section in SECTIONS
    }


def _check_sections(document: Document) -> None:
    known = {*SECTIONS, *OTHER_SECTIONS}
    if document.data is not None and not isinstance(document.data, Mapping):
        raise document.error(f"expected a mapping of sections, got {str(document.data)[:40]!r}", ())
    for section in document.data or ():
        if section not in known:
            near = nearest(str(section), known)
            hint = f"Did you mean: {', '.join(near)}?" if near else f"Known sections: {', '.join(sorted(known))}"
            raise document.error("not a known section", (section,), hint)


def record(section: str, name: str, raw: Mapping[str, Any], document: Document, sources: Sources) -> Record:
    """One entry, unwrapped, completed and validated."""
    if section in PRICE_SECTIONS:
        return price_record(section, name, raw, document, sources)
    path = (section, name)
    found: dict[str, Source] = {}
    data = {key: unwrap(value, sources, (*path, key), str(key), found) for key, value in raw.items()}
    provenance = provenance_of(raw, sources, path, found)
    if section == "models":
        return _model_record(name, data, provenance, document)
    data.pop("source", None)
    if section == "accelerators":
        _check_accelerator(data, document, path)
        data = _with_usable_memory(data, found, document, path)
        provenance = Provenance(provenance.default, found)
    noun: Any = validate(NOUNS[section], {**data, "id": name}, document, path)
    _check_finite(noun, document, path)
    return Record(_plain(noun), _sources(provenance), document.file)


def _check_accelerator(data: Mapping[str, Any], document: Document, path: tuple[str, ...]) -> None:
    """What a type cannot say: a device has a name, a peak in 16 or 32 bit, a capability of two numbers."""
    if data.get("name") == "":
        raise document.error("is empty", (*path, "name"))
    peaks = data.get("peak_dense")
    if isinstance(peaks, Mapping) and not set(peaks) & {"bf16", "fp16", "fp32"}:
        raise document.error("expected at least one of bf16, fp16, fp32", (*path, "peak_dense"))
    capability = data.get("compute_capability")
    if capability is not None and not re.fullmatch(r"\d{1,3}(\.\d{1,3})?", str(capability), re.ASCII):
        raise document.error(f"expected a version such as 9.0, got {str(capability)[:40]!r}", (*path, "compute_capability"))


def _model_record(name: str, data: Mapping[str, Any], provenance: Provenance, document: Document) -> Record:
    path = ("models", name)
    entry = validate(ModelEntry, data, document, path)
    if not entry.config:
        raise document.error("is empty: expected the fields of a config.json", (*path, "config"))
    lines = {key: line for key in entry.config if (line := document.line((*path, "config", key)))}
    made = Record(_plain(entry), _sources(provenance), document.file, lines)
    try:
        model_of_entry(name, made.data, provenance, document.file, lines)
    except CatalogError as problem:
        raise problem.within(dotted((*path, "config")), document.line(path)) from None
    return made


def _with_usable_memory(data: dict[str, Any], found: dict[str, Source], document: Document, path: Any) -> dict[str, Any]:
    """Completes ``usable_memory`` where it is not measured; its source then says how."""
    if "usable_memory" in data or "memory_capacity" not in data:
        return data
    capacity = _quantity(data, "memory_capacity", document, path)
    if data.get("unified_memory") and "driver_memory" not in data:
        share = 2 / 3 if capacity <= 36e9 else 3 / 4
        found["usable_memory"] = UNIFIED_SOURCE
        return {**data, "usable_memory": f"{capacity * share:.0f} B"}
    if "driver_memory" not in data:
        found["usable_memory"] = CAPACITY_SOURCE
        return {**data, "usable_memory": f"{capacity * 0.98:.0f} B"}
    driver = _quantity(data, "driver_memory", document, path)
    if data.get("compute_capability"):
        found["usable_memory"] = RESERVE_SOURCE
        driver -= CONTEXT_RESERVE
    return {**data, "usable_memory": f"{driver:.0f} B"}


def _quantity(data: Mapping[str, Any], key: str, document: Document, path: Any) -> float:
    try:
        return parse_quantity(data[key], "byte")
    except UnitError as error:
        raise document.error(error.message, (*path, key), error.hint) from None


def _check_finite(noun: Any, document: Document, path: Any) -> None:
    for item in fields(noun):
        value = getattr(noun, item.name)
        numbers = value.values() if isinstance(value, Mapping) else (value,)
        for number in numbers:
            if isinstance(number, float) and not 0 < number < 1e30:
                raise document.error(f"expected a positive number, got {number:g}", (*path, item.name))
            if isinstance(number, int) and not isinstance(number, bool) and not 0 < number < 10**15:
                raise document.error(f"expected a positive number, got {str(number)[:20]}", (*path, item.name))


def _plain(noun: Any) -> dict[str, Any]:
    """A noun's fields as plain data, defaults left out."""
    made = {}
    for item in fields(noun):
        value = getattr(noun, item.name)
        needed = item.default is MISSING and item.default_factory is MISSING
        if item.name in {"id", "provenance"} or (not needed and (value in (None, (), "", False) or value == {})):
            continue
        made[item.name] = _plain(value) if is_dataclass(value) else list(value) if isinstance(value, tuple) else value
    return made


def _sources(provenance: Provenance) -> tuple[Any, dict[str, Any]]:
    def plain(source: Source) -> list[str]:
        return [source.title, source.date, source.tier, source.note]

    return plain(provenance.default), {name: plain(source) for name, source in provenance.fields.items()}


def overlay(records: Mapping[str, Mapping[str, Record]], path: Path) -> dict[str, dict[str, Record]]:
    """The records with a user's file laid over them: new entries added, single facts overridden."""
    document = load_file(path)
    _check_sections(document)
    sources = Sources(document)
    source = Source(f"override in {path}", tier="specified")
    merged = {section: dict(found) for section, found in records.items()}
    for section in SECTIONS:
        _check_names(section, document, merged)
        for name, raw in entries(document, section).items():
            below = merged[section].get(name)
            if section in PRICE_SECTIONS:
                merged[section][name] = _price_over(below, section, name, raw, document, _with_file(sources))
            elif below is None:
                merged[section][name] = record(section, name, _sourced(raw, document), document, _with_file(sources))
            else:
                merged[section][name] = _overridden(section, name, raw, below, document, _with_file(sources), source)
    return merged


def _check_names(section: str, document: Document, below: Mapping[str, Mapping[str, Record]]) -> None:
    """Refuses an alias that already means another entry: it would silently answer for it."""
    sections = DEVICES if section in DEVICES else (section,)
    meant = {given.lower(): name for each in sections for name, held in below[each].items() for given in (name, *held.aliases)}
    for name, raw in entries(document, section).items():
        aliases = raw.get("aliases")
        for alias in aliases if isinstance(aliases, list) else ():
            other = meant.get(str(alias).lower(), name)
            if other != name:
                raise document.error(f"'{alias}' already means {other}", (section, name, "aliases"))


FILE_SOURCE = "this file"


def _price_over(
    below: Record | None, section: str, name: str, raw: Mapping[str, Any], document: Document, sources: Sources
) -> Record:
    """A user's price: rates added to what is known of an instance, a new entry, or another default."""
    if section == "cost_assumptions":
        return price_record(section, name, _sourced(raw, document), document, sources)
    rates = raw.get("rates")
    if isinstance(rates, list):
        raw = {**raw, "rates": [_sourced(rate, document) if isinstance(rate, Mapping) else rate for rate in rates]}
    if below is None:
        return price_record(section, name, raw, document, sources)
    return with_more_rates(below, raw, (section, name), document, sources)


def _sourced(raw: Mapping[str, Any], document: Document) -> Mapping[str, Any]:
    return raw if "source" in raw else {**raw, "source": FILE_SOURCE}


def _with_file(sources: Sources) -> Sources:
    """The sources of an overlay, where an entry may rest on the file itself."""
    sources.entries = {FILE_SOURCE: {"title": f"user catalog {sources.document.file}"}, **sources.entries}
    return sources


def _overridden(
    section: str, name: str, raw: Mapping[str, Any], below: Record, document: Document, sources: Sources, source: Source
) -> Record:
    path = (section, name)
    found: dict[str, Source] = {}
    data = {key: unwrap(value, sources, (*path, key), str(key), found) for key, value in raw.items() if key != "source"}
    default, fields_below = below.sources
    kept = {key: Source(*value) for key, value in fields_below.items()}
    for key, value in data.items():
        names = [f"{key}.{inner}" for inner in value] if isinstance(value, Mapping) else [key]
        kept |= {each: found.get(each, source) for each in names}
    if section == "models":
        config = data.pop("config", {})
        if not isinstance(config, Mapping):
            raise document.error("expected a mapping", (*path, "config"))
        kept |= dict.fromkeys(config, source)
        merged = {**below.data, **data, "config": {**below.data["config"], **config}}
        return _model_record(name, merged, Provenance(Source(*default), kept), document)
    if section == "accelerators":
        _check_accelerator({**data, "peak_dense": None}, document, path)
    typed = _in_base_units(section, {**data}, document, path)
    merged = {
        **below.data,
        **{k: {**below.data.get(k, {}), **v} if isinstance(v, dict) else v for k, v in typed.items()},
    }
    if section == "accelerators" and "memory_capacity" in typed and "usable_memory" not in typed:
        share = below.data["usable_memory"] / below.data["memory_capacity"]
        merged["usable_memory"] = typed["memory_capacity"] * share
        kept["usable_memory"] = source
    return Record(merged, _sources(Provenance(Source(*default), kept)), document.file)


def _in_base_units(section: str, data: dict[str, Any], document: Document, path: Any) -> dict[str, Any]:
    """Validates single facts by laying them over a complete stand-in of their kind."""
    stand_in: dict[str, Any] = {}
    for item in fields(NOUNS[section]):
        if item.name in _STAND_IN:
            stand_in[item.name] = _STAND_IN[item.name]
    noun: Any = validate(NOUNS[section], {**stand_in, **data, "id": "override"}, document, path)
    _check_finite(noun, document, path)
    plain = _plain(noun)
    return {key: plain[key] for key in data if key in plain}


_STAND_IN: dict[str, Any] = {
    "name": "x", "vendor": "x", "architecture": "x", "memory_type": "x", "memory_capacity": "1 B",
    "usable_memory": "1 B", "memory_bandwidth": "1 B/s", "peak_dense": {}, "native_dtypes": [], "cores": 1,
    "base_clock": "1 Hz", "boost_clock": "1 Hz", "memory_channels": 1, "memory_transfers": "1 Hz",
    "operations_per_clock_per_core": {}, "provider": "x", "accelerator": "x", "accelerators": 1,
}  # fmt: skip
