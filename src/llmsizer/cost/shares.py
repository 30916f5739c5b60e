"""How the cost of a request falls on its computed input, cached input and output tokens.

The cost is joint: the same devices read the prompt and write the answer. Two rules share it out.
``tokens``: every token bears the same (an output token may be weighed); ``device-time``: the prefill's
time falls on the input, the decode's time on the output. Under both an input token found in the cache
bears a weight of a computed one. The shares of a request sum to its cost.
"""

from __future__ import annotations

from dataclasses import dataclass

from llmsizer.core.quantities import Usd, UsdPerToken
from llmsizer.cost.case import CostCase
from llmsizer.formulas.cost import (
    cost_per_cached_token,
    cost_per_input_token,
    cost_per_output_token,
    input_share_by_time,
    input_share_by_tokens,
    weighed_input_tokens,
)


@dataclass(frozen=True, slots=True)
class TokenCosts:
    """USD a token: computed input, input from the cache, output."""

    per_input: UsdPerToken | None = None
    per_cached_input: UsdPerToken | None = None
    per_output: UsdPerToken | None = None


def allocation_of(case: CostCase) -> str:
    """The rule that holds: the one asked for, else device time where it is known."""
    if case.allocation is not None:
        return case.allocation
    return "device-time" if case.prefill_seconds is not None and case.decode_seconds is not None else "tokens"


def token_costs(case: CostCase, per_request: Usd | None) -> TokenCosts:
    """The cost of a token of each kind; empty where the cost or the lengths are not known."""
    if per_request is None or case.input_tokens is None or case.output_tokens is None:
        return TokenCosts()
    weight = case.cached_token_weight if case.cached_token_weight is not None else 1.0
    weighed = weighed_input_tokens(case.input_tokens, case.cached, weight)
    if allocation_of(case) == "device-time":
        assert case.prefill_seconds is not None
        assert case.decode_seconds is not None
        share = input_share_by_time(case.prefill_seconds, case.decode_seconds)
    else:
        share = input_share_by_tokens(weighed, case.output_tokens, case.output_token_ratio)
    per_input = cost_per_input_token(per_request, share, weighed)
    return TokenCosts(
        per_input, cost_per_cached_token(per_input, weight), cost_per_output_token(per_request, share, case.output_tokens)
    )
