"""Requests that never decode beside others: answers of one token, or an engine with one place. They are served in
turns, which is the closed form of whole batches: a step's prompts, or one request, after another."""

from __future__ import annotations

from typing import Any

from llmsizer.core.explain import plain
from llmsizer.core.numerics import maximum, minimum, where
from llmsizer.formulas.batches import batch_rate
from llmsizer.formulas.serving import prompts_of_tokens
from llmsizer.schema.deployment import Case
from llmsizer.sizing.batches import BATCHWISE, Batches
from llmsizer.sizing.fixed_point import anywhere, every
from llmsizer.sizing.moment import Steady, merged
from llmsizer.sizing.serving import Serving

# A full step's prompts, a hair less than its budget: rounding must not make it two steps.
FULL_STEP = 1.0 - 1e-9
# Shares of the highest rate at which an engine that serves in turns is as good as idle, and full.
IDLE, FULL = 1e-3, 0.98


def in_turns(case: Case, cap: Any) -> Any:
    """Whether requests are served in turns; elementwise for arrays of lengths or of places."""
    if case.batching in BATCHWISE:
        return True
    return one_token_answers(case) | (plain(cap) <= 1.0)


def one_token_answers(case: Case) -> Any:
    """Whether an answer is the one token that its prompt's own pass makes: there is no further token to time."""
    return plain(case.workload.output_tokens) <= 1.0


def turn_size(serving: Serving, cap: Any) -> Any:
    """Most requests that are served together: of one-token answers as many as a step has room for."""
    case = serving.case
    if case.batching in BATCHWISE:
        return cap
    width = maximum(plain(prompts_of_tokens(serving.budget(0.0), serving.prompt)) * FULL_STEP, 1.0)
    return where(one_token_answers(case), minimum(cap, width), cap)


def open_loop(serving: Serving, rate: Any, cap: Any, most: Any) -> Steady:
    """The steady state of requests that come at a rate."""
    turns = in_turns(serving.case, cap)
    if not anywhere(turns):
        return serving.open(rate, cap, most)
    found = Batches(serving).open(rate, turn_size(serving, cap), most)
    return found if every(turns) else merged(turns, found, serving.open(rate, cap, most))


def rising_loads(serving: Serving, cap: Any, shares: Any) -> Steady:
    """Open loops from an idle engine to a full one, with no search for the state of each: by shares of the others that
    a request may meet, and of the highest rate where requests are served in turns."""
    turns = in_turns(serving.case, cap)
    if not anywhere(turns):
        return serving.at((cap - 1.0) * shares)
    batches = Batches(serving)
    size = where(turns, turn_size(serving, cap), 1.0)
    highest = plain(batch_rate(size, batches.service(size).whole))
    found = batches.open(highest * maximum(shares, IDLE) * FULL, size)
    return found if every(turns) else merged(turns, found, serving.at((cap - 1.0) * shares))


def closed_loop(serving: Serving, concurrency: Any, cap: Any) -> Steady:
    """The steady state of so many users."""
    turns = in_turns(serving.case, cap)
    if not anywhere(turns):
        return serving.closed(concurrency, cap)
    found = Batches(serving).closed(concurrency, turn_size(serving, cap))
    return found if every(turns) else merged(turns, found, serving.closed(concurrency, cap))


def replayed(serving: Serving, others: Any, concurrency: Any, cap: Any, rate: Any, holds: bool) -> Steady:
    """A settled state on Values."""
    if in_turns(serving.case, cap):
        return Batches(serving).replay(others, concurrency, turn_size(serving, cap), rate, holds)
    return serving.replay(others, concurrency, cap, rate, holds)
