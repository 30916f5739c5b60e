"""Builders for families whose layers do not follow the decoder pattern."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from llmsizer.blocks.attention import GroupedQuery
from llmsizer.blocks.feed_forward import Dense, FeedForward
from llmsizer.blocks.operation import Role, Weight, vector
from llmsizer.blocks.tower import Tower, TowerPart
from llmsizer.catalog.config_reader import MOST_LAYERS, Config
from llmsizer.catalog.layers import (
    LayerPlan,
    Traits,
    dense,
    experts,
    grouped_query,
    layer_count,
    layer_types,
    make_plan,
    mamba2,
)
from llmsizer.catalog.towers import build_towers


def block_config_plans(traits: Traits) -> list[LayerPlan]:
    """Nemotron-NAS: each layer has its own heads and width, or leaves a block out."""
    config = traits.config
    heads, hidden = config.integer("num_attention_heads"), config.integer("hidden_size")
    base = grouped_query(
        type(traits)(traits.family, traits.values, Config({**config.data, "num_key_value_heads": heads}, config.where)),
        "full_attention",
    )
    plans = []
    for block in config.mappings("block_configs"):
        attention, ffn = block.mapping("attention"), block.mapping("ffn")
        mixer = None
        if attention is not None and not attention.truth("no_op", False):
            group = attention.integer("n_heads_in_group", most=heads)
            mixer = replace(base, num_key_value_heads=max(1, heads // group))
        feed: FeedForward | None = None
        if ffn is not None and not ffn.truth("no_op", False):
            feed = Dense(intermediate_size=_ffn_width(ffn, hidden))
        plan = make_plan(traits, "full_attention", mixer, feed)
        plans.append(replace(plan, norm_vectors=(mixer is not None) + (feed is not None)))
    return plans


def _ffn_width(ffn: Config, hidden: int) -> int:
    """DeciLM's rule: two thirds of twice the hidden size times the multiplier, rounded up to 256."""
    mult = ffn.data.get("ffn_mult")
    if isinstance(mult, bool) or not isinstance(mult, (int, float)) or not 0 < mult < 1000:
        raise ffn.error("ffn_mult", f"expected a number between 0 and 1000, got {mult!r:.40}")
    return -(-int(2 * mult * hidden / 3) // 256) * 256


def letter_pattern_plans(traits: Traits) -> list[LayerPlan]:
    """Nemotron-H: one sub-block a layer by letter: M Mamba-2, * attention, - MLP, E experts."""
    config = traits.config
    pattern = config.text("hybrid_override_pattern")
    if not pattern or len(pattern) > MOST_LAYERS or set(pattern) - set("M*-E"):
        raise config.error("hybrid_override_pattern", "expected one letter of 'M', '*', '-', 'E' a layer")
    made = {}
    for letter in set(pattern):
        if letter == "M":
            made[letter] = make_plan(traits, "linear_attention", mamba2(traits), None)
        elif letter == "*":
            made[letter] = make_plan(traits, "full_attention", grouped_query(traits, "full_attention"), None)
        else:
            made[letter] = make_plan(traits, "", None, dense(traits) if letter == "-" else experts(traits))
    return [made[letter] for letter in pattern]


def gemma3n_plans(traits: Traits) -> list[LayerPlan]:
    """Gemma 3n: altup, laurel and per-layer inputs; the last layers share earlier caches."""
    config = traits.config
    hidden, count = config.integer("hidden_size"), layer_count(traits)
    inputs, rank = config.integer("altup_num_inputs", most=64), config.integer("laurel_rank")
    width, shared = config.integer("hidden_size_per_layer_input"), config.integer("num_kv_shared_layers", 0, least=0)
    extra = (
        Weight("altup", Role.MLP, 2 * hidden + inputs**2 + inputs**3 + hidden * inputs, quantizable=False),
        Weight("laurel", Role.MLP, hidden, 2 * rank),
        vector("laurel_norm", hidden),
        Weight("per_layer_gate_and_projection", Role.MLP, hidden, 2 * width),
        vector("per_layer_norm", hidden),
    )
    plans = []
    for index, kind in enumerate(layer_types(traits, count)):
        attention = replace(grouped_query(traits, kind), shares_cache=index >= count - shared)
        plans.append(replace(make_plan(traits, kind, attention, dense(traits)), extra=extra))
    return plans


def _gemma3n_fields(traits: Traits) -> dict[str, Any]:
    config = traits.config
    layers, hidden = config.integer("num_hidden_layers"), config.integer("hidden_size")
    width, inputs = config.integer("hidden_size_per_layer_input"), config.integer("altup_num_inputs")
    per_layer = layers * width
    table = Weight("embed_tokens_per_layer", Role.EMBEDDING, per_layer, config.integer("vocab_size_per_layer_input"))
    return {
        "extra": (
            table,
            Weight("per_layer_model_projection", Role.MLP, hidden, per_layer),
            vector("per_layer_projection_norm", width),
            Weight("altup_projections", Role.MLP, hidden, hidden, 2 * (inputs - 1)),
        ),
        "towers": build_towers("given", config),
    }


def mllama_plans(traits: Traits) -> list[LayerPlan]:
    """Llama 3.2 Vision: some layers attend to the image instead of the text."""
    crossing = set(traits.config.integers("cross_attention_layers") or ())
    own = grouped_query(traits, "full_attention")
    cross = replace(own, cross=True, cross_gates=True, qk_norm="head")
    return [
        make_plan(
            traits,
            "cross" if index in crossing else "full_attention",
            cross if index in crossing else own,
            dense(traits),
        )
        for index in range(layer_count(traits))
    ]


def _mllama_fields(traits: Traits) -> dict[str, Any]:
    config = traits.config
    vision = config.mapping("vision_config")
    fields: dict[str, Any] = {"embedding_rows": config.integer("vocab_size") + 8}
    if vision is None:
        return fields
    width, heads = vision.integer("hidden_size"), vision.integer("attention_heads")
    patches = (vision.integer("image_size") // vision.integer("patch_size")) ** 2 + 1
    tiles = vision.integer("max_num_tiles", 4)
    ratios = vision.integer("num_aspect_ratios", 8) + 1
    patch = vision.integer("patch_size")
    parts = (
        TowerPart(name="patch_embedding", rows=3 * patch * patch, columns=width),
        TowerPart(name="class_embedding_and_norms", rows=width, columns=5),
        TowerPart(name="position_embedding", rows=patches, columns=width, bias=1),
        TowerPart(name="tile_position_embedding", rows=ratios * tiles * patches, columns=width),
        TowerPart(name="tile_embeddings", rows=ratios * tiles, columns=width, copies=2, bias=1),
        TowerPart(
            name="projector", rows=vision.integer("vision_output_dim"), columns=config.integer("hidden_size"),
            bias=config.integer("hidden_size"),
        ),
    )  # fmt: skip
    tower = Tower(
        name="Mllama vision", hidden_size=width, intermediate_size=vision.integer("intermediate_size"),
        num_layers=vision.integer("num_hidden_layers"), num_heads=heads, head_dim=vision.head_width(heads), gated=False,
        bias=False, mlp_bias=True, norm_vectors=4, parts=parts, patches=patches * tiles,
    )  # fmt: skip
    gated = replace(
        tower, name="Mllama global vision", num_layers=vision.integer("num_global_layers"), layer_scalars=2, parts=()
    )
    return fields | {"towers": (tower, gated), "encoder_tokens": patches * tiles}


def whisper_plans(traits: Traits) -> list[LayerPlan]:
    """Whisper: a decoder whose layers attend to themselves and to the audio encoder."""
    attention = _whisper_attention(traits.config)
    ffn = Dense(intermediate_size=traits.config.integer("intermediate_size"), gated=False, bias=True)
    cross = replace(attention, cross=True)
    return [LayerPlan("full + cross + dense", attention, ffn, 6, cross)] * layer_count(traits)


def _whisper_attention(config: Config) -> GroupedQuery:
    heads = config.integer("num_attention_heads")
    return GroupedQuery(
        num_attention_heads=heads, num_key_value_heads=heads, head_dim=config.head_width(heads), qkv_bias=True,
        output_bias=True, key_bias=False,
    )  # fmt: skip


def _whisper_fields(traits: Traits) -> dict[str, Any]:
    config = traits.config
    hidden, heads = config.integer("hidden_size"), config.integer("num_attention_heads")
    positions, bins = config.integer("max_source_positions"), config.integer("num_mel_bins")
    parts = (
        TowerPart(name="conv1", rows=3 * bins, columns=hidden, bias=hidden),
        TowerPart(name="conv2", rows=3 * hidden, columns=hidden, bias=hidden),
        TowerPart(name="position_embedding", rows=positions, columns=hidden),
        TowerPart(name="layer_norm", rows=hidden, columns=2),
    )
    encoder = Tower(
        name="Whisper encoder", hidden_size=hidden, intermediate_size=config.integer("intermediate_size"),
        num_layers=config.integer("encoder_layers"), num_heads=heads, head_dim=config.head_width(heads), gated=False,
        bias=True, mlp_bias=True, norm_vectors=4, key_bias=False, parts=parts, patches=positions,
        image_tokens=positions,
    )  # fmt: skip
    return {
        "towers": (encoder,), "encoder_tokens": positions, "final_norm_vectors": 2,
        "position_rows": config.integer("max_position_embeddings"),
    }  # fmt: skip


def bert_plans(traits: Traits) -> list[LayerPlan]:
    """BERT: an encoder only; it keeps no cache."""
    attention = replace(grouped_query(traits, "full_attention"), shares_cache=True)
    return [make_plan(traits, "encoder", attention, dense(traits))] * layer_count(traits)


def _bert_fields(traits: Traits) -> dict[str, Any]:
    config = traits.config
    hidden = config.integer("hidden_size")
    return {
        "final_norm_vectors": 0,
        "embedding_norm_vectors": 2,
        "extra": (
            Weight("token_type_embeddings", Role.EMBEDDING, hidden, config.integer("type_vocab_size", 2), quantizable=False),
            Weight("pooler", Role.MLP, hidden, hidden, bias=hidden),
        ),
    }


BUILDERS: dict[str, Callable[[Traits], list[LayerPlan]]] = {
    "block_configs": block_config_plans, "letter_pattern": letter_pattern_plans, "gemma3n": gemma3n_plans,
    "mllama": mllama_plans, "whisper": whisper_plans, "bert": bert_plans,
}  # fmt: skip

SPECIAL_FIELDS: dict[str, Callable[[Traits], dict[str, Any]]] = {
    "gemma3n": _gemma3n_fields, "mllama": _mllama_fields, "whisper": _whisper_fields, "bert": _bert_fields,
}  # fmt: skip
