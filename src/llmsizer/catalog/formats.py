"""Number formats and quantization schemes from their YAML files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

from llmsizer.catalog.package_data import package_data
from llmsizer.core.errors import UnknownName
from llmsizer.core.explain import Provenance, Source
from llmsizer.schema.model import Model
from llmsizer.schema.number_format import NATIVE, CacheFormat, MixRule, NumberFormat, QuantizationScheme

UNQUANTIZED = ("fp32", "fp16", "bf16")


def _source(sources: Mapping[str, Any], key: str) -> Provenance:
    entry = sources[key]
    return Provenance(Source(str(entry["title"]), str(entry.get("date", entry.get("version", "")))))


@lru_cache(maxsize=1)
def number_formats() -> dict[str, NumberFormat]:
    """All weight formats by id."""
    data = package_data("number_formats.yaml")
    return {name: _format(name, entry, data["sources"]) for name, entry in data["formats"].items()}


def _format(name: str, entry: Mapping[str, Any], sources: Mapping[str, Any]) -> NumberFormat:
    fields = {key: value for key, value in entry.items() if key != "source"}
    if "block" in fields:
        fields["block"] = tuple(fields["block"])
    return NumberFormat(id=name, provenance=_source(sources, entry["source"]), **fields)


@lru_cache(maxsize=1)
def cache_formats() -> dict[str, CacheFormat]:
    """All cache formats by id."""
    data = package_data("number_formats.yaml")
    made = {}
    for name, entry in data["cache_formats"].items():
        fields = {key: value for key, value in entry.items() if key != "source"}
        made[name] = CacheFormat(id=name, provenance=_source(data["sources"], entry["source"]), **fields)
    return made


def cache_format(name: str) -> CacheFormat:
    """A cache format by id or alias."""
    known = cache_formats()
    aliases = package_data("number_formats.yaml")["cache_aliases"]
    wanted = aliases.get(name, name)
    if wanted not in known:
        raise UnknownName("KV cache format", name, [*known, *aliases])
    return known[wanted]


@lru_cache(maxsize=1)
def scheme_names() -> dict[str, str]:
    """Every name a scheme answers to, with its id; GGUF mixes as llama.cpp spells them."""
    data = package_data("quantization_schemes.yaml")
    names: dict[str, str] = {}
    for section in (data["gguf"]["mixes"], data["schemes"]):
        for name, entry in section.items():
            names |= dict.fromkeys((name, *(entry.get("aliases") or ())), name)
    return names


def quantization_scheme(name: str, gguf: bool = False) -> QuantizationScheme:
    """A scheme by id or alias. Spelling decides between a GGUF file (``MXFP4``, ``BF16``) and the
    format of the same name; any other case works too, and ``gguf`` then prefers the GGUF file.
    """
    names = scheme_names()
    if name in names and not (gguf and name.upper() in names):
        return _scheme(names[name])
    mixes = package_data("quantization_schemes.yaml")["gguf"]["mixes"]
    fitting = [spelt for spelt in names if spelt.lower() == name.lower()]
    fitting.sort(key=lambda spelt: (names[spelt] in mixes) != gguf)
    if not fitting:
        raise UnknownName("quantization scheme", name, set(names))
    return _scheme(names[fitting[0]])


def published_scheme(model: Model) -> QuantizationScheme:
    """The scheme of a model's published checkpoint, with what it stores otherwise than the scheme does."""
    return _with_stored(model) if model.stored_formats else quantization_scheme(model.native_quantization)


@lru_cache(maxsize=64)
def _with_stored(model: Model) -> QuantizationScheme:
    scheme = quantization_scheme(model.native_quantization)
    used = {name: number_formats()[name] for name in {*model.stored_formats.values()} - {NATIVE}}
    return replace(scheme, tensors=model.stored_formats, formats={**scheme.formats, **used})


@lru_cache(maxsize=256)
def _scheme(name: str) -> QuantizationScheme:
    data = package_data("quantization_schemes.yaml")
    if name in data["gguf"]["mixes"]:
        return _gguf(name, data)
    entry = data["schemes"][name]
    formats = number_formats()
    roles = entry.get("roles") or {}
    used = {entry["linear"], entry.get("dense_linear"), *roles.values(), *UNQUANTIZED} - {NATIVE, None}
    return QuantizationScheme(
        id=name, linear=entry["linear"], roles=roles, formats={key: formats[key] for key in used},
        dense_linear=entry.get("dense_linear"), note=entry.get("note", ""),
        provenance=_source(data["sources"], entry["source"]),
    )  # fmt: skip


def _gguf(name: str, data: Mapping[str, Any]) -> QuantizationScheme:
    section = data["gguf"]
    entry = dict(section["mixes"][name])
    if "like" in entry:
        entry = {**section["mixes"][entry["like"]], **entry}
    default = entry["default"]
    rules = tuple(_rule(rule) for rule in entry.get("rules") or ())
    always = tuple(_rule(rule) for rule in section["always"])
    formats = number_formats()
    output = entry.get("output", section["output_default"])
    return QuantizationScheme(
        id=name, linear=default, roles={}, formats=formats, is_gguf=True, output=output,
        embedding=entry.get("embedding", section["embedding_default"]), vector=section["vector_format"],
        rules=rules, always=always, provenance=_source(data["sources"], "llama.cpp"),
    )  # fmt: skip


def _rule(rule: Mapping[str, Any]) -> MixRule:
    return MixRule(
        tensor=rule["tensor"], format=rule["format"], layers=rule.get("layers", "all"),
        condition=rule.get("if", ""), only_from=tuple(rule.get("from") or ()),
    )  # fmt: skip
