"""Step times made up for tests, and a slow scheduler that keeps a list of blocks for each sequence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Linear:
    """Seconds of a step, linear in the decode context."""

    base: float = 2e-3
    per_sequence: float = 2e-5
    per_context: float = 2e-8
    per_prompt_token: float = 4e-5

    def seconds(self, decode_batch, decode_context, prefill_tokens, prefill_context, prefill_sequences):
        decode = self.per_sequence * decode_batch + self.per_context * decode_batch * decode_context
        prompts = self.per_prompt_token * prefill_tokens + 1e-9 * prefill_tokens * (prefill_context + prefill_tokens / 2)
        return self.base + decode + prompts + 1e-6 * prefill_sequences


@dataclass(frozen=True)
class Curved(Linear):
    """The same with a roofline's kink in the context."""

    def seconds(self, decode_batch, decode_context, prefill_tokens, prefill_context, prefill_sequences):
        linear = super().seconds(decode_batch, decode_context, prefill_tokens, prefill_context, prefill_sequences)
        return max(linear, 1e-6 * decode_context**1.1)


@dataclass
class Sequence_:
    index: int
    sent: float
    inputs: int
    outputs: int
    computed: int = 0
    emitted: int = 0
    first: float = -1.0
    end: float = -1.0
    decoding: bool = False

    @property
    def target(self) -> int:
        return self.inputs + self.emitted

    def blocks(self, tokens: int, size: int) -> int:
        return -(-tokens // size)


class _Loop:
    """The state of the slow scheduler at one step."""

    def __init__(self, spec, waiting: list[Sequence_], running: list[Sequence_]) -> None:
        self.spec, self.waiting, self.running = spec, waiting, running
        self.size = spec.block_size
        self.preempted = False
        self.decoders: list[Sequence_] = []
        self.chunks: list[tuple[Sequence_, int]] = []
        self.whole = spec.policy == "continuous"
        self.held = {s.index: s.blocks(s.target if self.whole and not s.decoding else s.computed, self.size) for s in running}

    def free(self) -> int:
        return self.spec.kv_blocks - sum(self.held.values())

    def hold(self, sequence: Sequence_, tokens: int) -> bool:
        """Blocks for so many tokens of a running sequence; the last of the running ones make room."""
        wanted = max(sequence.blocks(tokens, self.size), self.held[sequence.index])
        while wanted - self.held[sequence.index] > self.free():
            self.preempted = True
            victim = self.running.pop()
            del self.held[victim.index]
            victim.computed, victim.decoding = 0, False
            self.waiting.insert(0, victim)
            self.decoders = [s for s in self.decoders if s is not victim]
            if victim is sequence:
                return False
        self.held[sequence.index] = wanted
        return True

    def decode(self) -> None:
        for sequence in [s for s in self.running if s.decoding]:
            if sequence in self.running and self.hold(sequence, sequence.computed + 1):
                self.decoders.append(sequence)

    def continue_prompts(self, budget: int) -> int:
        for sequence in [s for s in self.running if not s.decoding]:
            count = min(budget, sequence.target - sequence.computed)
            if count > 0 and sequence in self.running and self.hold(sequence, sequence.computed + count):
                self.chunks.append((sequence, count))
                budget -= count
        return budget

    def admit(self, budget: int) -> None:
        while self.waiting and budget > 0 and len(self.running) < self.spec.max_num_seqs:
            sequence = self.waiting[0]
            count = sequence.target
            if self.spec.chunks:
                count = min(count, budget)
            elif count > budget and self.chunks:
                break
            wanted = sequence.blocks(sequence.target if self.whole else count, self.size)
            if wanted > self.free():
                break
            self.running.append(self.waiting.pop(0))
            self.held[sequence.index] = wanted
            self.chunks.append((sequence, count))
            budget -= count

    def schedule(self) -> None:
        budget = self.spec.max_num_batched_tokens
        if self.whole:
            self.admit(self.continue_prompts(budget))
            if not self.chunks:
                self.decode()
            return
        self.decode()
        budget = self.continue_prompts(budget - len(self.decoders))
        if not self.preempted:
            self.admit(budget)

    def seconds(self) -> float:
        batch, tokens = len(self.decoders), sum(count for _, count in self.chunks)
        context = sum(s.computed for s in self.decoders) / batch if batch else 0.0
        cached = sum(count * s.computed for s, count in self.chunks) / tokens if tokens else 0.0
        done = sum(s.computed + count == s.target for s, count in self.chunks)
        return self.spec.steps.seconds(batch, context, tokens, cached, done)

    def advance(self, now: float) -> None:
        for sequence in self.decoders:
            sequence.computed += 1
            sequence.emitted += 1
        for sequence, count in self.chunks:
            target = sequence.target
            sequence.computed += count
            if sequence.computed == target:
                sequence.emitted += 1
                sequence.decoding = True
                sequence.first = now if sequence.first < 0 else sequence.first
        for sequence in [s for s in self.running if s.emitted >= s.outputs]:
            sequence.end = now
            self.running.remove(sequence)


def stepwise(requests: Sequence[tuple[float, int, int]], spec) -> list[tuple[float, float]]:
    """First-token and end times by a plain loop over steps (no prefix cache, one class, recompute).

    ``requests``: (time at the queue, input, output), in order of time.
    """
    everyone = [Sequence_(index, *request) for index, request in enumerate(requests)]
    coming, waiting, running, now = list(everyone), [], [], 0.0
    while coming or waiting or running:
        while coming and coming[0].sent <= now:
            waiting.append(coming.pop(0))
        if not running and not waiting:
            now = coming[0].sent
            continue
        loop = _Loop(spec, waiting, running)
        loop.schedule()
        now += loop.seconds()
        loop.advance(now)
    return [(s.first, s.end) for s in everyone]
