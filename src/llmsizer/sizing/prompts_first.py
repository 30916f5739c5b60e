"""Open loops in which prompts come before decoding, in steps of their own that take all prompts that have come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmsizer.core.explain import plain
from llmsizer.core.numerics import maximum, minimum, where
from llmsizer.core.quantities import Count, PerSecond, Seconds
from llmsizer.formulas.prompts import prompt_seconds_each
from llmsizer.formulas.prompts_first import interval_of_turns, prompt_turns, prompts_of_turn, turn_base_seconds
from llmsizer.formulas.serving import prefill_passes, prompts_of_tokens

if TYPE_CHECKING:
    from llmsizer.sizing.serving import Serving
    from llmsizer.sizing.steps import Step

# Steps that take hardly more than one prompt have no base apart from what each prompt adds.
SINGLE = 1.05
# Rounds in which the number of prompts to a step settles.
ROUNDS = 12


@dataclass(frozen=True, slots=True)
class Turns:
    """Prompt steps between decode steps: how many (``count``), with how many ``prompts``; a step of n prompts takes
    ``base`` + n · ``each``. ``interval``: from one decode step to the next."""

    rate: PerSecond
    base: Seconds
    each: Seconds
    prompts: Count
    count: Count
    interval: Seconds


def turns_of(serving: Serving, rate: PerSecond, pure: Seconds) -> Turns:
    """The prompt steps of an open loop whose decode step takes so long."""
    budget = serving.budget(0.0)
    width = prompts_of_tokens(budget, serving.prompt)
    single = prefill_passes(serving.prompt, budget)
    first = _seconds(serving, 1.0 / plain(single))
    fuller = minimum(maximum(1.0 + 2.0 * plain(rate) * plain(first), 2.0), maximum(plain(width), SINGLE))
    several = plain(width) > SINGLE
    each = where(
        several,
        prompt_seconds_each(_seconds(serving, fuller), first, fuller - 1.0),
        prompt_seconds_each(first, 0.0 * plain(first), 1.0 / plain(single)),
    )
    base = where(several, turn_base_seconds(first, each), 0.0 * plain(first))
    prompts = _settled(plain(rate), plain(pure), plain(base), plain(each), plain(width))
    prompts = where(several, prompts, 1.0 / plain(single))
    count = prompt_turns(rate, pure, base, each, prompts)
    return Turns(rate, base, each, prompts, count, interval_of_turns(rate, pure, base, each, count, width))


def _settled(rate: Any, pure: Any, base: Any, each: Any, width: Any) -> Any:
    """Prompts to a prompt step, as many as come between two decode steps."""
    prompts: Any = 1.0
    for _ in range(ROUNDS):
        count = prompt_turns(rate, pure, base, each, prompts)
        prompts = prompts_of_turn(rate, pure, base, each, count, prompts, width)
    return prompts


def _seconds(serving: Serving, prompts: Any) -> Seconds:
    """Time of a step of some prompts alone."""
    return serving.clock.seconds(turn(serving, prompts))


def turn(serving: Serving, prompts: Count) -> Step:
    """A step of some prompts alone, or of a prompt's own part."""
    return serving.prompt_step(0.0, serving.budget(0.0), prompts, 1.0)
