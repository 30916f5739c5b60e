"""The steady state of continuous batching: steps that carry prompts, and what a request waits for."""

from __future__ import annotations

from llmsizer.core.explain import formula
from llmsizer.core.numerics import ceil, exp, maximum, minimum
from llmsizer.core.quantities import Count, Fraction, PerSecond, Seconds, Tokens
from llmsizer.core.units import ONE_TOKEN


@formula(reference="a token sees the prompt and the answer so far: E[O·I + O²/2] / E[O] for fixed lengths")
def decode_context(input_tokens: Tokens, output_tokens: Tokens) -> Tokens:
    """Mean number of cached tokens that a generated token attends to.

    >>> decode_context(1000.0, 200.0)
    1100.0
    """
    return input_tokens + output_tokens / 2


@formula(reference="the first token of an answer comes from the prompt's own pass")
def decode_steps(output_tokens: Tokens, tokens_per_step: Tokens) -> Count:
    """Decode steps of a request; never fewer than a very small number, so that rates stay finite.

    >>> decode_steps(257.0, 1.0)
    256.0
    """
    return maximum((output_tokens - ONE_TOKEN) / tokens_per_step, 1e-9)


@formula(reference="in the steady state one prompt enters for each request that finishes")
def prompts_per_step(decode_batch: Count, steps: Count) -> Count:
    """Mean number of prompts that enter in a step in which ``decode_batch`` sequences decode.

    >>> prompts_per_step(64.0, 256.0)
    0.25
    """
    return decode_batch / steps


@formula(reference="Poisson number of prompts per step, and no more prompt tokens in a step than its budget")
def prefill_share(prompts: Count, prompt_tokens: Tokens, budget: Tokens) -> Fraction:
    """Share of the steps that carry prompt tokens.

    >>> round(prefill_share(0.25, 1000.0, 8192.0), 4)
    0.2212
    """
    return minimum(maximum(1 - exp(-prompts), prompts * prompt_tokens / budget), 1.0)


@formula(reference="conservation: all prompt tokens are processed in the steps that carry some")
def prefill_tokens_per_step(prompts: Count, prompt_tokens: Tokens, share: Fraction) -> Tokens:
    """Prompt tokens in a step that carries some.

    >>> prefill_tokens_per_step(0.25, 1000.0, 0.25)
    1000.0
    """
    return prompts * prompt_tokens / maximum(share, 1e-12)


@formula(reference="chunked prefill: the tokens of a chunk attend on average to half of what is left of the prompt")
def chunk_context(prompt_tokens: Tokens, chunk_tokens: Tokens) -> Tokens:
    """Mean number of tokens of the same prompt cached before a chunk.

    >>> chunk_context(4096.0, 1024.0)
    1536.0
    """
    return maximum(prompt_tokens - chunk_tokens, 0 * ONE_TOKEN) / 2


@formula(reference="the mean over steps with and without prompt tokens")
def mean_step_seconds(share: Fraction, mixed: Seconds, pure: Seconds) -> Seconds:
    """Mean time of a step where prompts and decoding share steps.

    >>> mean_step_seconds(0.25, 0.04, 0.02)
    0.025
    """
    return share * mixed + (1 - share) * pure


@formula(reference="prompts have priority: their steps come between decode steps")
def interrupted_step_seconds(pure: Seconds, interruptions: Count, prefill: Seconds) -> Seconds:
    """Mean time from one decode step to the next where prompts are processed in steps of their own.

    >>> interrupted_step_seconds(0.02, 0.25, 0.04)
    0.03
    """
    return pure + interruptions * prefill


@formula(reference="Little's law over the decoding sequences")
def request_rate_of(decode_batch: Count, steps: Count, step: Seconds) -> PerSecond:
    """Requests finished per second.

    >>> round(request_rate_of(64.0, 256.0, 0.025), 9)
    10.0
    """
    return decode_batch / (steps * step)


@formula(reference="definition of a step that yields several tokens")
def token_seconds(step: Seconds, tokens_per_step: Tokens) -> Seconds:
    """Time per output token.

    >>> token_seconds(0.03, 1.5)
    0.02
    """
    return step * ONE_TOKEN / tokens_per_step


@formula(reference="E2E = TTFT + (output tokens − 1) · TPOT (vLLM benchmark_serving)")
def end_to_end_seconds(ttft: Seconds, output_tokens: Tokens, tpot: Seconds) -> Seconds:
    """Time from sending a request to its last token.

    >>> end_to_end_seconds(0.5, 101.0, 0.02)
    2.5
    """
    return ttft + (output_tokens - ONE_TOKEN) / ONE_TOKEN * tpot


@formula(reference="Little's law: sequences that wait or prefill are those in flight that do not decode")
def decoding_sequences(concurrency: Count, ttft: Seconds, decode: Seconds) -> Count:
    """Mean number of sequences that decode, of those in flight.

    >>> decoding_sequences(64.0, 1.0, 7.0)
    56.0
    """
    return concurrency * decode / (decode + ttft)


@formula(reference="M/D/1 queue (Pollaczek-Khinchine) of prompts for the prefill budget of the steps")
def prefill_queue_seconds(load: Fraction, service: Seconds) -> Seconds:
    """Mean wait of a prompt for prompts before it.

    >>> prefill_queue_seconds(0.5, 0.1)
    0.05
    """
    return minimum(load, 0.98) / (2 * (1 - minimum(load, 0.98))) * service


@formula(reference="Little's law: what is in flight beyond the decoding sequences waits")
def closed_loop_ttft(concurrency: Count, rate: PerSecond, decode: Seconds) -> Seconds:
    """Time to first token that a full closed loop leaves, when the running batch is capped.

    >>> closed_loop_ttft(100.0, 10.0, 8.0)
    2.0
    """
    return concurrency / rate - decode


@formula(reference="definition: tokens of finished requests per second")
def tokens_per_second(rate: PerSecond, tokens: Tokens) -> PerSecond:
    """Tokens per second at a request rate.

    >>> tokens_per_second(2.0, 256.0)
    512.0
    """
    return rate * tokens / ONE_TOKEN


@formula(reference="Leviathan et al. 2023, equation 1: expected tokens of a step with independent acceptance")
def speculated_tokens(acceptance: Fraction, guessed: Count) -> Tokens:
    """Tokens that a verification step yields: (1 − α^(γ+1)) / (1 − α).

    >>> round(speculated_tokens(0.8, 3), 3)
    2.952
    """
    return (1 - acceptance ** (guessed + 1)) / maximum(1 - acceptance, 1e-12) * ONE_TOKEN


@formula(reference="a request sees itself and the others that decode with it")
def batch_seen(others: Count) -> Count:
    """Sequences in a step that a given request decodes in.

    >>> batch_seen(31.0)
    32.0
    """
    return others + 1


@formula(reference="closed loop: each of the others decodes for its share of a request's time in the engine")
def others_decoding(running: Count, decode: Seconds, first_token: Seconds) -> Count:
    """Other sequences that decode at the same time, of those running.

    >>> others_decoding(64.0, 7.0, 1.0)
    55.125
    """
    return maximum(running - 1, 0) * decode / (decode + first_token)


@formula(reference="Little's law over the sequences the engine runs")
def running_rate(running: Count, first_token: Seconds, decode: Seconds) -> PerSecond:
    """Requests per second that finish when so many run.

    >>> running_rate(64.0, 1.0, 7.0)
    8.0
    """
    return running / (first_token + decode)


@formula(reference="Little's law over the sequences that wait for a place in the running batch")
def waiting_seconds(concurrency: Count, running: Count, rate: PerSecond) -> Seconds:
    """Mean wait of a request in a closed loop that holds more requests than the engine runs.

    >>> waiting_seconds(100.0, 60.0, 8.0)
    5.0
    """
    return (concurrency - running) / rate


@formula(reference="a request that comes while a step runs waits for its end: half a step on average")
def residual_seconds(step: Seconds, others: Count) -> Seconds:
    """Mean wait for the step in progress; none when the engine is idle.

    >>> residual_seconds(0.02, 10.0)
    0.01
    """
    return step / 2 * minimum(others, 1.0)


@formula(reference="definition: time of all decode steps of a request")
def decode_seconds(steps: Count, step: Seconds) -> Seconds:
    """Time from the first token of an answer to its last.

    >>> decode_seconds(256.0, 0.02)
    5.12
    """
    return steps * step


@formula(reference="tokens already cached need no prefill")
def uncached_tokens(input_tokens: Tokens, hit_rate: Fraction) -> Tokens:
    """Prompt tokens to process when a share of them is found in the prefix cache; at least one.

    >>> uncached_tokens(1000.0, 0.75)
    250.0
    """
    return maximum(input_tokens * (1 - hit_rate), ONE_TOKEN)


@formula(reference="decoding tokens come first, prompts take what is left of the step's budget")
def prompt_budget(batched_tokens: Tokens, decode_batch: Count, query_tokens: Tokens) -> Tokens:
    """Prompt tokens one step can take; a sixteenth of the budget at least.

    >>> prompt_budget(2048.0, 256.0, 1.0)
    1792.0
    """
    return maximum(batched_tokens - decode_batch * query_tokens, batched_tokens / 16)


@formula(reference="a prompt longer than a step's share takes several steps")
def prefill_passes(prompt_tokens: Tokens, budget: Tokens) -> Count:
    """Steps a prompt needs.

    >>> prefill_passes(4096.0, 1792.0)
    3.0
    """
    return ceil(prompt_tokens / budget)


@formula(reference="conservation of prompt tokens over the steps of a prompt")
def chunk_tokens(prompt_tokens: Tokens, passes: Count) -> Tokens:
    """Tokens of a prompt in each of its steps.

    >>> chunk_tokens(4096.0, 2.0)
    2048.0
    """
    return prompt_tokens / passes


@formula(reference="front end, the step in progress, prompts before it, its own steps")
def first_token_seconds(front_end: Seconds, residual: Seconds, queue: Seconds, passes: Count, step: Seconds) -> Seconds:
    """Time to first token.

    >>> round(first_token_seconds(0.03, 0.01, 0.0, 2.0, 0.05), 3)
    0.14
    """
    return front_end + residual + queue + passes * step


@formula(reference="expected tokens of a step: one, and each guess with the chance that it and all before it are accepted")
def profile_tokens(accepted: Count) -> Tokens:
    """Tokens of a verification step from the sum of a per-position acceptance profile.

    >>> profile_tokens(1.5)
    2.5
    """
    return (1 + accepted) * ONE_TOKEN


@formula(reference="counting: the guesses and the token before them")
def verified_tokens(guessed: Count) -> Tokens:
    """Tokens of a sequence that a verification step computes.

    >>> verified_tokens(3.0)
    4.0
    """
    return (guessed + 1) * ONE_TOKEN


@formula(reference="engines report the share of guesses accepted, (E − 1)/γ; solved for the tokens of a step")
def tokens_of_reported_rate(reported: Fraction, guessed: Count) -> Tokens:
    """Tokens of a verification step from an engine's reported acceptance rate.

    >>> tokens_of_reported_rate(0.5, 4)
    3.0
    """
    return (1 + reported * guessed) * ONE_TOKEN


@formula(reference="attention-data-parallel ranks serve side by side")
def rate_of_ranks(rate: PerSecond, ranks: Count) -> PerSecond:
    """A rate of all ranks together.

    >>> rate_of_ranks(2.0, 8)
    16.0
    """
    return rate * ranks


@formula(reference="definition: a rate divided by the devices that bring it about")
def rate_per_device(rate: PerSecond, devices: Count) -> PerSecond:
    """A rate per device.

    >>> rate_per_device(16.0, 8)
    2.0
    """
    return rate / devices


@formula(reference="static batching: the whole batch is prefilled, then decodes to its end")
def batch_rate(batch: Count, first_token: Seconds, decode: Seconds) -> PerSecond:
    """Requests per second of batches run one after another.

    >>> batch_rate(16.0, 1.0, 7.0)
    2.0
    """
    return batch / (first_token + decode)


@formula(reference="Little's law: others in flight when requests come at a rate and stay for a time")
def others_at_rate(rate: PerSecond, decode: Seconds) -> Count:
    """Sequences that decode at a time, at a request rate.

    >>> others_at_rate(2.0, 8.0)
    16.0
    """
    return rate * decode


@formula(reference="prompt tokens that come of those that fit")
def prefill_load(prompts: Count, prompt_tokens: Tokens, budget: Tokens) -> Fraction:
    """Share of the steps' prompt budget that prompts take.

    >>> prefill_load(0.25, 1000.0, 2000.0)
    0.125
    """
    return prompts * prompt_tokens / budget


@formula(reference="definition: time to first token less what the front end adds to it")
def engine_seconds(first_token: Seconds, front_end: Seconds) -> Seconds:
    """Time from a request's arrival in the engine to its first token.

    >>> round(engine_seconds(0.25, 0.05), 2)
    0.2
    """
    return first_token - front_end


@formula(reference="Little's law: requests in the engine when they come at a rate and stay for a time")
def sequences_at_rate(rate: PerSecond, first_token: Seconds, decode: Seconds) -> Count:
    """Sequences that an engine runs at a request rate.

    >>> sequences_at_rate(2.0, 1.0, 8.0)
    18.0
    """
    return rate * (first_token + decode)


@formula(reference="definition: the larger of two token counts")
def largest_tokens(first: Tokens, second: Tokens) -> Tokens:
    """The larger of two numbers of tokens.

    >>> largest_tokens(2.0, 3.0)
    3.0
    """
    return maximum(first, second)


@formula(reference="tokens found in the prefix cache")
def cached_tokens(input_tokens: Tokens, processed: Tokens) -> Tokens:
    """Prompt tokens that need no prefill.

    >>> cached_tokens(1000.0, 250.0)
    750.0
    """
    return input_tokens - processed


@formula(reference="a chunk attends to what the prefix cache holds and to earlier chunks")
def prompt_context(cached: Tokens, earlier: Tokens) -> Tokens:
    """Cached tokens that a chunk of a prompt attends to.

    >>> prompt_context(750.0, 100.0)
    850.0
    """
    return cached + earlier


@formula(reference="counting")
def prompts_of_tokens(tokens: Tokens, prompt_tokens: Tokens) -> Count:
    """Prompts that so many tokens belong to.

    >>> prompts_of_tokens(2000.0, 1000.0)
    2.0
    """
    return tokens / prompt_tokens


@formula(reference="counting")
def prompt_tokens_of(prompt_tokens: Tokens, prompts: Count) -> Tokens:
    """Tokens of some equal prompts.

    >>> prompt_tokens_of(1000.0, 16)
    16000.0
    """
    return prompt_tokens * prompts


@formula(reference="counting")
def half_of(count: Count) -> Count:
    """Half of some sequences: those already decoding, on average, while a burst is prefilled.

    >>> half_of(64.0)
    32.0
    """
    return count / 2


@formula(reference="definition: a wait before what follows")
def delayed_seconds(first_token: Seconds, wait: Seconds) -> Seconds:
    """Time to first token after a wait for a place in the running batch.

    >>> delayed_seconds(0.25, 2.0)
    2.25
    """
    return first_token + wait


@formula(reference="prompts that come at once are prefilled one step after another: the mean waits for half of the steps")
def burst_seconds(front_end: Seconds, passes: Count, step: Seconds) -> Seconds:
    """Mean time to first token of prompts that come at once and take so many steps together.

    >>> round(burst_seconds(0.03, 9.0, 0.1), 2)
    0.53
    """
    return front_end + (passes + 1) / 2 * step


@formula(reference="mean over a run of N prompts of which the first C come at once (benchmarks at a fixed concurrency)")
def finite_run_seconds(steady: Seconds, burst: Seconds, concurrency: Count, prompts: Count) -> Seconds:
    """Mean time to first token of a finite run.

    >>> round(finite_run_seconds(0.2, 2.2, 64, 640), 2)
    0.4
    """
    return steady + (burst - steady) * concurrency / prompts


@formula(reference="measured: tokeniser, HTTP and first stream, and the front end's work for sequences being streamed")
def front_end_seconds(fixed: Seconds, per_sequence: Seconds, others: Count) -> Seconds:
    """Part of the time to first token that is spent outside the engine.

    >>> round(front_end_seconds(0.05, 0.001, 20.0), 3)
    0.07
    """
    return fixed + per_sequence * others
