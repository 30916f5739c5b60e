"""Checks of the YAML files of formats, schemes and engines, made when the catalogs are compiled.

Their readers (``formats``, ``engines``) trust the files; a mistake in one is refused here, with its
file, line and field and the nearest right name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from functools import partial
from typing import Any

from llmsizer.blocks.attention import ATTENTION_KINDS
from llmsizer.blocks.operation import Role
from llmsizer.catalog.entries import Sources, entries, validate
from llmsizer.core.errors import CatalogError, UnitError, UnknownName, nearest
from llmsizer.core.yaml import Document, KeyPath
from llmsizer.schema.engine import EngineProfile
from llmsizer.schema.number_format import CacheFormat, NumberFormat

FILES = ("number_formats.yaml", "quantization_schemes.yaml", "engines.yaml")
SCHEME_KEYS = ("linear", "roles", "dense_linear", "note", "source", "aliases")
MIX_KEYS = ("default", "output", "embedding", "rules", "like", "aliases")
RULE_KEYS = ("tensor", "format", "layers", "if", "from")
GGUF_KEYS = ("vector_format", "output_default", "embedding_default", "mixes", "always")
FACT_KEYS = ("value", "source", "from", "until", "core", "device")
ENGINE_KEYS = (
    "title", "versions", "facts", "default_source", "accounting", "kv_layout", "schemes", "cache_formats",
    "attention_kinds", "vendors", "flags",
)  # fmt: skip
ENGINE_OPTIONS = (
    "aliases",
    "cores",
    "v1_needs_compute_capability",
    "notes",
    "offload",
    "host",
    "cache_optional",
    "scheme_needs",
    "cache_needs",
)
NEED_KEYS = ("schemes", "compute_capability", "vendors", "source")
VERSION_KEYS = ("oldest", "newest", "last_seen")
UNFUSED_KEYS = ("norm_passes", "norm_kernels", "activation_passes", "activation_kernels", "source")
# Facts of an engine that its entry itself gives.
IDENTITY = {
    "id", "version", "core", "usual_core", "backends", "newest", "known_version", "provenance", *ENGINE_KEYS, *ENGINE_OPTIONS,
}  # fmt: skip


def check_documents(documents: Mapping[str, Document]) -> None:
    """Checks the files among ``documents`` (by name). Raises CatalogError for the first mistake."""
    formats = documents["number_formats.yaml"]
    check_formats(formats)
    check_schemes(documents["quantization_schemes.yaml"], list(formats.data["formats"]))
    check_engines(documents["engines.yaml"])


def check_formats(document: Document) -> None:
    """Every format's fields and sources."""
    _known(document, (), document.data, ("sources", "formats", "cache_formats", "cache_aliases", "kernel_resembles"))
    sources = Sources(document)
    for section, kind in (("formats", NumberFormat), ("cache_formats", CacheFormat)):
        for name, entry in entries(document, section).items():
            path = (section, name)
            sources.best(entry.get("source"), (*path, "source"))
            validate(kind, {k: v for k, v in entry.items() if k != "source"} | {"id": name}, document, path)
            if "fallback" in entry:
                _one_of(document, (*path, "fallback"), entry["fallback"], document.data["formats"], "number format")
    for alias, name in entries_of(document, ("cache_aliases",)):
        _one_of(document, ("cache_aliases", alias), name, document.data["cache_formats"], "cache format")


def check_schemes(document: Document, formats: Iterable[str]) -> None:
    """Every scheme's and GGUF mix's keys, formats and sources."""
    _known(document, (), document.data, ("sources", "schemes", "gguf"))
    sources, formats = Sources(document), list(formats)
    roles = [role.name.lower() for role in Role]
    for name, entry in entries(document, "schemes").items():
        path = ("schemes", name)
        _known(document, path, entry, SCHEME_KEYS, needed=("linear",))
        sources.best(entry.get("source"), (*path, "source"))
        for key in ("linear", "dense_linear"):
            if key in entry:
                _one_of(document, (*path, key), entry[key], [*formats, "native"], "number format")
        for role, stored in entries_of(document, (*path, "roles")):
            _one_of(document, (*path, "roles", role), role, roles, "role")
            _one_of(document, (*path, "roles", role), stored, [*formats, "native"], "number format")
    _check_gguf(document, formats)


def _check_gguf(document: Document, formats: list[str]) -> None:
    section = document.data.get("gguf")
    _known(document, ("gguf",), section, GGUF_KEYS, needed=GGUF_KEYS)
    _check_rules(document, ("gguf", "always"), section["always"], formats)
    for name, entry in entries_of(document, ("gguf", "mixes")):
        path = ("gguf", "mixes", name)
        _known(document, path, entry, MIX_KEYS)
        if "like" in entry:
            _one_of(document, (*path, "like"), entry["like"], section["mixes"], "mix")
        elif "default" not in entry:
            raise document.error("is missing", (*path, "default"))
        for key in ("default", "output"):
            if key in entry:
                _one_of(document, (*path, key), entry[key], formats, "number format")
        if "embedding" in entry:
            _one_of(document, (*path, "embedding"), entry["embedding"], [*formats, "same"], "number format")
        _check_rules(document, (*path, "rules"), entry.get("rules") or [], formats)


def _check_rules(document: Document, path: KeyPath, rules: Any, formats: list[str]) -> None:
    if not isinstance(rules, list):
        raise document.error("expected a list of rules", path)
    for index, rule in enumerate(rules):
        here = (*path, index)
        _known(document, here, rule, RULE_KEYS, needed=("tensor", "format"))
        _one_of(document, (*here, "format"), rule["format"], formats, "number format")


def check_engines(document: Document) -> None:
    """Every engine's keys, facts, units and sources."""
    _known(document, (), document.data, ("sources", "device_traits", "unfused", "engines"))
    sources = Sources(document)
    _known(document, ("unfused",), document.data["unfused"], UNFUSED_KEYS, needed=UNFUSED_KEYS)
    sources.source(str(document.data["unfused"]["source"]), ("unfused", "source"))
    for name, entry in entries(document, "engines").items():
        path = ("engines", name)
        _known(document, path, entry, (*ENGINE_KEYS, *ENGINE_OPTIONS), needed=ENGINE_KEYS)
        _known(document, (*path, "versions"), entry["versions"], VERSION_KEYS, needed=VERSION_KEYS)
        sources.source(str(entry["default_source"]), (*path, "default_source"))
        for kind in _list(document, (*path, "attention_kinds"), entry["attention_kinds"]):
            _one_of(document, (*path, "attention_kinds"), kind, ATTENTION_KINDS, "attention kind")
        for kind in ("scheme_needs", "cache_needs"):
            for index, need in enumerate(entry.get(kind, ())):
                _known(document, (*path, kind, index), need, NEED_KEYS, needed=NEED_KEYS)
                sources.source(str(need["source"]), (*path, kind, index, "source"))
        for fact, value in entries_of(document, (*path, "facts")):
            _check_fact(document, (*path, "facts", fact), value, sources, entry)


def _check_fact(document: Document, path: KeyPath, fact: Any, sources: Sources, entry: Mapping[str, Any]) -> None:
    from llmsizer.catalog.engines import quantity_of_fact

    known = [item.name for item in fields(EngineProfile) if item.name not in IDENTITY]
    _one_of(document, path, path[-1], known, "engine fact")
    for index, item in enumerate(fact if isinstance(fact, list) else [fact]):
        if not isinstance(item, Mapping):
            item = {"value": item}
        here = (*path, index) if isinstance(fact, list) else path
        _known(document, here, item, FACT_KEYS, needed=("value",))
        if "source" in item:
            sources.source(str(item["source"]), (*here, "source"))
        if "core" in item:
            _one_of(document, (*here, "core"), item["core"], entry.get("cores") or (), "engine core")
        if "device" in item:
            traits = [*document.data["device_traits"], "rocm", "cuda", "processor", "accelerator"]
            _one_of(document, (*here, "device"), item["device"], traits, "device trait")
        _worded(document, here, partial(quantity_of_fact, str(path[-1]), item["value"]))


def _worded(document: Document, path: KeyPath, read: Callable[[], Any]) -> None:
    try:
        read()
    except (UnitError, UnknownName) as error:
        raise document.error(error.message, path, error.hint) from None


def entries_of(document: Document, path: KeyPath) -> list[tuple[str, Any]]:
    """The items of a mapping inside a document; none where it is absent."""
    found: Any = document.data
    for part in path:
        found = found.get(part) if isinstance(found, Mapping) else None
    if found is None:
        return []
    if not isinstance(found, Mapping):
        raise document.error("expected a mapping", path)
    return [(str(key), value) for key, value in found.items()]


def _list(document: Document, path: KeyPath, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise document.error("expected a list", path)
    return value


def _known(document: Document, path: KeyPath, entry: Any, known: Iterable[str], needed: Iterable[str] = ()) -> None:
    """Refuses keys that are not known and keys that are missing."""
    if not isinstance(entry, Mapping):
        raise document.error("expected a mapping", path)
    for key in entry:
        _one_of(document, (*path, key), key, known, "field")
    for key in needed:
        if key not in entry:
            raise document.error("is missing", (*path, key))


def _one_of(document: Document, path: KeyPath, value: Any, known: Iterable[str], what: str) -> None:
    listed = list(known)
    if value in listed:
        return
    raise _unknown(document, path, value, listed, what)


def _unknown(document: Document, path: KeyPath, value: Any, known: list[str], what: str) -> CatalogError:
    near = nearest(str(value), known)
    hint = f"Did you mean: {', '.join(near)}?" if near else f"known: {', '.join(sorted(known)[:30])}"
    return document.error(f"unknown {what} '{str(value)[:60]}'", path, hint)
