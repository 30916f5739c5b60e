"""The part of a time to first token that is spent outside the engine."""

from __future__ import annotations

from llmsizer.core.quantities import Count, Seconds
from llmsizer.formulas.latency import front_end_seconds, prompt_front_end_seconds
from llmsizer.schema.deployment import Case


def alone(case: Case) -> Seconds:
    """Of a prompt of the case's (mean) length, with nothing else going on."""
    engine = case.engine
    return prompt_front_end_seconds(engine.front_end, engine.front_end_token_seconds, case.workload.input_tokens)


def beside(case: Case, others: Count) -> Seconds:
    """The same while the front end streams so many other sequences."""
    return front_end_seconds(alone(case), case.engine.front_end_sequence_seconds, others)
