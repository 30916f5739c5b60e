"""A catalog entry from a model's files: written for review, with its source and date filled in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from datetime import date
from pathlib import Path
from typing import Any

from llmsizer.catalog.architectures import TEXT_CONFIGS
from llmsizer.catalog.catalog import Catalog
from llmsizer.catalog.formats import number_formats
from llmsizer.catalog.model_files import ModelSource, expanded, is_model_path, model_source
from llmsizer.catalog.models import model_of_entry
from llmsizer.core.errors import InvalidQuestion, LlmsizerError
from llmsizer.core.explain import Provenance, plain
from llmsizer.schema.model import Model
from llmsizer.sizing.lowering import mtp_parameters, total_parameters

SOURCE_KEY = "imported"
# Always written when the config has them: a reviewer looks for these first.
USUAL = (
    "model_type", "num_hidden_layers", "hidden_size", "intermediate_size", "num_attention_heads", "num_key_value_heads",
    "head_dim", "vocab_size", "tie_word_embeddings", "max_position_embeddings", "torch_dtype", "sliding_window",
)  # fmt: skip
# What llmsizer never reads: dropped before anything is tried.
IDENTITY = {"id", "config", "provenance", "checks", "notes", "unverified", "aliases"}


def import_source(text: str, catalog: Catalog) -> ModelSource:
    """The files of a path, or of a Hub id, which is downloaded (configuration only)."""
    if is_model_path(text):
        return model_source(expanded(Path(text)))
    if known := catalog.model_id(text):
        raise InvalidQuestion(f"'{known}' is in the catalog already", f"`llmsizer models show {known}` shows it.")
    from llmsizer.authoring.hub import downloaded

    return downloaded(text)


def entry_text(source: ModelSource, name: str, origin: str, today: date) -> str:
    """The catalog file (YAML) that holds one entry: config, checks, sources.

    ``origin``: where it was imported from, as the reviewer should see it. Only the keys of the
    config that change the model, and the usual ones, are written.
    """
    model = _built(name, source.config, source)
    config = needed(name, source)
    document: dict[str, Any] = {"sources": {SOURCE_KEY: {"title": f"imported from {origin}", "date": today}}}
    entry: dict[str, Any] = {"config": config}
    if checks := _checks(source, model):
        entry["checks"] = checks
    entry["source"] = [SOURCE_KEY]
    if not _confirmed(source, model):
        entry["unverified"] = ["all"]
    return "\n".join([*_heading(source, model), _yaml({**document, "models": {name: entry}})])


def needed(name: str, source: ModelSource) -> dict[str, Any]:
    """The keys of a config that matter: leaving out any other leaves the model as it is."""
    wanted = _same(_built(name, source.config, source))
    config = dict(source.config)
    for key in TEXT_CONFIGS:
        if isinstance(config.get(key), Mapping):
            opened = {**config, **{k: v for k, v in config[key].items() if v is not None}}
            opened["model_type"] = config.get("model_type") or opened.get("model_type")
            opened.pop(key)
            config = opened if _holds(name, opened, source, wanted) else config
    for key in sorted(config, key=lambda key: key in USUAL):
        if key not in USUAL or config[key] is None:
            config = _without(name, config, key, source, wanted)
        if isinstance(config.get(key), Mapping):
            config[key] = _thinned(name, config, key, source, wanted)
    return {key: config[key] for key in (*(k for k in USUAL if k in config), *(k for k in config if k not in USUAL))}


def _without(name: str, config: dict[str, Any], key: str, source: ModelSource, wanted: Any) -> dict[str, Any]:
    rest = {other: value for other, value in config.items() if other != key}
    return rest if _holds(name, rest, source, wanted) else config


def _thinned(name: str, config: dict[str, Any], key: str, source: ModelSource, wanted: Any) -> dict[str, Any]:
    inner = dict(config[key])
    for part in list(inner):
        rest = {other: value for other, value in inner.items() if other != part}
        if _holds(name, {**config, key: rest}, source, wanted):
            inner = rest
    return inner


def _built(name: str, config: Mapping[str, Any], source: ModelSource) -> Model:
    return model_of_entry(name, {"config": config}, Provenance(), str(source.file), source.lines)


def _holds(name: str, config: Mapping[str, Any], source: ModelSource, wanted: Any) -> bool:
    try:
        return bool(_same(_built(name, config, source)) == wanted)
    except LlmsizerError:
        return False


def _same(model: Model) -> list[Any]:
    return [getattr(model, item.name) for item in fields(model) if item.name not in IDENTITY]


def _counted(model: Model) -> tuple[int, int]:
    return round(plain(total_parameters(model))), round(plain(mtp_parameters(model)))


def _stored(source: ModelSource, model: Model) -> int | None:
    """The parameters that the safetensors files hold; from an index that states only its bytes, those
    bytes make of a checkpoint in one type (where they are another number, types may be mixed: unknown)."""
    stored = source.stored
    if stored is None or stored.parameters is not None or stored.bytes is None:
        return stored.parameters if stored is not None else None
    own, further = _counted(model)
    each = plain(number_formats()[model.torch_dtype].bits) / 8
    plainly = model.native_quantization == model.torch_dtype
    return next((count for count in (own, own + further) if plainly and count * each == stored.bytes), None)


def _confirmed(source: ModelSource, model: Model) -> bool:
    own, further = _counted(model)
    return _stored(source, model) in {own, own + further}


def _checks(source: ModelSource, model: Model) -> dict[str, Any]:
    """The stored number of parameters, as a check that the code must reproduce, where it does."""
    stored = _stored(source, model)
    if stored is None:
        return {}
    own, further = _counted(model)
    checks: dict[str, Any] = {"total_parameters": stored, "source": SOURCE_KEY}
    if further and stored != own:
        checks["includes"] = ["mtp"]
        own += further
    if stored != own:
        checks["counted_besides"] = {"unexplained": stored - own}
    return checks


def _heading(source: ModelSource, model: Model) -> list[str]:
    own, _ = _counted(model)
    lines = [
        "# Written by `llmsizer import`: review it, then move the entry into a catalog file of yours.",
        f"# {own:,} parameters, family {model.model_type}, stored as {model.native_quantization}.",
    ]
    stored = _stored(source, model)
    if stored is None:
        lines.append("# Unverified: no safetensors headers confirm the number of parameters.")
        if source.stored is not None and source.stored.bytes is not None:
            lines.append(f"# The safetensors files take {source.stored.bytes:,} bytes.")
    elif _confirmed(source, model):
        lines.append("# The safetensors files hold the same number of parameters.")
    else:
        lines.append(f"# Unverified: the safetensors files hold {stored:,} elements, {stored - own:+,} (see `checks`).")
    return [*lines, *(f"# {note}" for note in source.notes)]


def _yaml(document: dict[str, Any]) -> str:
    import yaml

    class Dumper(yaml.SafeDumper):
        """Lists on one line, mappings in blocks, no anchors."""

        def ignore_aliases(self, data: Any) -> bool:
            return True

    Dumper.add_representer(list, lambda dumper, data: dumper.represent_sequence("tag:yaml.org,2002:seq", data, True))
    return yaml.dump(document, Dumper=Dumper, sort_keys=False, width=118, allow_unicode=True)
