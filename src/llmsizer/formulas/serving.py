"""The steady state of continuous batching: the steps that carry prompts, and who decodes together."""

from __future__ import annotations

from llmsizer.core.explain import formula
from llmsizer.core.numerics import ceil, exp, maximum, minimum
from llmsizer.core.quantities import Count, Fraction, PerSecond, Seconds, Tokens
from llmsizer.core.units import ONE_TOKEN


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


@formula(reference="counting: the guesses and the token before them")
def verified_tokens(guessed: Count) -> Tokens:
    """Tokens of a sequence that a verification step computes.

    >>> verified_tokens(3.0)
    4.0
    """
    return (guessed + 1) * ONE_TOKEN


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
