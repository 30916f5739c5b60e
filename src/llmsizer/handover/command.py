"""The command that starts an engine as an estimate has it: the engine of the estimate, or another."""

from __future__ import annotations

from typing import Any

from llmsizer.catalog.engine_flags import engine_flags, filled
from llmsizer.catalog.engines import engine_profile
from llmsizer.core.errors import UnsupportedCombination
from llmsizer.handover.checkpoint import UNQUANTIZED, checkpoint_of
from llmsizer.handover.fractions import memory_fraction
from llmsizer.handover.launch import Launch
from llmsizer.handover.settings import SIXTEEN_BIT, Setting, Target, settings_of
from llmsizer.question.support import device_problem, kernel_notes, supports_scheme
from llmsizer.schema.deployment import Case
from llmsizer.schema.engine import EngineProfile
from llmsizer.sizing.estimate import Estimate


def launch_command(estimate: Estimate, engine: str | None = None, port: int | None = None) -> Launch:
    """The launch command of an estimate; ``engine`` (with a version or without) for another engine than its own.

    ``port``: where it is to listen, on all addresses; None: the engine's own default. What the engine has no
    flag for is a note. Raises UnsupportedCombination for an engine that cannot run it (device, format, memory)
    or whose flags are not recorded.
    """
    case, target = estimate.case, target_of(estimate.case, engine)
    start = target.flags.start()
    model, notes = checkpoint_of(case, str(estimate.question["model"]), target)
    settings = [*settings_of(case, estimate.memory, target)]
    if "memory_fraction" in target.flags.entry:
        fraction, note = memory_fraction(case, estimate.memory, target.engine, target.flags)
        settings.append(Setting("memory_fraction", fraction))
        notes += [note] if note else []
    notes += kernel_notes(case.model, case.scheme, target.engine, case.parallel)
    flags: dict[str, Any] = {}
    file: dict[str, Any] = {}
    for setting in settings:
        notes += _say(setting, target, flags, file)
    if port is not None:
        flags |= {flag: filled(value, {"port": port}) for flag, value in target.flags.entry["listen"].items()}
    config = target.flags.entry.get("config_file", {}) if file else {}
    if config:
        flags[config["flag"]] = config["name"]
    return Launch(
        heading=heading(case, target), start=tuple(filled(word, {"model": model}) for word in start),
        flags=tuple(flags.items()), file_name=config.get("name", ""), file=file, notes=tuple(notes),
    )  # fmt: skip


def target_of(case: Case, engine: str | None) -> Target:
    """The engine to start, as its profile on the case's device. Raises UnsupportedCombination where it cannot run
    the case."""
    profile = case.engine
    if engine is not None:
        other = engine_profile(engine, case.accelerator)
        profile = other if other.id != profile.id or "@" in engine else profile
    if profile is not case.engine:
        _check_runs(case, profile)
    return Target(profile, engine_flags(profile.id, None if profile.newest else profile.version))


def _check_runs(case: Case, engine: EngineProfile) -> None:
    device, name = case.accelerator, f"{engine.title} {engine.version}"
    if "*" not in engine.vendors and device.vendor not in engine.vendors:
        raise UnsupportedCombination(f"{engine.title} does not run on {device.vendor} devices")
    converted = case.scheme.id in SIXTEEN_BIT and engine.schemes == ("gguf",)
    converted |= case.scheme.id in UNQUANTIZED.values() and engine.schemes != ("gguf",)
    if not supports_scheme(engine, case.scheme) and not converted:
        raise UnsupportedCombination(f"{name} does not load '{case.scheme.id}'", f"it loads: {', '.join(engine.schemes)}")
    kinds = {group.attention.kind for group in case.model.layers if group.attention is not None}
    missing = ", ".join(sorted(kinds - set(engine.attention_kinds)))
    problem = device_problem(engine, case.scheme, device) or (f"{name} does not run {missing} attention" if missing else "")
    if problem:
        raise UnsupportedCombination(problem)


def _say(setting: Setting, target: Target, flags: dict[str, Any], file: dict[str, Any]) -> list[str]:
    """Puts a setting among the flags or into the file; a note where the engine has no way to say it, alone or
    beside what is said already."""
    way = target.flags.way(setting.name, setting.value)
    if way is None:
        return [] if setting.silent else [setting.unsaid or _unsaid(setting, target)]
    made = {name: filled(template, setting.names) for name, template in way.items()}
    if any(flags.get(name, value) != value for name, value in made.items()):
        return [_unsaid(setting, target)]
    for name, value in made.items():
        if target.flags.is_flag(name):
            flags[name] = value
        else:
            _put(file, name, value)
    return [setting.note] if setting.note else []


def _unsaid(setting: Setting, target: Target) -> str:
    told = "" if setting.value is True or setting.value is None else f" ({setting.value})"
    return f"{target.engine.title} {target.flags.version} has no flag for: {setting.title}{told}."


def _put(file: dict[str, Any], path: str, value: Any) -> None:
    *parents, last = path.split(".")
    for part in parents:
        file = file.setdefault(part, {})
    file[last] = value


def heading(case: Case, target: Target) -> str:
    """What runs where, in one line."""
    devices = f"{case.parallel.devices} × " if case.parallel.devices > 1 else ""
    return f"{case.model.id} on {devices}{case.accelerator.name}, {target.engine.title} {target.flags.version}"
