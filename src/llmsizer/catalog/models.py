"""Models: catalog entries spelt like config.json become nouns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from llmsizer.catalog.architectures import build_model
from llmsizer.catalog.config_reader import Config
from llmsizer.catalog.quantization_config import native_scheme, quantization_method
from llmsizer.core.explain import Provenance
from llmsizer.schema.model import Checks, Model


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelEntry:
    """One model of a catalog file. ``mtp_embedding_copies``: embedding and head copies its
    multi-token-prediction modules bring into the checkpoint."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    config: dict[str, Any]
    aliases: tuple[str, ...] = ()
    checks: ChecksEntry | None = None
    mtp_embedding_copies: int = 0
    source: tuple[str, ...] | str = ()
    unverified: tuple[str, ...] = ()
    notes: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChecksEntry:
    """Published figures of a model; see the head of models_catalog.yaml."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    total_parameters: int | None = None
    tolerance: int = 0
    includes: tuple[str, ...] = ()
    counted_besides: dict[str, int] = field(default_factory=dict)
    active_parameters: int | None = None
    active_tolerance: int = 0
    active_convention: str = "all"
    independent: bool = True
    source: str = ""


def _with_layers(provenance: Provenance) -> Provenance:
    """The number of layers of a group comes from where the model's number comes from."""
    found = provenance.fields.get("num_hidden_layers")
    return provenance if found is None else Provenance(provenance.default, {**provenance.fields, "count": found})


def model_of_entry(
    name: str, entry: Mapping[str, Any], provenance: Provenance, where: str, lines: Mapping[str, int] | None = None
) -> Model:
    """The Model of a validated entry; ``where`` and ``lines`` are for errors in its config."""
    config = Config(entry["config"], where, lines)
    checks = entry.get("checks") or {}
    besides = checks.get("counted_besides") or {}
    model = build_model(
        config,
        id=name,
        aliases=tuple(entry.get("aliases") or ()),
        notes=entry.get("notes") or "",
        unverified=tuple(entry.get("unverified") or ()),
        provenance=_with_layers(provenance),
        checks=Checks(
            total_parameters=checks.get("total_parameters"), tolerance=checks.get("tolerance") or 0,
            includes=tuple(checks.get("includes") or ()), extra_elements=sum(besides.values()),
            active_parameters=checks.get("active_parameters"), active_tolerance=checks.get("active_tolerance") or 0,
            active_convention=checks.get("active_convention") or "all", source=checks.get("source") or "",
        ),
    )  # fmt: skip
    fields: dict[str, Any] = {"native_quantization": native_scheme(config, model.torch_dtype)}
    if model.mtp is not None and entry.get("mtp_embedding_copies"):
        fields["mtp"] = replace(model.mtp, embedding_copies=entry["mtp_embedding_copies"])
    fields["tied_head_stored"] = "tied_head_copy" in (checks.get("includes") or ())
    return _with_stored_formats(replace(model, **fields), config)


def stored_as(model: Model, quantization: Mapping[str, Any], where: str) -> Model:
    """The model as a checkpoint with another ``quantization_config`` stores it."""
    config = Config({"quantization_config": quantization}, where)
    native = native_scheme(config, model.torch_dtype)
    return _with_stored_formats(replace(model, native_quantization=native, stored_formats={}), config)


def _with_stored_formats(model: Model, config: Config) -> Model:
    """The model with what its quantization_config says of single modules."""
    if quantization_method(config) is None:
        return model
    from llmsizer.catalog.quantization_exceptions import stored_formats

    formats, notes = stored_formats(model, config)
    return replace(model, stored_formats=formats, notes="; ".join(note for note in (model.notes, *notes) if note))
