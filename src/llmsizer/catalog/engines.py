"""Engine profiles: the facts of ``engines.yaml`` resolved for one version and one device."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from functools import lru_cache
from typing import Any

from llmsizer.catalog.package_data import package_data
from llmsizer.core.errors import InvalidQuestion, UnknownName, UnsupportedCombination
from llmsizer.core.explain import Provenance, Source
from llmsizer.core.quantities import Unit, parse_quantity
from llmsizer.schema.accelerator import Accelerator
from llmsizer.schema.deployment import Elementwise
from llmsizer.schema.engine import EngineProfile, SchemeNeed

Version = tuple[int, ...]


def version_key(text: str) -> Version:
    """A version as numbers that compare: ``0.8.5.post1`` is (0, 8, 5), ``b4000`` is (4000,)."""
    return tuple(int(part) for part in re.findall(r"\d+", re.split(r"(?:post|rc|dev|a\d|\+)", text)[0])[:4]) or (0,)


@lru_cache(maxsize=1)
def engine_names() -> dict[str, str]:
    """Every name an engine answers to, with its id."""
    data = package_data("engines.yaml")["engines"]
    return {name: key for key, entry in data.items() for name in (key, *(entry.get("aliases") or ()))}


def engine_profile(name: str, accelerator: Accelerator) -> EngineProfile:
    """The profile of ``vllm``, ``vllm@0.11.0``, ``vllm@0.8.5+v0`` or ``llama.cpp+vulkan`` on a device.

    Raises UnknownName for an engine that is not in the catalog, InvalidQuestion for a version or core
    that does not exist.
    """
    release, plus, core = name.partition("+")
    if plus and (not core or "@" in core):
        raise InvalidQuestion(
            f"engine '{name[:40]}': expected NAME@VERSION+CORE", "for example: llama.cpp@b6077+vulkan or vllm+v1"
        )
    base, _, version = release.partition("@")
    names = engine_names()
    if base.lower() not in names:
        raise UnknownName("engine", base, [*names])
    return _resolve(names[base.lower()], version, core.lower(), accelerator)


@lru_cache(maxsize=2048)
def _resolve(engine: str, version: str, core: str, accelerator: Accelerator) -> EngineProfile:
    document = package_data("engines.yaml")
    entry = document["engines"][engine]
    if version and not re.search(r"\d", version):
        raise InvalidQuestion(f"engine version '{version[:40]}' has no number", f"for example: {engine}@{_newest(entry)}")
    key = version_key(version or _newest(entry))
    traits = _device_traits(document["device_traits"], accelerator)
    possible = _cores(entry, key, accelerator, traits)
    usual = _usual_core(entry, key, accelerator, possible)
    core = _checked_core(entry, engine, core, possible, accelerator) if core else usual
    conditions = {"core": core, "device": traits}
    values: dict[str, Any] = {}
    found: dict[str, Source] = {}
    for name, fact in entry["facts"].items():
        chosen = _applicable(fact, key, conditions)
        values[name] = quantity_of_fact(name, chosen["value"])
        if isinstance(values[name], list):
            values[name] = tuple(values[name])
        source = document["sources"][chosen.get("source", entry["default_source"])]
        title = source["title"] + (f", {entry['title']} {_span(chosen)}" if "from" in chosen or "until" in chosen else "")
        found[name] = Source(title, str(source.get("date", "")), source.get("tier", "specified"))
    default = document["sources"][entry["default_source"]]
    return EngineProfile(
        id=engine, version=version or _newest(entry), title=entry["title"], accounting=entry["accounting"],
        kv_layout=entry["kv_layout"], core=core, usual_core=usual, newest=not version,
        backends=tuple(name for name in possible if "device" in entry["cores"][name]),
        known_version=version_key(entry["versions"]["oldest"]) <= key <= version_key(entry["versions"]["last_seen"]),
        schemes=tuple(entry["schemes"]), cache_formats=tuple(entry["cache_formats"]),
        attention_kinds=tuple(entry["attention_kinds"]), vendors=tuple(entry["vendors"]),
        offload=tuple(entry.get("offload", ())), host=str(entry.get("host", "")),
        cache_optional=bool(entry.get("cache_optional", False)),
        scheme_needs=tuple(_need(each, document["sources"]) for each in entry.get("scheme_needs", ())),
        cache_needs=tuple(_need(each, document["sources"]) for each in entry.get("cache_needs", ())),
        flags=entry["flags"], notes=entry.get("notes", ""),
        provenance=Provenance(Source(default["title"], str(default.get("date", "")), default.get("tier", "specified")), found),
        **values,
    )  # fmt: skip


def _need(entry: Mapping[str, Any], sources: Mapping[str, Any]) -> SchemeNeed:
    major, _, minor = str(entry["compute_capability"]).partition(".")
    return SchemeNeed(
        schemes=tuple(entry["schemes"]), compute_capability=(int(major), int(minor or 0)), vendors=tuple(entry["vendors"]),
        source=str(sources[entry["source"]]["title"]),
    )  # fmt: skip


def _newest(entry: Mapping[str, Any]) -> str:
    return str(entry["versions"]["newest"])


def _cores(entry: Mapping[str, Any], key: Version, accelerator: Accelerator, traits: set[str]) -> list[str]:
    """The engine cores (or backends) that a version has for a device."""

    def has(needs: Mapping[str, Any]) -> bool:
        vendor_fits = "vendors" not in needs or accelerator.vendor in needs["vendors"]
        return vendor_fits and ("device" not in needs or needs["device"] in traits) and _in_span(needs, key)

    return [name for name, needs in (entry.get("cores") or {}).items() if has(needs)]


def _usual_core(entry: Mapping[str, Any], key: Version, accelerator: Accelerator, possible: list[str]) -> str:
    """The core that runs where none is named: the first, unless it needs a newer device."""
    needs = entry.get("v1_needs_compute_capability")
    capability = accelerator.capability()
    old = needs and capability is not None and _in_span(needs, key) and capability < version_key(needs["value"])
    return "v0" if old and "v0" in possible else possible[0] if possible else ""


def _checked_core(entry: Mapping[str, Any], engine: str, core: str, possible: list[str], accelerator: Accelerator) -> str:
    """The core asked for; UnsupportedCombination where the device or version has none, InvalidQuestion or UnknownName
    where the engine never had."""
    cores = entry.get("cores")
    if not cores:
        raise InvalidQuestion(f"{engine} has no engine cores or backends, got '+{core[:20]}'")
    kind = "backend" if any("device" in needs for needs in cores.values()) else "core"
    if core not in cores:
        raise UnknownName(f"{kind} of {engine}", core, cores)
    if core not in possible:
        hint = f"possible: {', '.join(possible)}"
        raise UnsupportedCombination(f"{engine} of that version has no {kind} {core} for {accelerator.name}", hint)
    return core


def _device_traits(traits: Mapping[str, Any], accelerator: Accelerator) -> set[str]:
    """Which of the named device traits (``device_traits`` in engines.yaml) a device has."""
    capability = accelerator.capability()
    found = {"cuda"} if capability is not None else set()
    found.add("processor" if accelerator.architecture == "cpu" else "accelerator")
    large, old = traits["large"], version_key(traits["turing"]["compute_capability_under"])
    is_large = accelerator.usable_memory >= parse_quantity(large["memory_at_least"], "byte")
    if is_large and accelerator.architecture not in large["except_architectures"] and not accelerator.unified_memory:
        found.add("large")
    if capability is not None and capability < old:
        found.add("turing")
    for name, trait in traits.items():
        if capability is not None and trait.get("compute_capability_major") == capability[0]:
            found.add(name)
    if accelerator.llvm_target:
        found.add("rocm")
    return found


def _applicable(fact: Any, key: Version, conditions: Mapping[str, Any]) -> Mapping[str, Any]:
    items = fact if isinstance(fact, list) else [fact]
    chosen: Mapping[str, Any] = {"value": None}
    for item in items:
        item = item if isinstance(item, Mapping) else {"value": item}
        core_fits = "core" not in item or item["core"] == conditions["core"]
        device_fits = "device" not in item or item["device"] in conditions["device"]
        if core_fits and device_fits and _in_span(item, key):
            chosen = item
    return chosen


def _in_span(item: Mapping[str, Any], key: Version) -> bool:
    after = "from" not in item or key >= version_key(str(item["from"]))
    return after and ("until" not in item or key < version_key(str(item["until"])))


def _span(item: Mapping[str, Any]) -> str:
    parts = [f"from {item['from']}"] if "from" in item else []
    parts += [f"until {item['until']}"] if "until" in item else []
    return " ".join(parts)


@lru_cache(maxsize=1)
def _units() -> dict[str, str]:
    from typing import get_type_hints

    hints = get_type_hints(EngineProfile, include_extras=True)
    units = {}
    for field in fields(EngineProfile):
        marks = [mark for mark in getattr(hints[field.name], "__metadata__", ()) if isinstance(mark, Unit)]
        units[field.name] = marks[0].unit if marks else "1"
    return units


def quantity_of_fact(name: str, value: Any) -> Any:
    """The value of an engine fact in base units. Raises UnknownName or UnitError."""
    if name not in _units():
        raise UnknownName("engine fact", name, _units())
    unit = _units()[name]
    return parse_quantity(value, unit) if isinstance(value, str) and unit not in {"1"} else value


@lru_cache(maxsize=1)
def unfused_elementwise() -> Elementwise:
    """Norms and activations that run operation by operation."""
    document = package_data("engines.yaml")
    facts = dict(document["unfused"])
    source = document["sources"][facts.pop("source")]
    return Elementwise(
        **facts, provenance=Provenance(Source(source["title"], str(source["date"]), source.get("tier", "specified")))
    )
