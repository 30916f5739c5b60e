"""Measured runs of one model: bytes, activation peaks, prompts and decode steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from llmsizer.authoring.measure.activation_peak import activation_peak
from llmsizer.authoring.measure.decoder import Decoder
from llmsizer.authoring.measure.graphs import captured
from llmsizer.authoring.measure.timing import Deadline, Patience, quietest, timed
from llmsizer.authoring.measure.torch_device import TorchDevice
from llmsizer.authoring.measure.weights import layer_elements
from llmsizer.core.explain import plain
from llmsizer.schema.model import Model
from llmsizer.sizing.lowering import lower
from llmsizer.validation.run_files import measured_part

# Of the free memory, what weights may take, and what weights, cache and activations may take together.
SHARE_OF_WEIGHTS, SHARE_OF_ALL = 0.7, 0.9

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Loads:
    """What to measure of each model: prompts and decode steps of every batch with every length, as far as
    a step has at most ``most_tokens`` prompt tokens."""

    batches: tuple[int, ...] = (1, 4, 16, 64)
    lengths: tuple[int, ...] = (128, 1024, 4096, 16384, 32768)
    contexts: tuple[int, ...] = (128, 1024, 4096, 16384, 32768)
    most_tokens: int = 65536


def layers_that_fit(device: TorchDevice, model: Model, dtype: str) -> int:
    """The layers of a model whose weights leave room for cache and activations; 0 where none do."""
    lowered = lower(model)
    size = device.dtype(dtype).itemsize
    room = device.free_bytes() * SHARE_OF_WEIGHTS
    room -= size * (layer_elements(lowered.embedding) + layer_elements(lowered.head))
    by_layer = {index: layer_elements(stack) for stack in lowered.layers for index in stack.indices}
    for index in range(int(plain(model.num_hidden_layers))):
        room -= size * by_layer[index]
        if room < 0:
            return index
    return int(plain(model.num_hidden_layers))


def model_run(device: TorchDevice, whole: Model, layers: int, dtype: str, loads: Loads, patience: Patience,
              deadline: Deadline) -> Row:  # fmt: skip
    """All measurements of one model at some depth, as far as the deadline allows."""
    model = measured_part(whole, layers)
    decoder = Decoder(device, model, dtype)
    found: Row = {
        "model": whole.id, "dtype": dtype, "layers": layers, "layers_of_model": int(plain(whole.num_hidden_layers)),
        "weights_bytes": decoder.weights.bytes(), "rounds": patience.rounds,
        "memory": [], "prefill": [], "decode": [], "skipped": [],
    }  # fmt: skip
    for number in range(patience.rounds):
        for part, facts, work in _runs(decoder, loads):
            if number and part == "memory":
                continue
            if deadline.left() <= 0:
                found["skipped"] += [] if number else [{"part": part, **facts, "why": "no time left"}]
                continue
            try:
                found[part] = quietest([*found[part], *work(patience)])
            except (RuntimeError, MemoryError) as error:
                found["skipped"] += [] if number else [{"part": part, **facts, "why": str(error).split("\n")[0][:200]}]
            device.release()
    return found


Work = tuple[str, Row, Callable[[Patience], list[Row]]]


def _runs(decoder: Decoder, loads: Loads) -> Iterator[Work]:
    """The measurements of a model, cheap ones first and prompts and steps in turn, so that a deadline
    leaves some of each."""
    steps = sorted((batch * context, batch, context) for batch in loads.batches for context in loads.contexts)
    prompts = sorted((batch * length, batch, length) for batch in loads.batches for length in loads.lengths)
    prompts = [each for each in prompts if each[0] <= loads.most_tokens]
    for index in range(max(len(steps), len(prompts))):
        if index < len(steps):
            _, batch, context = steps[index]
            yield "decode", {"batch": batch, "context": context}, _Decode(decoder, batch, context)
        if index < len(prompts):
            tokens, batch, length = prompts[index]
            yield "prefill", {"batch": batch, "length": length}, _Prefill(decoder, batch, length)
            if tokens in (prompts[0][0], prompts[-1][0]) or batch == 1:
                yield "memory", {"batch": batch, "length": length}, _Memory(decoder, batch, length)


class _Run:
    """A measurement of some sequences of some length."""

    def __init__(self, decoder: Decoder, batch: int, length: int) -> None:
        self.decoder, self.batch, self.length = decoder, batch, length

    def cache(self) -> list[Any]:
        """A poisoned cache. Raises RuntimeError where there is no room for it."""
        decoder = self.decoder
        size = decoder.dtype.itemsize
        shapes = [layer.attention.cache_shape(self.batch, self.length) for layer in decoder.layers]
        wanted = sum(size * _volume(shape) for shape in shapes)
        if wanted > SHARE_OF_ALL * decoder.device.free_bytes():
            raise RuntimeError(f"a cache of {wanted / 2**30:.1f} GiB does not fit")
        return decoder.new_cache(self.batch, self.length)

    def tokens(self, each: int) -> Any:
        """Random tokens of every sequence."""
        torch = self.decoder.device.torch
        most = int(plain(self.decoder.model.vocab_size))
        return torch.randint(0, most, (self.batch, each), device=self.decoder.device.kind)

    def check(self, logits: Any) -> None:
        """Raises RuntimeError where poison came through: something was read that was never written."""
        if not bool(logits.isfinite().all()):
            raise RuntimeError("the result is not finite: the model read what was never written")


class _Prefill(_Run):
    def __call__(self, patience: Patience) -> list[Row]:
        cache, tokens = self.cache(), self.tokens(self.length)
        self.check(self.decoder.prefill(tokens, cache))
        found = timed(self.decoder.device, lambda: self.decoder.sample(self.decoder.prefill(tokens, cache)), patience)
        return [{"batch": self.batch, "length": self.length, "eager": True, **found.to_dict()}]


class _Decode(_Run):
    def __call__(self, patience: Patience) -> list[Row]:
        device, decoder, cache, tokens = self.decoder.device, self.decoder, self.cache(), self.tokens(1)
        decoder.fill(cache, self.length)
        self.check(decoder.decode(tokens, cache, self.length))

        def step() -> None:
            tokens.copy_(decoder.sample(decoder.decode(tokens, cache, self.length)))

        facts = {"batch": self.batch, "context": self.length}
        rows = [{**facts, "eager": True, **timed(device, step, patience).to_dict()}]
        if device.is_cuda:
            rows.append({**facts, "eager": False, **timed(device, captured(device, step), patience).to_dict()})
        return rows


class _Memory(_Run):
    def __call__(self, patience: Patience) -> list[Row]:
        cache, tokens = self.cache(), self.tokens(self.length)
        peak = activation_peak(self.decoder.device, lambda: self.decoder.sample(self.decoder.prefill(tokens, cache)))
        held = float(sum(part.nbytes for part in cache))
        return [{"batch": self.batch, "length": self.length, "kv_bytes": held, "activation_bytes": peak}]


def _volume(shape: tuple[int, ...]) -> int:
    product = 1
    for size in shape:
        product *= size
    return product
