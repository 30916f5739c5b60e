"""A plain decoder of our own blocks in torch: eager kernels, a static cache, whole prompts.

It stands for a plain PyTorch loop (the engine ``torch``), not for a server. Rotary embeddings, root
mean square norms and greedy sampling are run as any decoder's are; scales and soft caps that some
families add to them are not. Routed experts run as grouped products.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from llmsizer.authoring.measure.attention import Attention, GroupedAttention, LatentAttention
from llmsizer.authoring.measure.torch_device import TorchDevice
from llmsizer.authoring.measure.weights import LayerWeights, Linear, ModelWeights, random_weights
from llmsizer.blocks.attention import GroupedQuery, Latent
from llmsizer.blocks.feed_forward import Dense, MixtureOfExperts
from llmsizer.core.errors import UnsupportedCombination
from llmsizer.core.explain import plain
from llmsizer.schema.model import LayerGroup, Model

EPSILON = 1e-5


def check_measurable(model: Model) -> None:
    """Raises UnsupportedCombination for a model with parts that the decoder has no kernels for."""
    for group in model.layers:
        attention, ffn = group.attention, group.feed_forward
        wanting = None
        if isinstance(attention, GroupedQuery):
            odd = ("output_gate", "sinks", "k_eq_v", "shares_cache", "cross", "attention_chunk_size")
            wanting = next((name for name in odd if getattr(attention, name)), None)
            wanting = "bias_without_key" if attention.qkv_bias and not attention.key_bias else wanting
        elif isinstance(attention, Latent):
            wanting = "indexer" if attention.indexer is not None else None
        else:
            wanting = attention.kind if attention is not None else "layers without attention"
        if isinstance(ffn, MixtureOfExperts):
            wanting = wanting or next((name for name in ("latent_size", "dense", "expert_bias") if getattr(ffn, name)), None)
        if group.cross_attention is not None or int(plain(group.norm_vectors)) not in (1, 2, 4):
            wanting = wanting or "cross-attention or norms of another kind"
        if wanting is not None:
            raise UnsupportedCombination(
                f"{model.id}: the measured decoder has no {wanting}", "measure a model of grouped-query or latent attention"
            )


@dataclass(frozen=True, slots=True)
class Layer:
    """One decoder layer."""

    group: LayerGroup
    weights: LayerWeights
    attention: Attention


class Decoder:
    """A model with random weights on a device. Raises UnsupportedCombination for parts it has no kernels for."""

    def __init__(self, device: TorchDevice, model: Model, dtype: str) -> None:
        check_measurable(model)
        self.device, self.model, self.dtype = device, model, device.dtype(dtype)
        self.functional = device.torch.nn.functional
        self.weights: ModelWeights = random_weights(device, model, self.dtype)
        groups = {index: group for group in model.layers for index in group.indices}
        self.layers = [
            Layer(groups[index], weights, self._attention(groups[index], weights))
            for index, weights in enumerate(self.weights.layers)
        ]

    def _attention(self, group: LayerGroup, weights: LayerWeights) -> Attention:
        if isinstance(group.attention, Latent):
            return LatentAttention(self.device, group.attention, weights)
        assert isinstance(group.attention, GroupedQuery)
        return GroupedAttention(self.device, group.attention, weights)

    def new_cache(self, batch: int, length: int) -> list[Any]:
        """A cache of full length for every sequence, poisoned."""
        return [self.device.poisoned(*layer.attention.cache_shape(batch, length), dtype=self.dtype) for layer in self.layers]

    def fill(self, cache: list[Any], context: int) -> None:
        """Puts random tokens into the first places of a cache."""
        for layer, part in zip(self.layers, cache, strict=True):
            layer.attention.places(part, context).normal_()

    def prefill(self, tokens: Any, cache: list[Any]) -> Any:
        """Processes whole prompts (sequences × tokens); the logits of what follows each."""
        return self._forward(tokens, cache, 0)

    def decode(self, tokens: Any, cache: list[Any], context: int) -> Any:
        """One step: every sequence sees ``context`` tokens, the new one the last of them; the logits of each."""
        return self._forward(tokens, cache, context - 1)

    def _forward(self, tokens: Any, cache: list[Any], past: int) -> Any:
        hidden = self.functional.embedding(tokens, self._table)
        for layer, part in zip(self.layers, cache, strict=True):
            hidden = self._layer(layer, hidden, part, past)
        return self._logits(hidden[:, -1])

    def _layer(self, layer: Layer, hidden: Any, cache: Any, past: int) -> Any:
        norms = layer.weights.vectors["norms"]
        has_post_norms = len(norms) == 4
        attended = layer.attention.run(self._norm(hidden, norms[0]), cache, past)
        hidden = hidden + (self._norm(attended, norms[2]) if has_post_norms else attended)
        del attended
        fed = self._feed_forward(layer, self._norm(hidden, norms[1 % len(norms)]))
        return hidden + (self._norm(fed, norms[3]) if has_post_norms else fed)

    def _norm(self, hidden: Any, weight: Any) -> Any:
        return self.functional.rms_norm(hidden, weight.shape, weight, EPSILON)

    def _feed_forward(self, layer: Layer, hidden: Any) -> Any:
        ffn, linear = layer.group.feed_forward, layer.weights.linear
        if isinstance(ffn, Dense):
            return self._dense(hidden, linear["gate_proj" if ffn.gated else "up_proj"], linear["down_proj"], ffn.gated)
        assert isinstance(ffn, MixtureOfExperts)
        routed = self._experts(hidden.flatten(0, 1), ffn, linear).view_as(hidden)
        if ffn.shared_intermediate_size is None:
            return routed
        return routed + self._shared(hidden, ffn, linear)

    def _shared(self, hidden: Any, ffn: MixtureOfExperts, linear: dict[str, Linear]) -> Any:
        into = linear["shared_expert.gate_proj" if ffn.gated else "shared_expert.up_proj"]
        width = int(plain(ffn.shared_intermediate_size)) * (2 if ffn.gated else 1)
        joined = self.functional.linear(hidden, into.matrix, into.bias)
        shared = self.functional.linear(
            self._activated(joined[..., :width], ffn.gated), linear["shared_expert.down_proj"].matrix
        )
        return shared * joined[..., width:].sigmoid() if ffn.shared_expert_gate else shared

    def _dense(self, hidden: Any, into: Linear, out: Linear, gated: bool) -> Any:
        inner = self._activated(self.functional.linear(hidden, into.matrix, into.bias), gated)
        return self.functional.linear(inner, out.matrix, out.bias)

    def _activated(self, inner: Any, gated: bool) -> Any:
        if not gated:
            return self.functional.gelu(inner)
        gate, up = inner.chunk(2, dim=-1)
        return self.functional.silu(gate).mul_(up)

    def _experts(self, hidden: Any, ffn: MixtureOfExperts, linear: dict[str, Linear]) -> Any:
        """Tokens sorted by expert, two grouped products, and the sum over each token's experts."""
        torch, router = self.device.torch, linear["router"]
        scores, chosen = self.functional.linear(hidden, router.matrix, router.bias).topk(int(plain(ffn.num_experts_per_tok)))
        expert, order = chosen.flatten().sort()
        experts = torch.arange(int(plain(ffn.num_experts)), device=expert.device)
        ends = torch.searchsorted(expert, experts, right=True).to(torch.int32)
        source = order // chosen.shape[1]
        into = linear["experts.gate_proj" if ffn.gated else "experts.up_proj"].matrix.transpose(-2, -1)
        inner = self._activated(self.functional.grouped_mm(hidden[source], into, offs=ends), ffn.gated)
        given = self.functional.grouped_mm(inner, linear["experts.down_proj"].matrix.transpose(-2, -1), offs=ends)
        given.mul_(scores.softmax(-1).flatten()[order].unsqueeze(-1))
        return torch.zeros_like(hidden).index_add_(0, source, given)

    def sample(self, logits: Any) -> Any:
        """The most likely token of each sequence."""
        return logits.float().argmax(-1, keepdim=True)

    def _logits(self, hidden: Any) -> Any:
        head = self.weights.head
        matrix = head.linear["lm_head"].matrix if "lm_head" in head.linear else self._table
        return self.functional.linear(self._norm(hidden, head.vectors["final_norm"][0]), matrix)

    @property
    def _table(self) -> Any:
        """The embedding table, one row for each token."""
        return self.weights.embedding.linear["embed_tokens"].matrix
