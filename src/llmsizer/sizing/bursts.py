"""Prompts that come at once: the start of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmsizer.core.explain import plain
from llmsizer.core.quantities import Count, Seconds
from llmsizer.formulas.latency import delayed_seconds
from llmsizer.formulas.prompts import (
    burst_fill,
    burst_first_token_seconds,
    burst_steps,
    carried_prompts,
    half_of,
    prompt_seconds_each,
    tokens_of_prompts,
    whole_prompts,
)
from llmsizer.formulas.serving import chunk_context, chunk_tokens, prefill_passes, prompt_context, prompts_of_tokens
from llmsizer.sizing import front_end
from llmsizer.sizing.steps import Step

if TYPE_CHECKING:
    from llmsizer.sizing.serving import Serving


def burst_width(serving: Serving, running: Count) -> tuple[Count, Count]:
    """Prompts that fill a step in a burst of so many, and how many such steps the burst fills."""
    budget = serving.budget(half_of(running) if serving.in_flight else 0.0)
    width = prompts_of_tokens(budget, serving.prompt)
    if not serving.in_flight and not serving.case.engine.chunked_prefill:
        width = whole_prompts(width)
    return width, burst_steps(running, width)


def _full_step(serving: Serving, running: Count, width: Count) -> Step:
    """The fullest step of a burst."""
    carried = carried_prompts(running, width)
    budget = serving.budget(half_of(running) if serving.in_flight else 0.0)
    own = chunk_tokens(serving.prompt, prefill_passes(serving.prompt, budget))
    return Step(
        decode_batch=half_of(running) if serving.in_flight else 0.0, decode_context=serving.context,
        prefill_tokens=tokens_of_prompts(serving.prompt, carried), prefill_sequences=carried,
        prefill_context=prompt_context(serving.cached, chunk_context(serving.prompt, own)),
        query_tokens=serving.speculation.query_tokens,
    )  # fmt: skip


def prompts_of_width(step: Step, serving: Serving, width: Count) -> Count:
    """How much of its budget the fullest step of a burst fills."""
    return burst_steps(prompts_of_tokens(step.prefill_tokens, serving.prompt), width)


def burst_seconds(serving: Serving, running: Count) -> Seconds:
    """Mean time to first token when a run starts and all prompts come at once."""
    width, steps = burst_width(serving, running)
    prompts = _full_step(serving, running, width)
    decoding = Step(decode_batch=prompts.decode_batch, decode_context=serving.context)
    base = serving.clock.seconds(decoding) if serving.in_flight else 0.0
    fullest, fill = serving.clock.timed(prompts)
    more = prompt_seconds_each(fullest, base, prompts_of_width(prompts, serving, width))
    front = front_end.alone(serving.case)
    if plain(serving.case.parallel.pipeline_parallel_size) > 1:
        front = delayed_seconds(front, fill)
    return burst_first_token_seconds(front, base, burst_fill(steps, running), more)
