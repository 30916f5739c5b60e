"""State-space and linear-attention mixers: Mamba-1, Mamba-2, Gated DeltaNet, KDA, lightning.

Their cache is a state of fixed size per sequence: a recurrent matrix and, for most, the tail of a
short convolution.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from llmsizer.blocks.operation import (
    CacheKind,
    CacheShape,
    Kind,
    Operation,
    Role,
    Split,
    StateTensor,
    Weight,
    vector,
)
from llmsizer.core.quantities import Count
from llmsizer.formulas.parameters import heads_width, joint_width, matrix_elements, repeated_width


def _in(name: str, rows: Count, columns: Count, units: Count, bias: Count | None = None) -> Weight:
    return Weight(name, Role.MIXER, rows, columns, bias=bias, split=Split.COLUMN, units=units)


def _out(name: str, rows: Count, columns: Count, units: Count) -> Weight:
    return Weight(name, Role.MIXER, rows, columns, split=Split.ROW, units=units)


def _convolution(width: Count, kernel: Count, units: Count, biased: bool) -> Weight:
    bias = width if biased else None
    return Weight("conv1d", Role.MIXER, kernel, width, bias=bias, split=Split.COLUMN, units=units, quantizable=False)


def _states(convolution: Count, kernel: Count, state: Count, units: Count, float32: bool) -> tuple[StateTensor, ...]:
    tail = matrix_elements(convolution, joint_width(kernel, -1), 1)
    return StateTensor("convolution", tail, units), _recurrent(state, units, float32)


def _recurrent(state: Count, units: Count, float32: bool) -> StateTensor:
    return StateTensor("state", state, units, is_recurrent=True, needs_float32=float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mamba1:
    """Selective state space of Mamba (Gu and Dao 2023); ``inner_norms`` as in Jamba."""

    kind: ClassVar[str] = "mamba1"

    intermediate_size: Count
    state_size: Count
    conv_kernel: Count
    time_step_rank: Count
    inner_norms: bool = False
    state_in_float32: bool = False

    def operations(self, hidden_size: Count) -> tuple[Operation, ...]:
        """Projections around the selective scan."""
        width, rank, state = self.intermediate_size, self.time_step_rank, self.state_size
        parameters = joint_width(rank, repeated_width(state, 2))
        scan = [
            _convolution(width, self.conv_kernel, width, biased=True),
            Weight("A_log", Role.MIXER, state, width, split=Split.COLUMN, units=width, quantizable=False),
            Weight("D", Role.MIXER, 1, width, split=Split.COLUMN, units=width, quantizable=False),
        ]
        if self.inner_norms:
            scan.append(vector("dt_b_c_norms", parameters))
        return (
            Operation("in_proj", Kind.LINEAR, (_in("in_proj", hidden_size, repeated_width(width, 2), width),)),
            Operation("x_proj", Kind.LINEAR, (_out("x_proj", width, parameters, width),)),
            Operation("dt_proj", Kind.LINEAR, (_in("dt_proj", rank, width, width, bias=width),)),
            Operation("scan", Kind.SCAN, tuple(scan)),
            Operation("out_proj", Kind.LINEAR, (_out("out_proj", width, hidden_size, width),)),
        )

    def cache(self) -> CacheShape:
        """Convolution tail and recurrent state per sequence."""
        state = matrix_elements(self.intermediate_size, self.state_size, 1)
        width = self.intermediate_size
        states = _states(width, self.conv_kernel, state, width, self.state_in_float32)
        return CacheShape(CacheKind.STATE, states=states)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mamba2:
    """Multi-head state space of Mamba-2 (Dao and Gu 2024)."""

    kind: ClassVar[str] = "mamba2"

    num_heads: Count
    head_dim: Count
    state_size: Count
    n_groups: Count
    conv_kernel: Count
    state_in_float32: bool = False

    def operations(self, hidden_size: Count) -> tuple[Operation, ...]:
        """Projections around the chunked scan."""
        inner, heads = heads_width(self.num_heads, self.head_dim), self.num_heads
        convolved = self._convolved()
        scan = (
            _convolution(convolved, self.conv_kernel, heads, biased=True),
            vector("A_log_D_dt_bias", heads, 3),
            vector("norm", inner),
        )
        columns = joint_width(joint_width(inner, convolved), heads)
        return (
            Operation("in_proj", Kind.LINEAR, (_in("in_proj", hidden_size, columns, heads),)),
            Operation("scan", Kind.SCAN, scan),
            Operation("out_proj", Kind.LINEAR, (_out("out_proj", inner, hidden_size, heads),)),
        )

    def _convolved(self) -> Count:
        inner = heads_width(self.num_heads, self.head_dim)
        return joint_width(inner, repeated_width(heads_width(self.n_groups, self.state_size), 2))

    def cache(self) -> CacheShape:
        """Convolution tail and one head_dim × state matrix per head."""
        state = matrix_elements(self.head_dim, self.state_size, self.num_heads)
        states = _states(self._convolved(), self.conv_kernel, state, self.num_heads, self.state_in_float32)
        return CacheShape(CacheKind.STATE, states=states)


@dataclass(frozen=True, slots=True, kw_only=True)
class GatedDeltaNet:
    """Gated DeltaNet (Yang et al. 2024) as in Qwen3-Next and Qwen3.5."""

    kind: ClassVar[str] = "gated_delta_net"

    linear_num_key_heads: Count
    linear_num_value_heads: Count
    linear_key_head_dim: Count
    linear_value_head_dim: Count
    linear_conv_kernel_dim: Count
    state_in_float32: bool = False

    def operations(self, hidden_size: Count) -> tuple[Operation, ...]:
        """Projections around the delta rule."""
        value = heads_width(self.linear_num_value_heads, self.linear_value_head_dim)
        heads = self.linear_num_value_heads
        inputs = (
            _in("in_proj_qkvz", hidden_size, joint_width(self._convolved(), value), self.linear_num_key_heads),
            Weight("in_proj_ba", Role.MIXER, hidden_size, repeated_width(heads, 2), split=Split.COLUMN,
                   units=heads, quantizable=False),
        )  # fmt: skip
        scan = (
            _convolution(self._convolved(), self.linear_conv_kernel_dim, self.linear_num_key_heads, biased=False),
            vector("A_log_dt_bias", heads, 2),
            vector("norm", self.linear_value_head_dim),
        )
        return (
            Operation("in_proj", Kind.LINEAR, inputs),
            Operation("scan", Kind.SCAN, scan),
            Operation("out_proj", Kind.LINEAR, (_out("out_proj", value, hidden_size, heads),)),
        )

    def _convolved(self) -> Count:
        key = heads_width(self.linear_num_key_heads, self.linear_key_head_dim)
        value = heads_width(self.linear_num_value_heads, self.linear_value_head_dim)
        return joint_width(repeated_width(key, 2), value)

    def cache(self) -> CacheShape:
        """Convolution tail and one key × value matrix per value head."""
        state = matrix_elements(self.linear_key_head_dim, self.linear_value_head_dim, self.linear_num_value_heads)
        states = _states(
            self._convolved(), self.linear_conv_kernel_dim, state, self.linear_num_value_heads, self.state_in_float32
        )
        return CacheShape(CacheKind.STATE, states=states)


@dataclass(frozen=True, slots=True, kw_only=True)
class KimiDelta:
    """Kimi Delta Attention (Kimi Linear 2025): a delta rule gated per channel."""

    kind: ClassVar[str] = "kimi_delta"

    num_heads: Count
    head_dim: Count
    conv_kernel: Count
    state_in_float32: bool = True

    def operations(self, hidden_size: Count) -> tuple[Operation, ...]:
        """Projections, low-rank gates and the delta rule."""
        width, heads = heads_width(self.num_heads, self.head_dim), self.num_heads
        inputs = tuple(_in(name, hidden_size, width, heads) for name in ("q_proj", "k_proj", "v_proj"))
        gates_down = (
            Weight("f_a_proj", Role.MIXER, hidden_size, self.head_dim),
            Weight("g_a_proj", Role.MIXER, hidden_size, self.head_dim),
            Weight("b_proj", Role.MIXER, hidden_size, heads, split=Split.COLUMN, units=heads, quantizable=False),
        )
        gates_up = (_in("f_b_proj", self.head_dim, width, heads), _in("g_b_proj", self.head_dim, width, heads))
        scan = (
            _convolution(repeated_width(width, 3), self.conv_kernel, heads, biased=False),
            vector("A_log", heads),
            vector("dt_bias", width),
            vector("norm", self.head_dim),
        )
        return (
            Operation("qkv_proj", Kind.LINEAR, inputs),
            Operation("gate_down_proj", Kind.LINEAR, gates_down),
            Operation("gate_up_proj", Kind.LINEAR, gates_up),
            Operation("scan", Kind.SCAN, scan),
            Operation("o_proj", Kind.LINEAR, (_out("o_proj", width, hidden_size, heads),)),
        )

    def cache(self) -> CacheShape:
        """Three convolution tails and one key × value matrix per head."""
        width = heads_width(self.num_heads, self.head_dim)
        state = matrix_elements(self.head_dim, self.head_dim, self.num_heads)
        states = _states(repeated_width(width, 3), self.conv_kernel, state, self.num_heads, self.state_in_float32)
        return CacheShape(CacheKind.STATE, states=states)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lightning:
    """Lightning attention (MiniMax-01): linear attention with a per-head decay."""

    kind: ClassVar[str] = "lightning"

    num_attention_heads: Count
    head_dim: Count
    state_in_float32: bool = False

    def operations(self, hidden_size: Count) -> tuple[Operation, ...]:
        """Query, key, value and gate projections and the linear attention."""
        width, heads = heads_width(self.num_attention_heads, self.head_dim), self.num_attention_heads
        inputs = (
            _in("qkv_proj", hidden_size, repeated_width(width, 3), heads),
            _in("output_gate", hidden_size, width, heads),
        )
        return (
            Operation("qkvg_proj", Kind.LINEAR, inputs),
            Operation("scan", Kind.SCAN, (vector("norm", width),)),
            Operation("out_proj", Kind.LINEAR, (_out("out_proj", width, hidden_size, heads),)),
        )

    def cache(self) -> CacheShape:
        """One key × value matrix per head."""
        state = matrix_elements(self.head_dim, self.head_dim, self.num_attention_heads)
        tensors = (_recurrent(state, self.num_attention_heads, self.state_in_float32),)
        return CacheShape(CacheKind.STATE, states=tensors)
