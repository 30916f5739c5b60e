"""Every fact of every YAML file has a source people can look up, or is marked as an assumption."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

import llmsizer
from llmsizer.catalog.engines import engine_names, engine_profile
from llmsizer.core.explain import STRUCTURE, TIERS, Source
from llmsizer.core.yaml import load_file

TOP = Path(__file__).parents[2]
DATA = TOP / "src" / "llmsizer" / "catalog" / "data"
CATALOGS = [*sorted(TOP.glob("*_catalog.yaml")), *sorted(DATA.glob("*.yaml"))]
CALIBRATIONS = sorted((DATA / "calibrations").glob("*.yaml"))
MEASUREMENTS = sorted((TOP / "measurements").glob("*.yaml"))
DATE = re.compile(r"\d{4}(-\d{2}(-\d{2})?)?(\.\.\d{4}(-\d{2}(-\d{2})?)?)?")


def each(files: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("file", files, ids=lambda path: path.stem)


def references(node: Any, key: str = "") -> Iterator[str]:
    """Every key of ``sources`` that a document refers to (``checks`` word theirs freely)."""
    if key in {"source", "default_source", "memory_source"}:
        for each in node if isinstance(node, list) else [node]:
            if each is not None:
                yield str(each).partition(":")[0].partition(" (")[0].strip()
    elif isinstance(node, Mapping):
        for name, inner in node.items():
            if name not in {"sources", "checks"}:
                yield from references(inner, str(name))
    elif isinstance(node, list):
        for inner in node:
            yield from references(inner)


def told(source: Source) -> bool:
    """Whether a source says where, and when or that it is an assumption."""
    return bool(source.title) and source.tier in TIERS


def dated(entry: Any) -> bool:
    """Whether a listed source has a title, and a date (or version) unless it is an assumption."""
    when = DATE.fullmatch(str(entry.get("date", ""))) or entry.get("version") or entry.get("tier") == "assumed"
    return bool(entry.get("title") and when)


@pytest.fixture(scope="module")
def documents() -> dict[Path, Any]:
    return {file: load_file(file).data for file in (*CATALOGS, *CALIBRATIONS, *MEASUREMENTS)}


@each(CATALOGS)
def test_sources_have_a_title_and_a_date(file: Path, documents: dict[Path, Any]):
    if "prices" in documents[file]:
        pytest.skip("every rate has its own date")
    assert not [key for key, entry in (documents[file].get("sources") or {}).items() if not dated(entry)]


@each(CATALOGS)
def test_facts_refer_to_listed_sources(file: Path, documents: dict[Path, Any]):
    used, listed = set(references(documents[file])), set(documents[file].get("sources") or {})
    assert listed, "no sources"
    assert not used - listed, "not listed"
    elsewhere = file.read_text(encoding="utf-8").partition("\nsources:")[2]
    assert not {key for key in listed - used if elsewhere.count(key) < 2}, "not used"


@each(CALIBRATIONS)
def test_calibrations_say_what_they_were_fitted_to(file: Path, documents: dict[Path, Any]):
    data = documents[file]
    assert DATE.fullmatch(str(data["date"]))
    assert data["sources"]
    assert all(source.get("title") for source in data["sources"])
    assert all(row.get("tier", "measured") in TIERS for row in (data["curves"] if "curves" in data else data["rows"]))


@each(MEASUREMENTS)
def test_every_measurement_has_a_source(file: Path, documents: dict[Path, Any]):
    data = documents[file]
    listed = data.get("sources") or {}
    rows = [row for value in data.values() if isinstance(value, list) for row in value if isinstance(row, Mapping)]
    assert rows
    for row in rows:
        source = row.get("source") or row.get("sources") or data.get("source")
        assert source, row.get("id", row)
        assert not listed or isinstance(source, list) or str(source).partition(":")[0] in listed, row.get("id", row)


@pytest.mark.parametrize("section", ["accelerators", "cpus", "nodes"])
def test_every_hardware_fact_has_a_source(section: str, catalog: llmsizer.Catalog):
    for name in catalog.names(section):
        noun = (
            catalog.processor(name)
            if section == "cpus"
            else catalog.node(name)
            if section == "nodes"
            else catalog.accelerator(name)
        )
        for field in fields(noun):
            source = noun.provenance.of(field.name)
            assert source is not STRUCTURE, f"{name}.{field.name}"
            assert told(source), f"{name}.{field.name}"


def test_every_model_fact_has_a_source(catalog: llmsizer.Catalog):
    for name in catalog.names("models"):
        model = catalog.model(name)
        for key in model.config:
            assert told(model.provenance.of(key)), f"{name}: {key}"
        assert model.provenance.default is not STRUCTURE, name
        checks = model.checks
        assert checks.source or (checks.total_parameters is None and checks.active_parameters is None), f"{name}: checks"


def test_every_engine_fact_has_a_source(catalog: llmsizer.Catalog):
    for name in sorted(set(engine_names().values())):
        for device in ("h100", "mi300x", "t4", "m2-ultra@64GiB"):
            profile = engine_profile(name, catalog.accelerator(device))
            for key, source in profile.provenance.fields.items():
                assert told(source), f"{name} on {device}: {key}"
            assert told(profile.provenance.default), name


def test_unverified_facts_are_assumptions(catalog: llmsizer.Catalog):
    for name in catalog.names("models"):
        model = catalog.model(name)
        for key in model.unverified:
            source = model.provenance.default if key == "all" else model.provenance.of(key)
            assert source.tier == "assumed", f"{name}: {key}"
    for name in catalog.names("accelerators"):
        device = catalog.accelerator(name)
        for key in device.unverified:
            source = device.provenance.default if key == "all" else device.provenance.of(key)
            assert source.tier == "assumed", f"{name}: {key}"


def test_every_price_is_dated():
    prices = load_file(DATA / "prices.yaml").data
    for section in ("prices", "purchase_prices"):
        for name, entry in prices[section].items():
            for rate in entry["rates"]:
                dated = DATE.fullmatch(str(rate.get("date", "")))
                assert dated, f"{section}.{name}"
                assert rate.get("source"), f"{section}.{name}"
