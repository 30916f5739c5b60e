"""What the host does in a step: weights it lends, layers and experts it computes, cache it keeps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from llmsizer.core.explain import changed, named, plain, total
from llmsizer.core.quantities import Bytes, BytesPerToken, Count, Fraction, Seconds
from llmsizer.formulas.budget import share_offloaded
from llmsizer.formulas.kv_cache import host_cache_bytes
from llmsizer.formulas.steps import pointwise_seconds, sooner_seconds
from llmsizer.schema.deployment import Case
from llmsizer.sizing.kernels import Cost, Experts, Kernel, Matmul
from llmsizer.sizing.kv_cache import cache_layers, stage_bytes_per_token
from llmsizer.sizing.lowering import lower
from llmsizer.sizing.machine import Machine, host_link_machine
from llmsizer.sizing.rank_kernels import KernelMaker, Repeated, rank_kernels
from llmsizer.sizing.stages import Stage
from llmsizer.sizing.steps import Load
from llmsizer.sizing.weights import only_experts, rank_weight_bytes


@dataclass(frozen=True, slots=True)
class Copied:
    """Weights that stay in host memory and cross the link in every step."""

    name: str
    weight_bytes: Bytes
    machine: Machine
    launches = 1

    def amount(self, load: Load) -> Count:
        return load.rows

    def seconds(self, load: Load) -> Seconds:
        return _copy_seconds(self.weight_bytes, self.machine)

    def cost(self, load: Load) -> Cost:
        return Cost(self.name, "host", 0.0, self.weight_bytes, self.seconds(load), bandwidth=self.machine.bandwidth)


@dataclass(frozen=True, slots=True)
class ReadCache:
    """Cached tokens that stay in host memory: decoding sequences read all of theirs in every step."""

    name: str
    per_token: BytesPerToken
    share: Fraction
    machine: Machine
    launches = 1

    def amount(self, load: Load) -> Count:
        return load.step.decode_batch

    def _moved(self, load: Load) -> Bytes:
        return host_cache_bytes(load.step.decode_batch, load.step.decode_context, self.per_token, self.share)

    def seconds(self, load: Load) -> Seconds:
        return _copy_seconds(self._moved(load), self.machine)

    def cost(self, load: Load) -> Cost:
        return Cost(self.name, "host", 0.0, self._moved(load), self.seconds(load), bandwidth=self.machine.bandwidth)


@dataclass(frozen=True, slots=True)
class Sooner:
    """A product whose weights are in host memory: computed there, or on the device once they have crossed
    the link, whichever is sooner (llama.cpp moves the weights for long prompts)."""

    name: str
    there: Matmul | Experts
    here: Matmul | Experts
    link: Machine

    @property
    def launches(self) -> Count:
        """As on the device."""
        return self.here.launches

    def amount(self, load: Load) -> Count:
        return self.there.amount(load)

    def _moved(self, load: Load) -> Seconds:
        copied = _copy_seconds(self.here.weight_bytes, self.link)
        return total([named(copied, "weights copied"), named(self.here.seconds(load), "computed on the device")], "moved")

    def seconds(self, load: Load) -> Seconds:
        return sooner_seconds(self.there.seconds(load), self._moved(load))

    def cost(self, load: Load) -> Cost:
        there = self.there.cost(load)
        return Cost(self.name, "host", there.flop, there.bytes, self.seconds(load), there.floor)


def _copy_seconds(moved: Bytes, link: Machine) -> Seconds:
    parameters = link.curve.parameters
    return pointwise_seconds(moved, link.bandwidth, parameters["launch_seconds"], parameters["memory_fraction"], 1)


def host_kernels(case: Case, stage: Stage) -> list[Repeated]:
    """What the host adds to a step of a stage; nothing where nothing is kept there."""
    offload = case.offload
    if offload is None:
        return []
    found = list(_lent(case, stage))
    if offload.gpu_layers is not None:
        found += _layers(case, Stage(1, 0, stage.first, False, not stage.is_last))
    if offload.expert_layers is not None:
        found += _experts(case, stage)
    return found


def _lent(case: Case, stage: Stage) -> Iterator[Repeated]:
    """Shares of the weights and of the cache that are kept in host memory."""
    offload = case.offload
    assert offload is not None
    whole = changed(case, offload=None)
    if plain(offload.weights):
        share = share_offloaded(rank_weight_bytes(whole, stage), offload.weights)
        yield Repeated(Copied("weights from the host", share, host_link_machine(case)), 1)
    if plain(offload.kv_cache):
        per_token = stage_bytes_per_token(cache_layers(whole, stage), windowed_as_full=False)
        yield Repeated(ReadCache("cache from the host", per_token, offload.kv_cache, _cache_link(case)), 1)


def _cache_link(case: Case) -> Machine:
    """llama.cpp computes attention where the cache is; others fetch it over the link."""
    if case.engine.accounting == "llama.cpp":
        link = host_link_machine(case)
        return Machine(link.curve, _host_case(case).accelerator.memory_bandwidth)
    return host_link_machine(case)


def _host_case(case: Case) -> Case:
    """The case on the host's processor."""
    assert case.host is not None, "what is offloaded has a host"
    return changed(case, accelerator=case.host, calibration=case.host_calibration, offload=None)


def _layers(case: Case, stage: Stage) -> list[Repeated]:
    """The layers that the device does not hold."""
    if stage.end == stage.first and not stage.is_last:
        return []
    there, here = rank_kernels(_host_case(case), stage), rank_kernels(changed(case, offload=None), stage)
    link = host_link_machine(case)
    return [Repeated(_sooner(a.kernel, b.kernel, link), a.count) for a, b in zip(there, here, strict=True)]


def _experts(case: Case, stage: Stage) -> Iterator[Repeated]:
    """The routed experts of the first layers."""
    offload = case.offload
    assert offload is not None
    host, link = KernelMaker(_host_case(case)), host_link_machine(case)
    device = KernelMaker(changed(case, offload=None))
    for stack in lower(case.model).layers:
        layers = [layer for layer in stage.layers_of(stack) if layer < plain(offload.expert_layers)]
        if layers:
            routed = only_experts(stack)
            pairs = zip(host.operations(routed, layers), device.operations(routed, layers), strict=True)
            yield from (Repeated(_sooner(a, b, link), len(layers)) for a, b in pairs)


def _sooner(there: Kernel, here: Kernel, link: Machine) -> Kernel:
    if isinstance(there, (Matmul, Experts)) and isinstance(here, (Matmul, Experts)):
        return Sooner(f"{there.name}, on the host", there, here, link)
    return there
