"""Which number format a tensor of a checkpoint is stored in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from llmsizer.blocks.attention import GroupedQuery
from llmsizer.blocks.feed_forward import MixtureOfExperts
from llmsizer.blocks.operation import Role, Weight
from llmsizer.core.explain import plain
from llmsizer.schema.model import LayerGroup, Model
from llmsizer.schema.number_format import QuantizationScheme

UNQUANTIZED_LINEAR = {"F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1"}

_TENSOR_OF = {
    "q_proj": "q", "k_proj": "k", "v_proj": "v", "o_proj": "o", "gate_proj": "gate", "up_proj": "up",
    "down_proj": "down",
}  # fmt: skip


def layer_formats(
    model: Model, scheme: QuantizationScheme, weight: Weight, group: LayerGroup | None, layers: Iterable[int]
) -> Counter[str]:
    """The format ids of a weight with the number of layers that use each; ``native`` when unquantized."""
    indices = list(layers)
    if not scheme.is_gguf:
        usual = scheme.by_role(weight, group is None or is_routed(group))
        if not scheme.tensors:
            return Counter({usual: len(indices) or 1})
        return Counter(scheme.tensors.get((weight.name, layer), usual) for layer in (indices or (None,)))
    if scheme.tensors:
        return Counter(scheme.tensors.get((weight.name, layer), scheme.vector) for layer in (indices or (None,)))
    tied = bool(model.tie_word_embeddings)
    total = int(plain(model.num_hidden_layers))
    if not indices:
        return Counter({gguf_type(scheme, weight, group, None, total, tied): 1})
    return Counter(gguf_type(scheme, weight, group, layer, total, tied) for layer in indices)


def is_routed(group: LayerGroup) -> bool:
    """Whether a layer group's feed-forward routes to experts."""
    return isinstance(group.feed_forward, MixtureOfExperts)


def gguf_type(
    scheme: QuantizationScheme, weight: Weight, group: LayerGroup | None, layer: int | None, layers: int, tied: bool
) -> str:
    """The GGUF type of a tensor in one layer, as llama.cpp's quantizer chooses it."""
    if weight.role is Role.LM_HEAD or (weight.role is Role.EMBEDDING and tied):
        chosen = scheme.output
    elif weight.role is Role.EMBEDDING:
        chosen = scheme.linear if scheme.embedding == "same" else scheme.embedding
    elif not weight.quantizable:
        return scheme.vector
    else:
        chosen = _by_rules(scheme, weight, group, layer, layers)
    stored = scheme.formats[chosen]
    whole = stored.packed_elements is None or plain(weight.in_features) % plain(stored.packed_elements) == 0
    return chosen if whole else stored.fallback or "F16"


def _by_rules(scheme: QuantizationScheme, weight: Weight, group: LayerGroup | None, layer: int | None, layers: int) -> str:
    tensor = _TENSOR_OF.get(weight.name.rsplit(".", 1)[-1], "")
    names = {tensor, "experts"} if weight.role is Role.EXPERT else {tensor}
    chosen = scheme.linear
    for rule in scheme.rules:
        if rule.tensor in names and _in_layers(rule.layers, layer, layers) and _holds(rule.condition, group, layers):
            chosen = rule.format
            break
    if scheme.linear in UNQUANTIZED_LINEAR:
        return chosen
    for rule in scheme.always:
        if rule.tensor in names and _holds(rule.condition, group, layers):
            chosen = rule.format if not rule.only_from or chosen in rule.only_from else chosen
    return chosen


def _in_layers(where: str, layer: int | None, layers: int) -> bool:
    if where == "all" or layer is None:
        return where == "all"
    eighth = layers // 8
    if where == "more_bits":
        return layer < eighth or layer >= 7 * layers // 8 or (layer - eighth) % 3 == 2
    if where == "middle":
        return eighth <= layer < 7 * layers // 8
    return layer < {"first_8th": eighth, "first_16th": layers // 16, "first_2": 2, "first_4": 4}[where]


def _holds(condition: str, group: LayerGroup | None, layers: int) -> bool:
    """Whether a mix rule's condition holds for a layer group."""
    if not condition:
        return True
    if group is None:
        return False
    if condition == "experts8":
        ffn = group.feed_forward
        return isinstance(ffn, MixtureOfExperts) and plain(ffn.num_experts) == 8
    attention = group.attention
    if not isinstance(attention, GroupedQuery):
        return False
    ratio = plain(attention.num_attention_heads) / plain(attention.num_key_value_heads)
    return ratio == 8 and layers == 80 if condition == "llama70b" else ratio >= 4
