"""The facts that the estimate of a case rests on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

from llmsizer.core.inputs import NAMES, Input, as_data, facts_of
from llmsizer.schema.accelerator import Accelerator
from llmsizer.schema.calibration import Calibration
from llmsizer.schema.deployment import Case
from llmsizer.schema.model import Model
from llmsizer.schema.number_format import CacheFormat, NumberFormat


def inputs_of(case: Case) -> Iterator[Input]:
    """The facts of the model, the devices, the engine, the formats and the curves of a case that was estimated."""
    yield from _model(case.model)
    if case.draft is not None and case.draft.model is not None:
        yield from _model(case.draft.model)
    yield from facts_of("accelerators", case.accelerator.id, case.accelerator)
    if case.machine is not None and case.parallel.devices > case.accelerator.reach:
        yield from facts_of("nodes", case.machine.id, case.machine)
    if isinstance(case.host, Accelerator):
        yield from facts_of("accelerators", case.host.id, case.host)
    facts = [field.name for field in fields(case.engine) if field.name in case.engine.provenance.fields]
    yield from facts_of("engines", case.engine.id, case.engine, facts)
    for noun in {each.id: each for each in (*case.scheme.formats.values(), case.native)}.values():
        yield _storage("number_formats", noun)
    for cached in {each.id: each for each in (case.cache_format, case.value_format)}.values():
        yield _storage("cache_formats", cached)
    for calibration in (case.calibration, case.host_calibration):
        yield from _curves(calibration) if calibration is not None else ()


def _storage(section: str, noun: NumberFormat | CacheFormat) -> Input:
    """A format is one fact: its fields belong together."""
    told = {f.name: as_data(value) for f in fields(noun) if f.name not in NAMES and (value := getattr(noun, f.name))}
    return Input(section, noun.id, "storage", told, "1", str(noun.provenance.default))


def _model(model: Model) -> Iterator[Input]:
    for key, value in model.config.items():
        yield Input("models", model.id, key, as_data(value), "1", str(model.provenance.of(key)))


def _curves(calibration: Calibration) -> Iterator[Input]:
    """The curves that were asked for; the parameters of one were fitted together and are one fact."""
    for curve in calibration.used():
        name, source = f"{curve.family} {curve.format}", str(curve.provenance.default)
        yield Input("calibrations", calibration.device, name, as_data(curve.parameters), "1", source)
