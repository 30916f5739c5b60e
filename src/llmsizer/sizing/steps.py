"""One engine step: what it processes, and the sizes that all kernels derive from it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from llmsizer.core.explain import plain
from llmsizer.core.quantities import Count, Tokens
from llmsizer.formulas.context import context_rows, rank_tokens
from llmsizer.formulas.prompts import tokens_of_prompts
from llmsizer.formulas.steps import expanded_rows, joint_rows, logit_rows, rows_of_tokens, step_tokens
from llmsizer.schema.deployment import Case
from llmsizer.sizing.token_ranks import token_ranks


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What one attention rank processes in one step; all fields may be arrays.

    ``decode_batch`` sequences decode with ``decode_context`` cached tokens each on average, bringing
    ``query_tokens`` each (more than one when guesses are verified). ``prefill_tokens`` tokens of
    prompts are processed that attend to ``prefill_context`` cached tokens besides their own chunk;
    they belong to ``prefill_sequences`` prompts.
    """

    decode_batch: Count = 0.0
    decode_context: Tokens = 0.0
    prefill_tokens: Tokens = 0.0
    prefill_context: Tokens = 0.0
    prefill_sequences: Count = 0.0
    query_tokens: Tokens = 1.0


@dataclass(frozen=True, slots=True)
class Load:
    """A step's sizes: rows of the layers' products, of the logits, of all attention ranks together, of MLA's
    expansion, and of what an encoder gives the prompts."""

    step: Step
    rows: Count
    logits: Count
    joint: Count
    expanded: Count
    encoded: Count = 0.0

    @property
    def prompt_rows(self) -> Count:
        """Rows that hold every prompt token of the step."""
        return rows_of_tokens(self.step.prefill_tokens)

    @property
    def cached_rows(self) -> Count:
        """Rows that hold what is cached of the step's prompts."""
        return rows_of_tokens(context_rows(self.step.prefill_sequences, self.step.prefill_context))

    @property
    def decoding_rows(self) -> Count:
        """Rows of the tokens that decode."""
        return rows_of_tokens(step_tokens(self.step.decode_batch, self.step.query_tokens, 0.0))


def load_of(step: Step, attention_ranks: Count, context_ranks: Count = 1) -> Load:
    """The sizes of a step on one of some ranks that bring tokens to the experts, of which ``context_ranks`` share
    the tokens of prompts."""
    prompts = step.prefill_tokens if plain(context_ranks) == 1 else rank_tokens(step.prefill_tokens, context_ranks)
    tokens = step_tokens(step.decode_batch, step.query_tokens, prompts)
    rows = rows_of_tokens(tokens)
    decoding = step_tokens(step.decode_batch, step.query_tokens, 0.0)
    return Load(
        step=step,
        rows=rows,
        logits=logit_rows(step.decode_batch, step.query_tokens, step.prefill_sequences),
        joint=joint_rows(rows, attention_ranks),
        expanded=expanded_rows(step.prefill_tokens, step.prefill_sequences, step.prefill_context, decoding),
    )


def decode_step(case: Case, batch: Count, context: Tokens, query_tokens: Tokens) -> Step:
    """A step in which sequences decode: over their cache, or without one as prompts of all their tokens."""
    if case.use_cache:
        return Step(decode_batch=batch, decode_context=context, query_tokens=query_tokens)
    return Step(prefill_tokens=tokens_of_prompts(context, batch), prefill_sequences=batch)


def case_load(case: Case, step: Step) -> Load:
    """The sizes of a step on one rank of a case."""
    load = load_of(step, token_ranks(case.parallel), case.parallel.prefill_context_parallel_size)
    if case.model.encoder_tokens is None:
        return load
    return replace(load, encoded=rows_of_tokens(context_rows(step.prefill_sequences, case.model.encoder_tokens)))
