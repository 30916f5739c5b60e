"""The dense feed-forward block, gated (SwiGLU, GeGLU) or plain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from llmsizer.blocks.operation import Kind, Operation, Role, Split, Weight
from llmsizer.core.quantities import Count


def gated_weights(
    role: Role,
    hidden_size: Count,
    intermediate_size: Count,
    *,
    gated: bool,
    bias: bool,
    copies: Count = 1,
    prefix: str = "",
) -> tuple[tuple[Weight, ...], Weight]:
    """The input matrices (gate and up, or up alone) and the output matrix of a feed-forward block."""
    names = ("gate_proj", "up_proj") if gated else ("up_proj",)
    wide = intermediate_size if bias else None
    inputs = tuple(Weight(prefix + name, role, hidden_size, intermediate_size, copies, wide, Split.COLUMN) for name in names)
    narrow = hidden_size if bias else None
    return inputs, Weight(prefix + "down_proj", role, intermediate_size, hidden_size, copies, narrow, Split.ROW)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dense:
    """A feed-forward block that every token passes whole."""

    kind: ClassVar[str] = "dense"

    intermediate_size: Count
    gated: bool = True
    bias: bool = False

    def operations(self, hidden_size: Count) -> tuple[Operation, ...]:
        """Up (and gate) projection, activation, down projection."""
        inputs, output = gated_weights(Role.MLP, hidden_size, self.intermediate_size, gated=self.gated, bias=self.bias)
        return (
            Operation("gate_up_proj" if self.gated else "up_proj", Kind.LINEAR, inputs),
            Operation("activation", Kind.POINTWISE),
            Operation("down_proj", Kind.LINEAR, (output,)),
        )
