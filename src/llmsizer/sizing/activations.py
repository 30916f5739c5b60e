"""The activation peak of an engine's profile run: the forward pass, the sampler, vision towers."""

from __future__ import annotations

from llmsizer.blocks.attention import GroupedQuery, Latent
from llmsizer.blocks.feed_forward import MixtureOfExperts
from llmsizer.blocks.operation import Kind, Operation, Role, Split
from llmsizer.core.explain import named, plain, total
from llmsizer.core.quantities import Bytes, Count
from llmsizer.formulas.activations import (
    activation_peak_bytes,
    attention_width,
    chunked_width,
    forward_peak_bytes,
    gated_width,
    live_elements_per_token,
    plain_feed_forward_width,
    routed_width,
    sampler_peak_bytes,
    score_matrix_bytes,
)
from llmsizer.formulas.parameters import joint_width
from llmsizer.schema.deployment import Case
from llmsizer.schema.model import LayerGroup
from llmsizer.sizing.lowering import Stack, lower
from llmsizer.sizing.stages import Stage
from llmsizer.sizing.weights import rank_shape

# vLLM's fused MoE works through its tokens in chunks, which bounds its workspace (fused_moe.py).
MOE_CHUNK_TOKENS = 32768


def activation_bytes(case: Case, stage: Stage) -> Bytes:
    """The larger of the forward pass at the batched tokens and the sampler on the last stage."""
    forward = total([named(forward_bytes(case, stage), "forward pass")], "forward peak")
    if not (stage.is_last and case.model.lm_head) or not plain(case.engine.sampler_bytes_per_logit):
        return named(forward, "activation_bytes")
    rows = (
        min((case.max_num_seqs, case.max_num_batched_tokens), key=plain)
        if plain(case.max_num_batched_tokens)
        else case.max_num_seqs
    )
    sampler = sampler_peak_bytes(case.engine.sampler_bytes_per_logit, rows, case.model.vocab_size)
    return named(activation_peak_bytes(forward, sampler), "activation_bytes")


def forward_bytes(case: Case, stage: Stage) -> Bytes:
    """Peak of one forward pass of the batched tokens: the widest layer (or tower) and what is alive
    around it; the stored score matrix too where FlashAttention is off."""
    tokens = _step_tokens(case)
    stacks = [stack for stack in lower(case.model).layers if stage.layers_of(stack)]
    widths = [_stack_peak(case, stack, tokens) for stack in stacks]
    if stage.is_first:
        widths += [_tower_peak(case, stack) for stack in lower(case.model).towers if stack.name.endswith("layers")]
    peak = max(widths, key=plain, default=0.0)
    if case.flash_attention:
        return peak
    return total([named(peak, "live tensors"), _scores(case, stage, tokens)], "forward without FlashAttention")


def _step_tokens(case: Case) -> Count:
    """Tokens of the profiled step: the batched-token budget, or one whole prompt."""
    return case.max_num_batched_tokens if plain(case.max_num_batched_tokens) else case.workload.input_tokens


def _stack_peak(case: Case, stack: Stack, tokens: Count) -> Bytes:
    width = max(_block_widths(case, stack), key=plain, default=0.0)
    live = live_elements_per_token(case.engine.hidden_copies, case.model.hidden_size, width)
    return named(forward_peak_bytes(live, tokens, case.native.bits), stack.name)


def _block_widths(case: Case, stack: Stack) -> list[Count]:
    widths: list[Count] = []
    for operation in stack.operations:
        if operation.kind is Kind.EXPERTS and stack.group is not None:
            widths.append(_routed(case, operation, stack.group))
        elif operation.weights and operation.weights[0].role is Role.MLP:
            up = [w for w in operation.weights if w.split is Split.COLUMN]
            if up:
                share = rank_shape(up[0], case.parallel, 1).out_features
                widths.append(gated_width(share) if len(up) > 1 else plain_feed_forward_width(share))
        elif operation.name in {"qkv_proj", "q_b_proj", "in_proj"}:
            shares = [rank_shape(weight, case.parallel, 1).out_features for weight in operation.weights]
            rest = total([named(share, w.name) for share, w in zip(shares[1:], operation.weights[1:], strict=True)], "k and v")
            widths.append(attention_width(shares[0], rest))
    return widths


def _routed(case: Case, operation: Operation, group: LayerGroup) -> Count:
    ffn = group.feed_forward
    assert isinstance(ffn, MixtureOfExperts)
    ups = [weight for weight in operation.weights if weight.split is Split.COLUMN]
    share = rank_shape(ups[0], case.parallel, 1).out_features
    projected = joint_width(share, share) if len(ups) > 1 else share
    routed = routed_width(ffn.num_experts_per_tok, projected, ups[0].in_features, share)
    return chunked_width(routed, _step_tokens(case), MOE_CHUNK_TOKENS)


def _tower_peak(case: Case, stack: Stack) -> Bytes:
    tower = next(tower for tower in case.model.towers if stack.name.startswith(tower.name))
    patches = tower.patches if tower.patches is not None else _step_tokens(case)
    wide = gated_width(tower.intermediate_size) if tower.gated else plain_feed_forward_width(tower.intermediate_size)
    live = live_elements_per_token(case.engine.hidden_copies, tower.hidden_size, wide)
    return named(forward_peak_bytes(live, patches, case.native.bits), f"{tower.name} profiling")


def _scores(case: Case, stage: Stage, tokens: Count) -> Bytes:
    heads = 0.0
    for stack in lower(case.model).layers:
        attention = stack.group.attention if stack.group is not None else None
        if isinstance(attention, (GroupedQuery, Latent)) and stage.layers_of(stack):
            heads = max(heads, plain(attention.num_attention_heads) / plain(case.parallel.tensor_parallel_size))
    return score_matrix_bytes(heads, tokens, case.max_model_len, 32)
