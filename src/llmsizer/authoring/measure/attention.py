"""Attention kinds of the measured decoder: projections, static cache, torch's attention kernels."""

from __future__ import annotations

from typing import Any, Protocol

from llmsizer.authoring.measure.torch_device import TorchDevice
from llmsizer.authoring.measure.weights import LayerWeights
from llmsizer.blocks.attention import GroupedQuery, Latent
from llmsizer.core.explain import plain

EPSILON = 1e-5
ROTARY_BASE = 10_000.0


class Attention(Protocol):
    """One layer's attention with its cache."""

    def cache_shape(self, batch: int, length: int) -> tuple[int, ...]:
        """The shape of the cache of some sequences of some length."""

    def places(self, cache: Any, context: int) -> Any:
        """The part of a cache that so many tokens fill."""

    def run(self, hidden: Any, cache: Any, past: int) -> Any:
        """Attention of new tokens after ``past`` cached ones; writes their cache entries."""


def rotate(torch: Any, states: Any, past: int) -> Any:
    """Rotary embedding of states (batch, heads, tokens, width) whose first token has a position."""
    tokens, width = states.shape[-2], states.shape[-1]
    places = torch.arange(past, past + tokens, device=states.device, dtype=torch.float32)
    rates = ROTARY_BASE ** (-torch.arange(0, width, 2, device=states.device, dtype=torch.float32) / width)
    angles = torch.outer(places, rates).repeat(1, 2)
    first, second = states.chunk(2, dim=-1)
    turned = torch.cat((-second, first), dim=-1)
    return torch.addcmul(states * angles.cos().to(states.dtype), turned, angles.sin().to(states.dtype))


class GroupedAttention:
    """Grouped-query attention, over a window where the layer has one.

    The cache of a windowed layer holds the window's tokens only. A windowed prompt longer than its
    window runs in blocks of one window that see the block before: torch has no windowed kernel.
    """

    def __init__(self, device: TorchDevice, shape: GroupedQuery, weights: LayerWeights) -> None:
        self.torch, self.shape, self.weights = device.torch, shape, weights
        self.heads, self.groups = int(plain(shape.num_attention_heads)), int(plain(shape.num_key_value_heads))
        self.width = int(plain(shape.head_dim))
        self.window = None if shape.sliding_window is None else int(plain(shape.sliding_window))

    def kept(self, length: int) -> int:
        """Tokens of a sequence that the cache holds."""
        return length if self.window is None else min(length, self.window)

    def cache_shape(self, batch: int, length: int) -> tuple[int, ...]:
        return 2, batch, self.groups, self.kept(length), self.width

    def places(self, cache: Any, context: int) -> Any:
        return cache[:, :, :, : self.kept(context)]

    def run(self, hidden: Any, cache: Any, past: int) -> Any:
        batch, tokens = hidden.shape[:2]
        query, key, value = self._projected(hidden, past)
        if tokens == 1:
            place = past if self.window is None else past % self.window
            cache[0, :, :, place], cache[1, :, :, place] = key[:, :, 0], value[:, :, 0]
            seen = self.places(cache, past + 1)
            given = self._attend(query, seen[0], seen[1], is_causal=False)
        else:
            self._keep(key, cache[0])
            self._keep(value, cache[1])
            given = self._prompt(query, key, value)
        output = self.weights.linear["o_proj"]
        flat = given.transpose(1, 2).reshape(batch, tokens, self.heads * self.width)
        return self.torch.nn.functional.linear(flat, output.matrix, output.bias)

    def _keep(self, states: Any, cache: Any) -> None:
        """Puts the keys or values of a prompt into the cache: in a window every token at its number modulo the window."""
        tokens = states.shape[2]
        kept = self.kept(tokens)
        last = states[:, :, tokens - kept :]
        cache[:, :, :kept] = last if kept == tokens else last.roll(tokens % kept, dims=2)

    def _projected(self, hidden: Any, past: int) -> tuple[Any, Any, Any]:
        linear, functional = self.weights.linear["q_proj"], self.torch.nn.functional
        joined = functional.linear(hidden, linear.matrix, linear.bias)
        parts = [part.unflatten(-1, (-1, self.width)).transpose(1, 2) for part in joined.split(linear.widths, dim=-1)]
        query, key, value = parts
        if self.shape.qk_norm != "none":
            query, key = self._normed(query, "q_norm"), self._normed(key, "k_norm")
        return rotate(self.torch, query, past), rotate(self.torch, key, past), value

    def _normed(self, states: Any, name: str) -> Any:
        weight = self.weights.vectors[name][0]
        if self.shape.qk_norm == "head":
            return self.torch.nn.functional.rms_norm(states, weight.shape, weight, EPSILON)
        whole = states.transpose(1, 2).flatten(2)
        normed = self.torch.nn.functional.rms_norm(whole, weight.shape, weight, EPSILON)
        return normed.unflatten(-1, (-1, self.width)).transpose(1, 2)

    def _attend(self, query: Any, key: Any, value: Any, **how: Any) -> Any:
        attend = self.torch.nn.functional.scaled_dot_product_attention
        return attend(query, key, value, enable_gqa=self.heads != self.groups, **how)

    def _prompt(self, query: Any, key: Any, value: Any) -> Any:
        tokens, window = query.shape[2], self.window
        if window is None or tokens <= window:
            return self._attend(query, key, value, is_causal=True)
        # Kernels that take a mask want as many key heads as query heads.
        key, value = (part.repeat_interleave(self.heads // self.groups, dim=1) for part in (key, value))
        blocks = [self._block(query, key, value, start, window) for start in range(0, tokens, window)]
        return self.torch.cat(blocks, dim=2)

    def _block(self, query: Any, key: Any, value: Any, start: int, window: int) -> Any:
        first, end = max(0, start - window), min(start + window, query.shape[2])
        rows = self.torch.arange(start, end, device=query.device)[:, None]
        columns = self.torch.arange(first, end, device=query.device)[None, :]
        visible = (columns <= rows) & (columns > rows - window)
        attend = self.torch.nn.functional.scaled_dot_product_attention
        return attend(query[:, :, start:end], key[:, :, first:end], value[:, :, first:end], attn_mask=visible)


class LatentAttention:
    """Multi-head latent attention: prompts with expanded heads, decoding absorbed over the latent."""

    def __init__(self, device: TorchDevice, shape: Latent, weights: LayerWeights) -> None:
        self.torch, self.weights = device.torch, weights
        self.heads, self.rank = int(plain(shape.num_attention_heads)), int(plain(shape.kv_lora_rank))
        self.nope, self.rope = int(plain(shape.qk_nope_head_dim)), int(plain(shape.qk_rope_head_dim))
        self.value = int(plain(shape.v_head_dim))
        self.has_query_rank = shape.q_lora_rank is not None

    def cache_shape(self, batch: int, length: int) -> tuple[int, ...]:
        return batch, length, self.rank + self.rope

    def places(self, cache: Any, context: int) -> Any:
        return cache[:, :context]

    def run(self, hidden: Any, cache: Any, past: int) -> Any:
        query, latent = self._projected(hidden, past)
        tokens = hidden.shape[1]
        cache[:, past : past + tokens] = latent
        given = self._absorbed(query, cache[:, : past + 1]) if tokens == 1 else self._expanded(query, latent)
        return self._linear(given.flatten(2), "o_proj")

    def _linear(self, states: Any, name: str) -> Any:
        linear = self.weights.linear[name]
        return self.torch.nn.functional.linear(states, linear.matrix, linear.bias)

    def _norm(self, states: Any, name: str) -> Any:
        weight = self.weights.vectors[name][0]
        return self.torch.nn.functional.rms_norm(states, weight.shape, weight, EPSILON)

    def _projected(self, hidden: Any, past: int) -> tuple[Any, Any]:
        """Queries (batch, heads, tokens, width) and the new latents with their rotary keys."""
        if self.has_query_rank:
            down = self._linear(hidden, "q_a_proj")
            first, latent = down.split([down.shape[-1] - self.rank - self.rope, self.rank + self.rope], dim=-1)
            query = self._linear(self._norm(first, "q_a_norm"), "q_b_proj")
        else:
            latent, query = self._linear(hidden, "kv_a_proj"), self._linear(hidden, "q_proj")
        query = query.unflatten(-1, (self.heads, self.nope + self.rope)).transpose(1, 2)
        turned = rotate(self.torch, query[..., self.nope :], past)
        key = rotate(self.torch, latent[:, None, :, self.rank :], past)[:, 0]
        joined = self.torch.cat((self._norm(latent[..., : self.rank], "kv_a_norm"), key), dim=-1)
        return self.torch.cat((query[..., : self.nope], turned), dim=-1), joined

    def _expanded(self, query: Any, latent: Any) -> Any:
        expanded = self._linear(latent[..., : self.rank], "kv_b_proj")
        expanded = expanded.unflatten(-1, (self.heads, self.nope + self.value)).transpose(1, 2)
        shared = latent[:, None, :, self.rank :].expand(-1, self.heads, -1, -1)
        key = self.torch.cat((expanded[..., : self.nope], shared), dim=-1)
        # Kernels want values as wide as keys.
        value = self.torch.nn.functional.pad(expanded[..., self.nope :], (0, self.nope + self.rope - self.value))
        given = self.torch.nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        return given[..., : self.value].transpose(1, 2)

    def _absorbed(self, query: Any, cache: Any) -> Any:
        """One new token: its heads attend to the latents themselves, which all of them share."""
        torch = self.torch
        up = self.weights.linear["kv_b_proj"].matrix.view(self.heads, self.nope + self.value, self.rank)
        latent_query = torch.einsum("bhn,hnr->bhr", query[:, :, 0, : self.nope], up[:, : self.nope])
        queries = torch.cat((latent_query, query[:, :, 0, self.nope :]), dim=-1)
        scores = torch.bmm(queries, cache.transpose(1, 2)) * (self.nope + self.rope) ** -0.5
        mixed = torch.bmm(scores.float().softmax(-1).to(cache.dtype), cache[..., : self.rank])
        return torch.einsum("bhr,hvr->bhv", mixed, up[:, self.nope :]).unsqueeze(1)
