"""Number formats of single tensors and quantization schemes of whole checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from llmsizer.blocks.operation import Role, Weight
from llmsizer.core.explain import Provenance, plain
from llmsizer.core.quantities import Count
from llmsizer.schema.model import LayerGroup


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NumberFormat:
    """How one tensor is stored; see the head of ``number_formats.yaml`` for the fields."""

    __pydantic_config__ = {"extra": "forbid"}

    id: str
    bits: Count
    compute: str
    group_size: Count | None = None
    group_bits: Count = 0
    index_bits: Count | None = None
    tensor_bytes: Count | None = None
    block: tuple[Count, Count] | None = None
    block_bits: Count = 0
    packed_elements: Count | None = None
    packed_bytes: Count = 0
    fallback: str | None = None
    flat_group: bool = False
    provenance: Provenance = field(default_factory=Provenance)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CacheFormat:
    """How one cached key or value element is stored: ``bits`` each, ``head_bytes`` more per token
    and head for keys and for values, ``scale_group`` elements sharing one byte of scale."""

    __pydantic_config__ = {"extra": "forbid"}

    id: str
    bits: Count
    head_bytes: Count | None = None
    scale_group: Count | None = None
    provenance: Provenance = field(default_factory=Provenance)


@dataclass(frozen=True, slots=True, kw_only=True)
class MixRule:
    """One line of a GGUF mix: which tensor, in which layers, under which condition, gets what."""

    __pydantic_config__ = {"extra": "forbid"}

    tensor: str
    format: str
    layers: str = "all"
    condition: str = ""
    only_from: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class QuantizationScheme:
    """Which tensors of a checkpoint use which number format.

    ``formats`` holds every format the scheme can use, ``native`` the model's unquantized type
    excepted. GGUF mixes (``is_gguf``) decide by tensor and layer, others by role.
    """

    id: str
    linear: str
    roles: Mapping[str, str]
    formats: Mapping[str, NumberFormat]
    dense_linear: str | None = None
    is_gguf: bool = False
    output: str = ""
    embedding: str = ""
    vector: str = "native"
    rules: tuple[MixRule, ...] = ()
    always: tuple[MixRule, ...] = ()
    note: str = ""
    provenance: Provenance = field(default_factory=Provenance)


QUANTIZED_ROLES = {Role.ATTENTION, Role.MIXER, Role.MLP, Role.EXPERT, Role.SHARED_EXPERT, Role.MTP}

_TENSOR_OF = {
    "q_proj": "q", "k_proj": "k", "v_proj": "v", "o_proj": "o", "gate_proj": "gate", "up_proj": "up",
    "down_proj": "down",
}  # fmt: skip


def format_name(scheme: QuantizationScheme, weight: Weight, group: LayerGroup | None, tied: bool) -> str:
    """The format id of a weight by its role (schemes other than GGUF); ``native`` when unquantized."""
    if scheme.is_gguf:
        return gguf_format(scheme, weight, group, None, 0, tied)
    role = weight.role
    if role.name.lower() in scheme.roles and (weight.quantizable or role is Role.ROUTER):
        return scheme.roles[role.name.lower()]
    if role not in QUANTIZED_ROLES or not weight.quantizable:
        return "native"
    if scheme.dense_linear is not None and (group is None or not is_routed(group)):
        return "native" if group is None else scheme.dense_linear
    return scheme.linear


def is_routed(group: LayerGroup) -> bool:
    """Whether a layer group's feed-forward routes to experts."""
    return group.feed_forward is not None and group.feed_forward.kind == "mixture_of_experts"


def gguf_format(
    scheme: QuantizationScheme, weight: Weight, group: LayerGroup | None, layer: int | None, layers: int, tied: bool
) -> str:
    """The GGUF type of a tensor in one layer, as llama.cpp's quantizer chooses it."""
    if weight.role is Role.LM_HEAD or (weight.role is Role.EMBEDDING and tied):
        chosen = scheme.output
    elif weight.role is Role.EMBEDDING:
        chosen = scheme.embedding if scheme.embedding != "same" else scheme.linear
    elif not weight.quantizable:
        return scheme.vector
    else:
        chosen = _by_rules(scheme, weight, group, layer, layers)
    return _with_fallback(scheme, chosen, int(plain(weight.in_features)))


def _by_rules(
    scheme: QuantizationScheme, weight: Weight, group: LayerGroup | None, layer: int | None, layers: int
) -> str:
    tensor = _TENSOR_OF.get(weight.name.rsplit(".", 1)[-1], "")
    routed = weight.role is Role.EXPERT
    chosen = scheme.linear
    for rule in scheme.rules:
        matches = rule.tensor == tensor or (rule.tensor == "experts" and routed)
        if matches and _in_layers(rule.layers, layer, layers) and _condition(rule.condition, group, layers):
            chosen = rule.format
            break
    for rule in scheme.always:
        if scheme.linear in {"F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1"}:
            break
        if rule.tensor == tensor and _condition(rule.condition, group, layers):
            chosen = rule.format if not rule.only_from or chosen in rule.only_from else chosen
    return chosen


def _with_fallback(scheme: QuantizationScheme, chosen: str, in_features: int) -> str:
    chosen_format = scheme.formats[chosen]
    if chosen_format.packed_elements is None or in_features % int(chosen_format.packed_elements) == 0:
        return chosen
    return chosen_format.fallback or "F16"


def _in_layers(layers: str, layer: int | None, count: int) -> bool:
    if layers == "all" or layer is None:
        return layers == "all"
    eighth = count // 8
    if layers == "more_bits":
        return layer < eighth or layer >= 7 * count // 8 or (layer - eighth) % 3 == 2
    if layers == "middle":
        return eighth <= layer < 7 * count // 8
    bounds = {"first_8th": eighth, "first_16th": count // 16, "first_2": 2, "first_4": 4}
    return layer < bounds[layers]


def _condition(condition: str, group: LayerGroup | None, layers: int) -> bool:
    if not condition:
        return True
    if group is None:
        return False
    if condition == "experts8":
        ffn = group.feed_forward
        return ffn is not None and ffn.kind == "mixture_of_experts" and plain(ffn.num_experts) == 8
    attention = group.attention
    if attention is None or attention.kind != "grouped_query":
        return False
    ratio = plain(attention.num_attention_heads) / plain(attention.num_key_value_heads)
    if condition == "llama70b":
        return layers == 80 and ratio == 8
    return ratio >= 4
