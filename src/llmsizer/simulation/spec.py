"""An engine as the simulation sees it: step times, limits and habits."""

from __future__ import annotations

from dataclasses import dataclass

from llmsizer.core.errors import InvalidQuestion, UnknownName
from llmsizer.simulation.steps import StepTimes

STATIC, DYNAMIC, CONTINUOUS, IN_FLIGHT = "static", "dynamic", "continuous", "in-flight"
POLICIES = (STATIC, DYNAMIC, CONTINUOUS, IN_FLIGHT)
RECOMPUTE, SWAP = "recompute", "swap"
_NOT_NEGATIVE = ("front_end_seconds", "batch_window_seconds", "swap_seconds_per_block", "reserve_tokens", "watermark_blocks")


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSpec:
    """One replica.

    ``policy``: ``static`` takes what waits, up to ``max_num_seqs``, and runs it until the longest
    answer ends, every sequence as long as the longest; ``dynamic`` is the same, but a batch that is
    not full waits until its oldest request has waited ``batch_window_seconds``; ``continuous`` runs
    whole prompts in steps of their own, before any decode step (``chunked_prefill``: in pieces of at
    most ``max_num_batched_tokens``); ``in-flight`` mixes decode tokens and prompt pieces in one step
    of at most ``max_num_batched_tokens``. A whole prompt above that budget runs alone.

    ``front_end_seconds`` pass between sending a request and its reaching the engine's queue.
    ``reserve_tokens`` above 0: each sequence holds room for that many tokens from its start (a
    contiguous cache) instead of blocks as it grows. Without ``prefix_caching`` whatever requests share
    is computed each time, a given hit rate included. ``watermark_blocks`` stay free when requests are
    let in. ``swap_seconds_per_block`` is charged each way when preemption swaps. ``yields`` (for speculative
    decoding) are the chances that a step yields one token of a sequence, two, three …; each sequence takes as
    many tokens of the budget.
    """

    steps: StepTimes
    kv_blocks: int
    front_end_seconds: float = 0.0
    block_size: int = 16
    max_num_seqs: int = 256
    max_num_batched_tokens: int = 8192
    policy: str = IN_FLIGHT
    chunked_prefill: bool = False
    batch_window_seconds: float = 0.0
    prefix_caching: bool = True
    preemption: str = RECOMPUTE
    swap_seconds_per_block: float = 0.0
    reserve_tokens: int = 0
    watermark_blocks: int = 0
    priorities: bool = True
    yields: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        if self.policy not in POLICIES:
            raise UnknownName("scheduling policy", self.policy, POLICIES)
        if self.preemption not in (RECOMPUTE, SWAP):
            raise UnknownName("way of preemption", self.preemption, (RECOMPUTE, SWAP))
        for name in ("kv_blocks", "block_size", "max_num_seqs", "max_num_batched_tokens"):
            if getattr(self, name) < 1 or int(getattr(self, name)) != getattr(self, name):
                raise InvalidQuestion(f"{name} must be a whole number from 1, got {getattr(self, name)!r}")
        for name in _NOT_NEGATIVE:
            if getattr(self, name) < 0:
                raise InvalidQuestion(f"{name} must not be negative, got {getattr(self, name)!r}")
        if not self.yields or min(self.yields) < 0 or abs(sum(self.yields) - 1) > 1e-6:
            raise InvalidQuestion(f"the chances of a step's yield must be positive and sum to 1, got {self.yields}")
        if self.policy == IN_FLIGHT and self.max_num_batched_tokens < self.max_num_seqs * self.query_tokens:
            raise InvalidQuestion(
                f"max_num_batched_tokens ({self.max_num_batched_tokens}) must be at least max_num_seqs ({self.max_num_seqs})"
                f" for in-flight batching: each running sequence needs {self.query_tokens} token(s) of every step"
            )

    @property
    def batchwise(self) -> bool:
        """Whether a batch runs to its end before the next starts."""
        return self.policy in (STATIC, DYNAMIC)

    @property
    def query_tokens(self) -> int:
        """Tokens that a decoding sequence brings to a step: the last one, and guesses."""
        return len(self.yields)

    @property
    def tokens_per_step(self) -> float:
        """Mean tokens that a step yields of a sequence."""
        return sum((place + 1) * chance for place, chance in enumerate(self.yields))

    @property
    def steps_per_block(self) -> int:
        """Decode steps in which a sequence fills a block."""
        return max(1, round(self.block_size / self.tokens_per_step))

    @property
    def chunks(self) -> bool:
        """Whether a prompt may be processed in pieces."""
        return self.policy == IN_FLIGHT or self.chunked_prefill

    def blocks_of(self, tokens: int) -> int:
        """Blocks that hold a number of tokens."""
        return -(-tokens // self.block_size)

    def check_fits(self, input_tokens: int, output_tokens: int) -> None:
        """Raises InvalidQuestion for a request that could never run."""
        most = max(self.blocks_of(input_tokens + output_tokens - 1), self.blocks_of(self.reserve_tokens))
        if self.query_tokens > 1:  # guesses may all fail
            most = max(most, self.blocks_of(input_tokens) + -(-output_tokens // self.steps_per_block))
        if most > self.kv_blocks:
            raise InvalidQuestion(
                f"a request of {input_tokens:,} + {output_tokens:,} tokens needs {most:,} KV blocks of {self.block_size},"
                f" the cache has {self.kv_blocks:,}",
                "Give the lengths a maximum, or use a larger cache.",
            )
        if self.reserve_tokens and input_tokens + output_tokens > self.reserve_tokens:
            raise InvalidQuestion(
                f"a request of {input_tokens:,} + {output_tokens:,} tokens exceeds the"
                f" {self.reserve_tokens:,} reserved for each"
            )
