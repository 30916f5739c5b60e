"""What one engine step processes, and how its work spreads over ranks and kernels."""

from __future__ import annotations

from llmsizer.core.explain import formula
from llmsizer.core.numerics import log, maximum, minimum, sqrt
from llmsizer.core.quantities import (
    Bytes,
    BytesPerElement,
    BytesPerSecond,
    Count,
    Flop,
    Fraction,
    Seconds,
    Tokens,
)
from llmsizer.core.units import ONE_ELEMENT, ONE_TOKEN


@formula(reference="definition: each decoding sequence brings its new tokens, prompts bring a chunk")
def step_tokens(decode_batch: Count, query_tokens: Tokens, prefill_tokens: Tokens) -> Tokens:
    """Tokens that pass through the layers in one step.

    >>> step_tokens(64.0, 1.0, 512.0)
    576.0
    """
    return decode_batch * query_tokens + prefill_tokens


@formula(reference="logits are needed for every new token of a decoding sequence and for the last token of a prompt")
def logit_rows(decode_batch: Count, query_tokens: Tokens, prefill_sequences: Count) -> Count:
    """Rows of the output projection in one step.

    >>> logit_rows(64.0, 1.0, 0.5)
    64.5
    """
    return decode_batch * query_tokens / ONE_TOKEN + prefill_sequences


@formula(reference="counting: one row of a matrix product for each token")
def rows_of_tokens(tokens: Tokens) -> Count:
    """Rows of a matrix product over tokens.

    >>> rows_of_tokens(576.0)
    576.0
    """
    return tokens / ONE_TOKEN


@formula(reference="non-absorbed latent attention expands a chunk and what is cached of its sequence (DeepSeek-V2, 2.1)")
def expanded_rows(prefill_tokens: Tokens, prefill_sequences: Count, prefill_context: Tokens, absorbed_tokens: Tokens) -> Count:
    """Rows of MLA's key/value up-projection: prompt tokens, their cached context, and absorbed decode tokens.

    >>> expanded_rows(512.0, 1.0, 1024.0, 64.0)
    1600.0
    """
    return (prefill_tokens + prefill_sequences * prefill_context + absorbed_tokens) / ONE_TOKEN


@formula(reference="attention-data-parallel ranks bring their tokens to the same experts")
def joint_rows(rows: Count, ranks: Count) -> Count:
    """Rows of all attention ranks together.

    >>> joint_rows(64.0, 8)
    512.0
    """
    return rows * ranks


@formula(reference="each token takes k experts; expert-parallel ranks share them")
def rank_assignments(rows: Count, experts_per_token: Count, ranks: Count) -> Count:
    """Mean pairs of token and expert that one rank computes.

    >>> rank_assignments(512.0, 8, 8)
    512.0
    """
    return rows * experts_per_token / ranks


@formula(
    reference="largest of R independent loads, Gaussian tail (Gumbel: mean + σ·√(2·ln R)); σ² of Poisson arrivals and of "
    "the popularity of a rank's experts",
    validity="experts placed on ranks whatever their popularity (no load balancer)",
)
def slowest_rank(mean: Count, ranks: Count, experts: Count, skew: Fraction) -> Count:
    """The load of the fullest of some expert-parallel ranks, which all wait for.

    ``skew`` is the variance of the experts' popularity relative to the mean; a rank holds experts / ranks of them.

    >>> round(slowest_rank(512.0, 8, 256, 0.0), 1)
    555.2
    >>> round(slowest_rank(512.0, 8, 256, 1.0), 1)
    690.0
    """
    variance = mean + mean * mean * skew * ranks / experts
    return mean + sqrt(2 * variance * (1 - 1 / ranks) * log(maximum(ranks, 1)))


@formula(reference="division of experts over expert-parallel ranks")
def rank_experts(experts: Count, ranks: Count) -> Count:
    """Experts of one rank.

    >>> rank_experts(222.4, 8)
    27.8
    """
    return experts / ranks


@formula(reference="weights of the experts that get a token are read, those of the others are not")
def touched_bytes(weight_bytes: Bytes, touched: Count, experts: Count) -> Bytes:
    """Bytes of expert weights read when some of a rank's experts are touched.

    >>> touched_bytes(800.0, 4.0, 16.0)
    200.0
    """
    return weight_bytes * touched / experts


@formula(reference="a value is read and written as often as unfused kernels touch it")
def pointwise_bytes(rows: Count, width: Count, passes: Count, value_bytes: BytesPerElement) -> Bytes:
    """Traffic of elementwise kernels over hidden states.

    >>> pointwise_bytes(16.0, 4096.0, 4, 2.0)
    524288.0
    """
    return rows * width * passes * value_bytes * ONE_ELEMENT


@formula(reference="streaming at a fraction of the bandwidth, and a launch for each kernel")
def pointwise_seconds(
    traffic: Bytes, memory_bandwidth: BytesPerSecond, launch_seconds: Seconds, memory_fraction: Fraction, kernels: Count
) -> Seconds:
    """Time of elementwise kernels.

    >>> round(pointwise_seconds(3.35e9, 3.35e12, 2e-6, 1.0, 5), 9)
    0.00101
    """
    return launch_seconds * kernels + traffic / (memory_bandwidth * memory_fraction)


@formula(reference="the engine takes whichever way is sooner")
def sooner_seconds(one: Seconds, other: Seconds) -> Seconds:
    """The shorter of two times.

    >>> sooner_seconds(2.0, 3.0)
    2.0
    """
    return minimum(one, other)


@formula(reference="hidden states of the tokens in the activation type")
def message_bytes(rows: Count, width: Count, value_bytes: BytesPerElement) -> Bytes:
    """Bytes of hidden states that a collective moves.

    >>> message_bytes(64.0, 8192.0, 2.0)
    1048576.0
    """
    return rows * width * value_bytes * ONE_ELEMENT


@formula(reference="repetition of a layer")
def seconds_of_layers(one: Seconds, layers: Count) -> Seconds:
    """Time of equal layers one after another.

    >>> seconds_of_layers(0.001, 32)
    0.032
    """
    return one * layers


@formula(reference="measured: scheduling, input preparation, sampling and detokenising between steps")
def host_seconds(per_step: Seconds, per_sequence: Seconds, sequences: Count, per_rank: Seconds, ranks: Count) -> Seconds:
    """Time of the engine's host side that the device waits for, in each step. ``ranks`` share one engine, which
    tells each further one than the first what to do.

    >>> host_seconds(0.001, 1e-5, 100.0, 0.0005, 1)
    0.002
    >>> host_seconds(0.001, 1e-5, 100.0, 0.0005, 3)
    0.003
    """
    return per_step + per_sequence * sequences + per_rank * (ranks - 1.0)


@formula(reference="counting: a layer of the usual block has two norms with their residual additions and one activation")
def further_kernels(norm_kernels: Count, activation_kernels: Count) -> Count:
    """Kernels of a layer beyond those of one whose norms and activations are fused.

    >>> further_kernels(9, 2)
    17
    """
    return 2 * (norm_kernels - 1) + (activation_kernels - 1)


@formula(reference="counting: a kernel that has nothing to do in a step is not launched")
def launches_of(launches: Count, layers: Count, amount: Count) -> Count:
    """Launches of a kernel in all its layers, of which each takes ``launches``, for so many rows or sequences.

    >>> launches_of(3, 32, 8.0), launches_of(3, 32, 0.0)
    (96.0, 0.0)
    """
    return launches * layers * minimum(amount, 1.0)


@formula(reference="without captured graphs each kernel waits for its launch from the host")
def eager_seconds(device: Seconds, kernels: Count, launch: Seconds) -> Seconds:
    """Time of a step whose kernels are launched one by one.

    >>> eager_seconds(0.01, 3000, 5e-6)
    0.015
    """
    return maximum(device, kernels * launch)


@formula(reference="graphs are captured for few tokens: kernels of prompts wait for their launches")
def eager_prompt_seconds(device: Seconds, kernels: Count, launch: Seconds, prompt_tokens: Tokens) -> Seconds:
    """Time of a step whose kernels are launched one by one when it has prompt tokens.

    >>> eager_prompt_seconds(0.01, 3000, 5e-6, 1024.0), eager_prompt_seconds(0.01, 3000, 5e-6, 0.0)
    (0.015, 0.01)
    """
    return maximum(device, kernels * launch * minimum(prompt_tokens / ONE_TOKEN, 1.0))


@formula(reference="micro-batches follow one another through the stages, a sequence waits for all (GPipe, Huang et al. 2019)")
def pipeline_seconds(plain_stage: Seconds, prompt_stage: Seconds, transfer: Seconds, stages: Count) -> Seconds:
    """Time of a round of as many micro-batches as there are stages, one of which carries prompt tokens.

    >>> round(pipeline_seconds(0.01, 0.03, 0.0001, 4), 6)
    0.0604
    """
    return (stages - 1) * plain_stage + prompt_stage + stages * transfer


@formula(reference="a prompt goes through every stage before its first token (GPipe, Huang et al. 2019)")
def pipeline_fill_seconds(prompt_stage: Seconds, plain_stage: Seconds, stages: Count) -> Seconds:
    """What the further stages add to the time to first token, beyond the round in which the prompt enters.

    >>> round(pipeline_fill_seconds(0.03, 0.01, 4), 6)
    0.06
    """
    return (stages - 1) * (prompt_stage - plain_stage)


@formula(reference="repetition of a layer")
def repeated_flop(flop: Flop, layers: Count) -> Flop:
    """FLOP of equal layers.

    >>> repeated_flop(2.0, 32)
    64.0
    """
    return flop * layers


@formula(reference="repetition of a layer")
def repeated_bytes(traffic: Bytes, layers: Count) -> Bytes:
    """Traffic of equal layers.

    >>> repeated_bytes(2.0, 32)
    64.0
    """
    return traffic * layers


@formula(reference="counting")
def attention_rows(first: Count, second: Count) -> Count:
    """A product of counts: sequences times tokens each, rows times keys.

    >>> attention_rows(8.0, 4.0)
    32.0
    """
    return first * second


@formula(reference="tokens of a chunk belong to one prompt at least")
def prompt_sequences(finished: Count) -> Count:
    """Prompts whose tokens a step processes, from those it finishes on average.

    >>> prompt_sequences(0.25)
    1.0
    """
    return maximum(finished, 1.0)


@formula(reference="equal prompts")
def tokens_each(tokens: Tokens, sequences: Count) -> Tokens:
    """Tokens of each of some prompts in a step.

    >>> tokens_each(2048.0, 2.0)
    1024.0
    """
    return tokens / sequences


@formula(reference="grouped-query attention: query heads share a key/value head (Ainslie et al. 2023)")
def queries_per_group(heads: Count, groups: Count, query_tokens: Tokens) -> Count:
    """Queries that share one key/value head's cache in a step.

    >>> queries_per_group(32.0, 8.0, 1.0)
    4.0
    """
    return heads / groups * query_tokens / ONE_TOKEN


@formula(reference="a recurrent state is read and written once a step, inputs and outputs once per token")
def state_traffic_bytes(sequences: Count, state: Bytes, rows: Count, width: Count, value_bytes: BytesPerElement) -> Bytes:
    """Traffic of a recurrent mixer in one layer.

    >>> state_traffic_bytes(2.0, 1000.0, 2.0, 100.0, 2.0)
    4800.0
    """
    return 2 * sequences * state + 2 * rows * width * value_bytes * ONE_ELEMENT


@formula(reference="definition: each decoding sequence brings its new tokens")
def decoding_tokens(decode_batch: Count, query_tokens: Tokens) -> Tokens:
    """New tokens of the decoding sequences in a step.

    >>> decoding_tokens(64.0, 1.0)
    64.0
    """
    return decode_batch * query_tokens
