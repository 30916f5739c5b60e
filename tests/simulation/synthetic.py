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


def stepwise(requests: Sequence[tuple[float, int, int]], spec) -> list[tuple[float, float]]:
    """First-token and end times by a plain loop over steps (no prefix cache, one class, recompute).

    ``requests``: (time at the queue, input, output), in order of time.
    """
    size, waiting, running, now = spec.block_size, [], [], 0.0
    coming = [Sequence_(i, *r) for i, r in enumerate(requests)]
    everyone = list(coming)
    while coming or waiting or running:
        while coming and coming[0].sent <= now:
            waiting.append(coming.pop(0))
        if not running and not waiting:
            now = coming[0].sent
            continue
        granted = {s.index: s.blocks(s.target, size) for s in running if spec.policy == "continuous" and not s.decoding}
        held = {s.index: granted.get(s.index, s.blocks(s.computed, size)) for s in running}

        def free(held=held) -> int:
            return spec.kv_blocks - sum(held.values())

        def drop(sequence, held=held) -> None:
            running.remove(sequence)
            del held[sequence.index]
            sequence.computed, sequence.decoding = 0, False
            waiting.insert(0, sequence)

        decoders: list[Sequence_] = []
        chunks: list[tuple[Sequence_, int]] = []
        preempted = False

        def make_room() -> None:
            nonlocal preempted
            for sequence in [s for s in running if s.decoding]:
                if sequence not in running:
                    continue
                wanted = sequence.blocks(sequence.computed + 1, size)
                while wanted - held[sequence.index] > free():
                    preempted = True
                    victim = running[-1]
                    drop(victim)
                    if victim is sequence:
                        break
                else:
                    held[sequence.index] = wanted
            decoders.extend(s for s in running if s.decoding)

        budget = spec.max_num_batched_tokens
        if spec.policy == "in-flight":
            make_room()
            budget -= len(decoders)
        for sequence in [s for s in running if not s.decoding]:
            count = min(budget, sequence.target - sequence.computed)
            if count <= 0 or sequence not in running:
                continue
            wanted = max(sequence.blocks(sequence.computed + count, size), granted.get(sequence.index, 0))
            while wanted - held[sequence.index] > free():
                preempted = True
                victim = running[-1]
                decoders = [s for s in decoders if s is not victim]
                drop(victim)
                if victim is sequence:
                    break
            else:
                held[sequence.index] = wanted
                chunks.append((sequence, count))
                budget -= count
        while waiting and budget > 0 and len(running) < spec.max_num_seqs and not (preempted and spec.policy == "in-flight"):
            sequence = waiting[0]
            count = sequence.target
            if spec.chunks:
                count = min(count, budget)
            elif count > budget and chunks:
                break
            wanted = sequence.blocks(count if spec.policy == "in-flight" else sequence.target, size)
            if wanted > free():
                break
            waiting.pop(0)
            running.append(sequence)
            held[sequence.index] = wanted
            chunks.append((sequence, count))
            budget -= count
        if spec.policy == "continuous" and not chunks:
            make_room()
        context = sum(s.computed for s in decoders) / len(decoders) if decoders else 0.0
        tokens = sum(count for _, count in chunks)
        cached = sum(count * s.computed for s, count in chunks) / tokens if tokens else 0.0
        done = [s for s, count in chunks if s.computed + count == s.target]
        now += spec.steps.seconds(len(decoders), context, tokens, cached, len(done))
        for sequence in decoders:
            sequence.computed += 1
            sequence.emitted += 1
        for sequence, count in chunks:
            sequence.computed += count
        for sequence in done:
            sequence.emitted += 1
            sequence.decoding = True
            sequence.first = now if sequence.first < 0 else sequence.first
        for sequence in [s for s in running if s.emitted >= s.outputs]:
            sequence.end = now
            running.remove(sequence)
    return [(s.first, s.end) for s in everyone]
