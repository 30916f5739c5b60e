"""Mixture of experts: routed experts, shared experts, and the layouts vendors use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from llmsizer.blocks.feed_forward.dense import Dense, gated_weights
from llmsizer.blocks.operation import Kind, Operation, Role, Weight, vector
from llmsizer.core.quantities import Count


@dataclass(frozen=True, slots=True, kw_only=True)
class MixtureOfExperts:
    """A routed feed-forward block.

    ``shared_intermediate_size`` is the joint width of all shared experts; ``latent_size`` the width
    at which the routed experts work when it is not the hidden size (latent MoE); ``dense`` a dense
    block that runs beside the experts (Gemma 4); ``extra_vectors`` further per-layer vectors.
    """

    kind: ClassVar[str] = "mixture_of_experts"

    num_experts: Count
    num_experts_per_tok: Count
    moe_intermediate_size: Count
    shared_intermediate_size: Count | None = None
    shared_expert_gate: bool = False
    gated: bool = True
    expert_bias: bool = False
    router_bias: bool = False
    correction_bias: bool = False
    latent_size: Count | None = None
    dense: Dense | None = None
    extra_vectors: Count | None = None

    def operations(self, hidden_size: Count) -> tuple[Operation, ...]:
        """Router, routed experts, shared experts, and what runs beside them."""
        width = self.latent_size if self.latent_size is not None else hidden_size
        inputs, output = gated_weights(
            Role.EXPERT, width, self.moe_intermediate_size,
            gated=self.gated, bias=self.expert_bias, copies=self.num_experts, prefix="experts.",
        )  # fmt: skip
        return (
            Operation("router", Kind.LINEAR, self._router(hidden_size)),
            *self._latent(hidden_size),
            Operation("experts", Kind.EXPERTS, (*inputs, output)),
            *self._shared(hidden_size),
            *(self.dense.operations(hidden_size) if self.dense is not None else ()),
        )

    def _router(self, hidden_size: Count) -> tuple[Weight, ...]:
        bias = self.num_experts if self.router_bias else None
        router = Weight("router", Role.ROUTER, hidden_size, self.num_experts, bias=bias, quantizable=False)
        found = [router]
        if self.correction_bias:
            found.append(vector("correction_bias", self.num_experts, role=Role.ROUTER))
        if self.extra_vectors is not None:
            found.append(vector("router_scales", self.extra_vectors))
        return tuple(found)

    def _latent(self, hidden_size: Count) -> tuple[Operation, ...]:
        if self.latent_size is None:
            return ()
        into = Weight("latent_in_proj", Role.SHARED_EXPERT, hidden_size, self.latent_size)
        out = Weight("latent_out_proj", Role.SHARED_EXPERT, self.latent_size, hidden_size)
        return (Operation("latent_proj", Kind.LINEAR, (into, out)),)

    def _shared(self, hidden_size: Count) -> tuple[Operation, ...]:
        if self.shared_intermediate_size is None:
            return ()
        inputs, output = gated_weights(
            Role.SHARED_EXPERT, hidden_size, self.shared_intermediate_size,
            gated=self.gated, bias=False, prefix="shared_expert.",
        )  # fmt: skip
        gate: tuple[Weight, ...] = ()
        if self.shared_expert_gate:
            gate = (Weight("shared_expert_gate", Role.ROUTER, hidden_size, 1, quantizable=False),)
        return (
            Operation("shared_expert.gate_up_proj", Kind.LINEAR, (*inputs, *gate)),
            Operation("shared_expert.activation", Kind.POINTWISE),
            Operation("shared_expert.down_proj", Kind.LINEAR, (output,)),
        )
