"""What the lengths of a workload mean for a running batch; without a spread all requests are alike."""

from __future__ import annotations

from llmsizer.core.explain import plain
from llmsizer.core.quantities import Count, Fraction, Tokens
from llmsizer.formulas.batches import longest_tokens
from llmsizer.formulas.workload import (
    decoding_answer,
    length_biased_context,
    mean_decode_context,
    product_moment,
    second_moment,
    spread_context,
)
from llmsizer.schema.deployment import Workload

LONGEST_SHARE = 0.999


def decoding_context(work: Workload) -> Tokens:
    """Mean tokens in the cache of a sequence met in the running batch: long answers are met more often."""
    spread, answer = work.spread, decoding_answer(work.output_tokens)
    variation, covariation = (spread.output_variation, spread.covariation) if spread is not None else (0.0, 0.0)
    product = product_moment(work.input_tokens, answer, covariation)
    return mean_decode_context(work.input_tokens, product, second_moment(answer, variation), answer)


def held_tokens(work: Workload) -> Tokens:
    """Mean tokens that a running request holds: its prompt and the answer so far."""
    spread = work.spread
    variation, covariation = (spread.output_variation, spread.covariation) if spread is not None else (0.0, 0.0)
    product = product_moment(work.input_tokens, work.output_tokens, covariation)
    return length_biased_context(product, second_moment(work.output_tokens, variation), work.output_tokens)


def longer_prompts(work: Workload, prompt: Tokens) -> Tokens:
    """Tokens that a prompt token attends to because long prompts have more of them."""
    return spread_context(prompt, work.spread.input_variation) if work.spread is not None else 0.0


def longest_request(work: Workload) -> int:
    """Tokens of the longest request, prompt and answer; where lengths scatter the longest but one in a thousand."""
    prompt, answer, spread = float(plain(work.input_tokens)), float(plain(work.output_tokens)), work.spread
    if spread is None:
        return int(prompt + answer)
    return round(prompt * spread.inputs.at(LONGEST_SHARE) + answer * spread.outputs.at(LONGEST_SHARE))


def inverse_steps(work: Workload) -> Fraction:
    """E[1/(O − 1)] · (E[O] − 1) of the answers: 1 where all are alike."""
    return work.spread.inverse_steps if work.spread is not None else 1.0


def padded_lengths(work: Workload, prompt: Tokens, count: Count) -> tuple[Tokens, Tokens]:
    """The longest prompt and answer of a batch of so many requests."""
    spread = work.spread
    if spread is None:
        return prompt, work.output_tokens
    number = plain(count)
    longest = longest_tokens(prompt, spread.inputs.longest_of(number))
    return longest, longest_tokens(work.output_tokens, spread.outputs.longest_of(number))


def padding(work: Workload, count: Count) -> Fraction:
    """Mean over requests of the longest answer of their batch over their own."""
    return 1.0 if work.spread is None else work.spread.outputs.padding_of(plain(count))


def deviation_of_longest(work: Workload, count: Count) -> Fraction:
    """Standard deviation of the longest answer of a batch, over the mean answer."""
    return 0.0 if work.spread is None else work.spread.outputs.deviation_of_longest(plain(count))


def longest_prompt(work: Workload, count: Count) -> tuple[Fraction, Fraction]:
    """Mean and standard deviation of the longest prompt of a batch, over the mean prompt."""
    if work.spread is None:
        return 1.0, 0.0
    law, number = work.spread.inputs, plain(count)
    return law.longest_of(number), law.deviation_of_longest(number)


def answer_at(work: Workload, share: float) -> Tokens:
    """The answer that a share of the requests does not exceed."""
    if work.spread is None:
        return work.output_tokens
    return longest_tokens(work.output_tokens, work.spread.outputs.at(share))
