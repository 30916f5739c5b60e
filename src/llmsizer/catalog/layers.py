"""The layers of an ordinary decoder: mixers by layer type, feed-forwards by place.

Reads a config's numbers through a family's conventions (``Traits``, from ``architectures.yaml``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from llmsizer.blocks.attention import (
    Attention,
    GatedDeltaNet,
    GroupedQuery,
    Indexer,
    KimiDelta,
    Latent,
    Lightning,
    Mamba1,
    Mamba2,
)
from llmsizer.blocks.feed_forward import Dense, FeedForward, MixtureOfExperts
from llmsizer.blocks.operation import Weight, vector
from llmsizer.catalog.config_reader import MOST_LAYERS, Config

VECTORS_PER_NORM = {"rms": 1, "layer": 2, "layer_without_bias": 1}


@dataclass(frozen=True, slots=True)
class LayerPlan:
    """What one layer consists of; equal plans form a group."""

    name: str
    attention: Attention | None
    feed_forward: FeedForward | None
    norm_vectors: int
    cross_attention: Attention | None = None
    extra: tuple[Weight, ...] = ()


class Traits:
    """A family's conventions, resolved against one config."""

    def __init__(self, family: str, values: Mapping[str, Any], config: Config) -> None:
        self.family, self.values, self.config = family, values, config

    def __getitem__(self, name: str) -> Any:
        return self.resolve(self.values.get(name))

    def resolve(self, value: Any) -> Any:
        """A fixed trait, or the value of the config key it points at."""
        if not (isinstance(value, Mapping) and "config" in value):
            return value
        found = self.config.data.get(value["config"])
        found = value.get("default") if found is None else found
        if isinstance(value.get("default"), bool):
            found = self.config.truth(value["config"], value["default"])
        elif isinstance(value.get("default"), int):
            found = self.config.integer(value["config"], value["default"], least=0, most=MOST_LAYERS)
        named = str(found).lower() if isinstance(found, bool) else found
        return value.get(named, value.get(found, found)) if len(value) > 2 else found

    def moe(self, name: str, default: Any = None) -> Any:
        """An entry of the family's mixture-of-experts conventions."""
        moe = self.values.get("moe")
        return self.resolve(moe.get(name, default)) if isinstance(moe, Mapping) else default


def decoder_plans(traits: Traits) -> list[LayerPlan]:
    """The layers of an ordinary decoder: a mixer by layer type, a feed-forward by place."""
    count = layer_count(traits)
    types = layer_types(traits, count)
    mixers = {kind: mixer(traits, kind) for kind in set(types)}
    owners = traits.config.integers("indexer_layers")
    plans = []
    for index, kind in enumerate(types):
        attention = mixers[kind]
        if owners is not None and index not in owners and isinstance(attention, Latent):
            attention = replace(attention, indexer=None)  # reuses an earlier layer's selection
        plans.append(make_plan(traits, kind, attention, feed_forward(traits, index)))
    return plans


def make_plan(traits: Traits, kind: str, attention: Attention | None, ffn: FeedForward | None) -> LayerPlan:
    """A layer plan with the family's norms and a name people recognise."""
    norms = traits["norms_per_layer"] * VECTORS_PER_NORM[traits["norm"]]
    parts = [kind.removesuffix("_attention")] if attention is not None else []
    parts += [{"dense": "dense", "mixture_of_experts": "moe"}[ffn.kind]] if ffn is not None else []
    scalars = traits["layer_scalars"]
    extra = (vector("layer_scalar", scalars),) if scalars else ()
    return LayerPlan(" + ".join(parts) or "empty", attention, ffn, norms, extra=extra)


def layer_count(traits: Traits) -> int:
    """The number of layers, bounded."""
    return traits.config.integer("num_hidden_layers", most=MOST_LAYERS)


_TYPE_NAMES = {
    "attention": "full_attention", "global": "full_attention", "full": "full_attention", "mla": "full_attention",
    "sliding": "sliding_attention", "local": "sliding_attention", "chunked_attention": "chunked_attention",
    "mamba": "linear_attention", "mamba2": "linear_attention", "kda": "linear_attention",
    "lightning": "linear_attention", "recurrent": "linear_attention",
}  # fmt: skip
_KNOWN_TYPES = {"full_attention", "sliding_attention", "chunked_attention", "linear_attention"}


def layer_types(traits: Traits, count: int) -> list[str]:
    """The attention type of each layer: from ``layer_types``, else by the family's period."""
    config = traits.config
    key = next((key for key in ("layer_types", "layers_block_type") if config.has(key)), "layer_types")
    given = config.texts(key)
    if given is not None:
        if len(given) != count:
            raise config.error(key, f"has {len(given)} entries for {count} layers")
        names = [_TYPE_NAMES.get(name, name) for name in given]
        for name in names:
            if name not in _KNOWN_TYPES:
                raise config.error(key, f"unknown layer type '{name[:40]}'", f"known: {', '.join(sorted(_KNOWN_TYPES))}")
        return [_windowed(traits, name) for name in names]
    linear = config.mapping("linear_attn_config")
    if linear is not None and linear.has("full_attn_layers"):
        full = linear.integers("full_attn_layers") or ()
        return ["full_attention" if index + 1 in full else "linear_attention" for index in range(count)]
    if config.has("attn_type_list"):
        flags = config.integers("attn_type_list") or ()
        if len(flags) != count:
            raise config.error("attn_type_list", f"has {len(flags)} entries for {count} layers")
        return ["full_attention" if flag else "linear_attention" for flag in flags]
    return _periodic(traits, count)


def _periodic(traits: Traits, count: int) -> list[str]:
    linear = traits["linear_kind"] != "none"
    every = traits["full_every"]
    if linear and every == "none":
        return ["linear_attention"] * count
    window = traits["window"]
    if not linear and window == "none":
        return ["full_attention"] * count
    other = "linear_attention" if linear else _windowed(traits, "sliding_attention")
    if window == "all" and not linear:
        return [other] * count
    if not isinstance(every, int) or every < 1:
        raise traits.config.error("layer_types", "is missing, and the family's layer pattern is not known")
    offset = traits["full_offset"] % every
    return ["full_attention" if index % every == offset else other for index in range(count)]


def _windowed(traits: Traits, name: str) -> str:
    """A sliding layer without a window (null, or switched off) is a full layer."""
    if name not in {"sliding_attention", "chunked_attention"}:
        return name
    config = traits.config
    switch = traits.values.get("window_switch")
    if switch and not config.truth(switch, False):
        return "full_attention"
    key = traits["window_key"]
    if config.optional(key) is None:
        return "full_attention"
    return "chunked_attention" if key == "attention_chunk_size" else "sliding_attention"


def mixer(traits: Traits, kind: str) -> Attention:
    """The attention or state-space spec of one layer type."""
    if kind == "linear_attention":
        name = traits["linear_kind"]
        if name not in LINEAR_MIXERS:
            raise traits.config.error("layer_types", f"'{traits.family}' has no known linear mixer")
        return LINEAR_MIXERS[name](traits)
    if traits["attention"] == "latent":
        return latent(traits.config)
    return grouped_query(traits, kind)


def grouped_query(traits: Traits, kind: str) -> GroupedQuery:
    """Grouped-query attention of one layer type."""
    config = traits.config
    heads = config.integer("num_attention_heads")
    key_value_heads = _key_value_heads(traits, heads)
    head_dim = config.optional("head_dim") or config.head_width(heads)
    global_rule = traits.values.get("global_attention")
    k_eq_v = False
    if global_rule and kind == "full_attention":
        key_value_heads = config.optional(global_rule["heads"]) or key_value_heads
        head_dim = config.optional(global_rule["head_dim"]) or head_dim
        k_eq_v = config.truth(global_rule["k_eq_v"], False)
    if heads % key_value_heads:
        raise config.error("num_key_value_heads", f"{key_value_heads} does not divide {heads} attention heads")
    window = config.optional(traits["window_key"])
    return GroupedQuery(
        num_attention_heads=heads, num_key_value_heads=key_value_heads, head_dim=head_dim,
        qkv_bias=bool(traits["qkv_bias"]), output_bias=bool(traits["output_bias"]), qk_norm=traits["qk_norm"],
        output_gate=bool(traits["output_gate"]), sinks=bool(traits["sinks"]), k_eq_v=k_eq_v,
        sliding_window=window if kind == "sliding_attention" else None,
        attention_chunk_size=window if kind == "chunked_attention" else None,
    )  # fmt: skip


def _key_value_heads(traits: Traits, heads: int) -> int:
    rule = traits.values.get("key_value_heads_default")
    found = traits.config.optional("num_key_value_heads")
    if found is not None:
        return found
    if rule and traits.config.truth(rule["switch"], False) == rule["when"]:
        return int(rule["value"])
    return heads


def latent(config: Config) -> Latent:
    """Multi-head latent attention, with its indexer where the config has one."""
    indexer = None
    if config.optional("index_topk") is not None:
        indexer = Indexer(
            index_n_heads=config.integer("index_n_heads"), index_head_dim=config.integer("index_head_dim"),
            index_topk=config.integer("index_topk"),
        )  # fmt: skip
    return Latent(
        num_attention_heads=config.integer("num_attention_heads"), q_lora_rank=config.optional("q_lora_rank"),
        kv_lora_rank=config.integer("kv_lora_rank"), qk_nope_head_dim=config.integer("qk_nope_head_dim"),
        qk_rope_head_dim=config.integer("qk_rope_head_dim"), v_head_dim=config.integer("v_head_dim"), indexer=indexer,
    )  # fmt: skip


def _mamba1(traits: Traits) -> Mamba1:
    config = traits.config
    hidden = config.integer("hidden_size")
    rank = config.data.get("time_step_rank")
    automatic = rank is None or rank == "auto"
    return Mamba1(
        intermediate_size=hidden * config.integer("expand", 2), state_size=config.integer("state_size", 16),
        conv_kernel=config.integer("conv_kernel", 4),
        time_step_rank=-(-hidden // 16) if automatic else config.integer("time_step_rank"),
        inner_norms=bool(traits.values.get("mamba_inner_norms")), state_in_float32=traits["state_dtype"] == "float32",
    )  # fmt: skip


def mamba2(traits: Traits) -> Mamba2:
    """Mamba-2 as Granite 4 and Nemotron-H spell it."""
    config = traits.config
    return Mamba2(
        num_heads=config.integer("mamba_num_heads"), head_dim=config.integer("mamba_head_dim"),
        state_size=config.integer("ssm_state_size"), n_groups=config.integer("n_groups"),
        conv_kernel=config.integer("conv_kernel"), state_in_float32=traits["state_dtype"] == "float32",
    )  # fmt: skip


def _gated_delta_net(traits: Traits) -> GatedDeltaNet:
    names = (
        "linear_num_key_heads", "linear_num_value_heads", "linear_key_head_dim", "linear_value_head_dim",
        "linear_conv_kernel_dim",
    )  # fmt: skip
    sizes = {name: traits.config.integer(name) for name in names}
    return GatedDeltaNet(**sizes, state_in_float32=traits["state_dtype"] == "float32")


def _kimi_delta(traits: Traits) -> KimiDelta:
    inner = traits.config.mapping("linear_attn_config") or traits.config
    return KimiDelta(
        num_heads=inner.integer("num_heads") if inner.has("num_heads") else inner.integer("kda_num_heads"),
        head_dim=inner.integer("head_dim") if inner.has("num_heads") else inner.integer("kda_head_dim"),
        conv_kernel=inner.integer("short_conv_kernel_size", inner.optional("kda_conv_kernel") or 4),
    )


def _lightning(traits: Traits) -> Lightning:
    heads = traits.config.integer("num_attention_heads")
    head_dim = traits.config.optional("head_dim") or traits.config.head_width(heads)
    return Lightning(num_attention_heads=heads, head_dim=head_dim)


LINEAR_MIXERS: dict[str, Callable[[Traits], Attention]] = {
    "mamba1": _mamba1, "mamba2": mamba2, "gated_delta_net": _gated_delta_net, "kimi_delta": _kimi_delta,
    "lightning": _lightning,
}  # fmt: skip


def feed_forward(traits: Traits, index: int) -> FeedForward | None:
    """The feed-forward block of one layer: routed where the family's rule says so, else dense."""
    if traits["mlp"] == "none":
        return None
    return experts(traits) if is_moe_layer(traits, index) else dense(traits)


def is_moe_layer(traits: Traits, index: int) -> bool:
    """Whether a layer routes: after the first dense layers, every ``step``-th."""
    config, moe = traits.config, traits.values.get("moe")
    if not isinstance(moe, Mapping) or config.optional(moe["experts"]) is None:
        return False
    listed = config.integers("moe_layers") or config.integers("mlp_only_layers")
    if config.has("mlp_only_layers") and listed and index in listed:
        return False
    first_dense = config.integer(moe["first_dense"], 0, least=0) if "first_dense" in moe else 0
    if index < first_dense:
        return False
    step = config.integer(moe["step"], 1) if "step" in moe else 1
    offset = config.integer(moe["offset"], 0, least=0) if "offset" in moe else step - 1
    return index % step == offset % step


def dense(traits: Traits) -> Dense:
    """The dense feed-forward block."""
    config = traits.config
    key = traits.values.get("dense_width") or "intermediate_size"
    width = config.optional(key) or config.optional("intermediate_size")
    if width is None and traits.values.get("intermediate_default"):
        width = int(traits.values["intermediate_default"]) * config.integer("hidden_size")
    if width is None:
        width = config.integer("intermediate_size")
    return Dense(intermediate_size=width, gated=traits["mlp"] == "gated", bias=bool(traits["mlp_bias"]))


def experts(traits: Traits) -> MixtureOfExperts:
    """The routed feed-forward block."""
    config = traits.config
    count, width = config.integer(traits.moe("experts")), config.integer(traits.moe("width"))
    per_token = config.integer(traits.moe("per_token", "num_experts_per_tok"))
    if per_token > count:
        raise config.error("num_experts_per_tok", f"{per_token} experts per token, but only {count} experts")
    extra = None
    if traits.moe("extra_norms"):
        extra = (traits.moe("extra_norms") + 1) * config.integer("hidden_size") + count
    return MixtureOfExperts(
        num_experts=count, num_experts_per_tok=per_token, moe_intermediate_size=width,
        shared_intermediate_size=_shared_width(traits, width), shared_expert_gate=bool(traits.moe("shared_gate", False)),
        gated=traits["mlp"] == "gated", expert_bias=bool(traits.moe("expert_bias", False)),
        router_bias=bool(traits.moe("router_bias", False)), correction_bias=bool(traits.moe("correction_bias", False)),
        latent_size=config.optional(traits.moe("latent")) if traits.moe("latent") else None,
        dense=dense(traits) if traits.moe("beside_dense") else None, extra_vectors=extra,
    )  # fmt: skip


def _shared_width(traits: Traits, width: int) -> int | None:
    if traits.moe("shared_width"):
        return traits.config.optional(traits.moe("shared_width"))
    if traits.moe("shared_count"):
        shared = traits.config.optional(traits.moe("shared_count"))
        return shared * width if shared is not None else None
    return None
