"""From a config.json to a Model, driven by the conventions of ``architectures.yaml``.

The YAML holds each family's conventions; ``layers`` reads an ordinary decoder through them, and
families whose layers do not fit the pattern have a builder in ``special_architectures``.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from llmsizer.blocks.attention import GroupedQuery
from llmsizer.blocks.feed_forward import MixtureOfExperts
from llmsizer.catalog.config_reader import MOST_LAYERS, Config
from llmsizer.catalog.layers import VECTORS_PER_NORM, LayerPlan, Traits, decoder_plans
from llmsizer.catalog.package_data import package_data
from llmsizer.catalog.special_architectures import BUILDERS, SPECIAL_FIELDS
from llmsizer.catalog.towers import build_towers
from llmsizer.core.errors import nearest
from llmsizer.schema.model import LayerGroup, Model, MultiTokenPrediction

TEXT_CONFIGS = ("text_config", "llm_config", "language_config", "thinker_config")


@lru_cache(maxsize=1)
def families() -> dict[str, dict[str, Any]]:
    """All model types with their conventions, defaults merged in."""
    data = package_data("architectures.yaml")
    return {name: {**data["defaults"], **(traits or {})} for name, traits in data["families"].items()}


def family_of(config: Config) -> str:
    """The model type of a config, by ``model_type`` or by ``architectures``; refused when unknown."""
    known = families()
    model_type = config.text("model_type")
    if model_type in known:
        return model_type
    classes = config.texts("architectures") or ()
    for name, traits in known.items():
        if any(candidate in traits["architectures"] for candidate in classes):
            return name
    given = model_type or ", ".join(classes)
    if not given:
        raise config.error("model_type", "is missing, and so is architectures", "Is this a config.json of a language model?")
    near = nearest(given, known)
    hint = f"The nearest supported types are: {', '.join(near)}. " if near else ""
    hint += "A similar name is no proof of a similar model; see CONTRIBUTING.md to add it."
    raise config.error("model_type" if model_type else "architectures", f"architecture '{given[:60]}' is not supported", hint)


def build_model(config: Config, **identity: Any) -> Model:
    """The Model of a config; ``identity`` gives the fields a config does not hold (id, sources, checks)."""
    family = family_of(config)
    traits = families()[family]
    if traits.get("text_config"):
        config = config.opened(*TEXT_CONFIGS)
    config = config.renamed(traits.get("rename") or {})
    resolved = Traits(family, traits, config)
    plans = BUILDERS.get(traits["builder"], decoder_plans)(resolved)
    if len(plans) > MOST_LAYERS:
        raise config.error("num_hidden_layers", f"expected at most {MOST_LAYERS} layers, got {len(plans)}")
    fields: dict[str, Any] = _outside(resolved) | {"layers": grouped(plans), "mtp": _mtp(resolved, plans)}
    fields |= SPECIAL_FIELDS[family](resolved) if family in SPECIAL_FIELDS else {}
    return Model(model_type=family, num_hidden_layers=len(plans), **(fields | identity))


def grouped(plans: Iterable[LayerPlan]) -> tuple[LayerGroup, ...]:
    """Equal layers gathered into groups, in order of first appearance."""
    places: dict[LayerPlan, list[int]] = {}
    for index, plan in enumerate(plans):
        places.setdefault(plan, []).append(index)
    return tuple(
        LayerGroup(
            name=plan.name, count=len(indices), indices=frozenset(indices), attention=plan.attention,
            feed_forward=plan.feed_forward, norm_vectors=plan.norm_vectors,
            cross_attention=plan.cross_attention, extra=plan.extra,
        )
        for plan, indices in places.items()
    )  # fmt: skip


_DTYPES = {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16", "fp32": "fp32", "fp16": "fp16", "bf16": "bf16"}


def _outside(traits: Traits) -> dict[str, Any]:
    """The fields of a Model that do not concern its layers."""
    config = traits.config
    dtype = config.text("torch_dtype") or config.text("dtype") or "bfloat16"
    if dtype not in _DTYPES:
        raise config.error("torch_dtype", f"unknown type '{dtype[:40]}'", f"known: {', '.join(_DTYPES)}")
    longest = config.optional("max_position_embeddings", most=10**9)
    rows = traits["position_rows"]
    positions = (longest or config.integer("max_position_embeddings")) + rows if isinstance(rows, int) else None
    return {
        "hidden_size": config.integer("hidden_size"),
        "vocab_size": config.integer("vocab_size"),
        "torch_dtype": _DTYPES[dtype],
        "native_quantization": _DTYPES[dtype],
        "tie_word_embeddings": config.truth("tie_word_embeddings", bool(traits["tie_word_embeddings"])),
        "max_position_embeddings": longest,
        "lm_head": bool(traits["lm_head"]),
        "lm_head_bias": bool(traits["lm_head_bias"]),
        "position_rows": positions,
        "embedding_norm_vectors": VECTORS_PER_NORM[traits["norm"]] if traits["embedding_norm"] else None,
        "final_norm_vectors": VECTORS_PER_NORM[traits["norm"]],
        "towers": build_towers(traits.values.get("tower"), config),
        "config": dict(config.data),
    }


def _mtp(traits: Traits, plans: list[LayerPlan]) -> MultiTokenPrediction | None:
    rule = traits.values.get("mtp")
    count = traits.resolve(rule["count"]) if rule else 0
    if not count or not plans:
        return None
    attention = next((p.attention for p in plans if p.name.startswith("full")), plans[-1].attention)
    ffn = next((plan.feed_forward for plan in reversed(plans) if plan.feed_forward is not None), None)
    if traits.family == "nemotron_h":
        attention = next((p.attention for p in plans if isinstance(p.attention, GroupedQuery)), attention)
        ffn = next((p.feed_forward for p in plans if isinstance(p.feed_forward, MixtureOfExperts)), ffn)
    norms = 2 * VECTORS_PER_NORM[traits["norm"]]
    group = LayerGroup(name="mtp", count=1, indices=frozenset(), attention=attention, feed_forward=ffn, norm_vectors=norms)
    return MultiTokenPrediction(count=count, layer=group)
