"""Goodput in closed form: the share of the requests that meet their targets, and their rate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from llmsizer.core.explain import plain
from llmsizer.core.quantities import Fraction, PerSecond, Seconds
from llmsizer.formulas.batches import deviation_beside, padded_step_at, padded_steps
from llmsizer.formulas.goodput import (
    deviation_of_class,
    good_rate,
    lognormal_score,
    share_below,
    share_of_good,
    skewed_score,
    time_of_answer,
    time_of_class,
)
from llmsizer.formulas.percentiles import varying_part
from llmsizer.schema.deployment import Case
from llmsizer.schema.promises import Promise
from llmsizer.sizing.batches import BATCHWISE
from llmsizer.sizing.moment import Moment, Steady
from llmsizer.sizing.percentiles import deviations
from llmsizer.sizing.serving import Serving


@dataclass(frozen=True, slots=True)
class Goodput:
    """Requests that meet all their targets: their ``share``, ``requests_per_second`` of the replica, and ``name`` and
    ``share`` of each of the ``classes``."""

    share: Fraction
    requests_per_second: PerSecond
    classes: tuple[dict[str, Any], ...]


def goodput(case: Case, serving: Serving, steady: Steady, rate: PerSecond) -> Goodput | None:
    """The goodput of a steady state at the rate of the replica; None where nothing is promised. A queue that grows
    without end keeps no promise."""
    promises = case.workload.promises
    if not promises:
        return None
    lost = float(plain(steady.waiting)) == float("inf")
    found = [0.0 if lost else _Good(case, serving, steady).share(each) for each in promises]
    share = sum(each.share * good for each, good in zip(promises, found, strict=True))
    classes = tuple({"name": each.name, "share": good} for each, good in zip(promises, found, strict=True))
    return Goodput(share, float(plain(good_rate(plain(rate), share))), classes)


class _Good:
    """The times of a steady state, as requests of one class or another meet them."""

    def __init__(self, case: Case, serving: Serving, steady: Steady) -> None:
        self.case, self.serving, self.steady = case, serving, steady
        self.moment: Moment = steady.moment
        self.step_deviation, self.whole_deviation = (float(plain(each)) for each in deviations(case, serving, steady))
        self.padded = case.batching in BATCHWISE

    def share(self, promise: Promise) -> float:
        """Share of the requests of a class that meet their targets."""
        limits = promise.targets
        first = self._first(promise, limits.ttft_seconds)
        token = self._token(promise, limits.tpot_seconds)
        whole = self._whole(promise, limits.e2e_seconds)
        return float((share_of_good(first, token, whole) * promise.weights).sum())

    def _prompt_seconds(self) -> float:
        """What a usual prompt adds to its own step; a padded batch takes as long for every one."""
        if self.padded:
            return 0.0
        moment, pure = self.moment, float(plain(self.moment.pure_seconds)) if self.serving.in_flight else 0.0
        carried = float(plain(moment.prompt_step.prefill_tokens)) / float(plain(self.serving.prompt))
        return max(float(plain(moment.prompt_seconds)) - pure, 0.0) / carried

    def _of_class(self, promise: Promise, mean: Seconds, deviation: Seconds) -> tuple[Any, Any]:
        each, usual = self._prompt_seconds(), float(plain(self.case.workload.input_tokens))
        own = deviation_of_class(plain(deviation), each, promise.prompt_deviation / usual, float(self.serving.variation))
        return time_of_class(plain(mean), each, promise.prompt, usual), own

    def _first(self, promise: Promise, limit: Seconds | None) -> Any:
        if limit is None:
            return 1.0
        mean, deviation = self._of_class(promise, self.steady.settled_ttft_seconds, self.moment.ttft_deviation)
        front = float(plain(self.serving.front_end(self.moment.others)))
        return share_below(skewed_score(limit, mean, varying_part(mean, front), deviation))

    def _token(self, promise: Promise, limit: Seconds | None) -> Any:
        """An answer of one token has no time per further token."""
        if limit is None:
            return 1.0
        import numpy as np

        moment = self.moment
        step = limit * float(plain(self.serving.speculation.tokens_per_step))
        if self.padded:
            whole, batch = max(float(plain(moment.decode_seconds)), 1e-12), float(plain(moment.batch))
            own = padded_step_at(float(plain(moment.pure_seconds)), whole, padded_steps(promise.answers), batch)
            varied = deviation_beside(float(plain(moment.decode_deviation)), batch) / whole
            found = share_below(lognormal_score(step, own, own * varied))
        else:
            mean = plain(moment.step_seconds)
            found = share_below(skewed_score(step, mean, varying_part(mean, plain(moment.pure_seconds)), self.step_deviation))
        return np.where(promise.answers > 1, found, 1.0)

    def _whole(self, promise: Promise, limit: Seconds | None) -> Any:
        if limit is None:
            return 1.0
        mean, deviation = self._of_class(promise, self.steady.e2e_seconds, self.whole_deviation)
        decode = float(plain(self.moment.decode_seconds))
        if self.padded:
            return share_below(skewed_score(limit, mean, varying_part(mean, decode), deviation))
        step = decode / max(float(plain(self.moment.steps)), 1.0) / float(plain(self.serving.speculation.tokens_per_step))
        times = time_of_answer(mean, step, promise.answers, float(plain(self.case.workload.output_tokens)))
        return share_below(skewed_score(limit, times, varying_part(mean, decode), deviation))
