"""``llmsizer measure``: the device at hand measured, and the estimate beside it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from llmsizer.catalog.catalog import Catalog
from llmsizer.cli.options import CatalogPaths, Format, catalog_of, option, with_words
from llmsizer.cli.output import checked_format, print_tables
from llmsizer.core.errors import InvalidQuestion, LlmsizerError
from llmsizer.question.words import checked_choice, checked_fraction, checked_integer

EXAMPLES = """Examples:

  llmsizer measure -m llama-3.2-1b -m qwen2.5-0.5b --output my-run.yaml

  llmsizer measure --suite standard --minutes 25 --output my-run.yaml
"""

ROLES = ("fit", "validate")


def _several(*flags: str, text: str) -> Any:
    return typer.Option(*flags, help=text, show_default=False)


def _list(flag: str, text: str) -> tuple[Any, Any, Any]:
    return (str | None, None, option(flag, text=text, metavar="LIST"))


def _number(flag: str, text: str, default: str | None = None) -> tuple[Any, Any, Any]:
    return (str | None, default, option(flag, text=text, metavar="NUMBER"))


# One line a word: its type, its default, its flags and help (as in llmsizer.cli.options).
OPTIONS: dict[str, tuple[Any, Any, Any]] = {
    "models": (list[str] | None, None, _several("--model", "-m", text="A model to measure; may be given more than once.")),
    "suite": (str | None, None, option("--suite", text="standard, or a YAML file with models and loads.", metavar="SUITE")),
    "gpu": (str | None, None, option("--gpu", "-g", text="This device in the catalog (default: by its driver's name).")),
    "device": (str | None, None, option("--device", text="cuda or cpu (default: cuda where there is one).")),
    "threads": _number("--threads", "Threads of a processor (default: all its cores)."),
    "dtype": (str | None, "bf16", option("--dtype", text="Type of weights: bf16, fp16 or fp32 (default bf16).")),
    "layers": _number("--layers", "Cut models to so many layers (default: as many as fit)."),
    "batches": _list("--batches", "Batch sizes, e.g. 1,8,64."),
    "lengths": _list("--lengths", "Prompt lengths, e.g. 128,1024."),
    "contexts": _list("--contexts", "Contexts of decode steps, e.g. 128,4096."),
    "minutes": _number("--minutes", "Stop after so many minutes, with what there is (default 25).", "25"),
    "repeats": _number("--repeats", "Repetitions of each measurement (default 9).", "9"),
    "rounds": _number("--rounds", "Measure all so often; of each figure the quietest round counts (default 1).", "1"),
    "no_ceilings": (bool, False, option("--no-ceilings", text="Leave copies, products and attention kernels out.")),
    "role": (str | None, "validate", option("--role", text="What the record is for: validate (default), or fit.")),
    "llama_cpp": (str | None, None, option("--llama-cpp", text="Measure llama.cpp: where llama-bench is.", metavar="FOLDER")),
    "formats": (list[str] | None, None, _several("--quantization", "-q", text="With --llama-cpp: GGUF formats.")),
    "options": (str | None, None, option("--bench-options", text="Options for llama-bench, in quotes.", metavar="OPTIONS")),
    "output": (str | None, None, option("--output", "-o", text="Write the record into this file.", metavar="FILE")),
    "calibration": (str | None, "auto", option("--calibration", text="auto, ideal, or a file of llmsizer fit.")),
}  # fmt: skip
LOADS = ("batches", "lengths", "contexts")


@with_words(OPTIONS)
def command(words: Mapping[str, Any], format_: Format = "table", catalog: CatalogPaths = None) -> None:
    """Measures this device and models with random weights on it, and prints the estimate beside them."""
    checked_format(format_)
    nouns = catalog_of(catalog)
    given = {**words, **_checked(words), "hardware": nouns.accelerator(words["gpu"]).id if "gpu" in words else None}
    record = _llama_cpp(given, nouns) if "llama_cpp" in words else _torch(given, nouns)
    _print(record, nouns, words["calibration"], format_, words.get("output"))


def _checked(words: Mapping[str, Any]) -> dict[str, Any]:
    """The words that are numbers, lists or one of a few, as such."""
    found: dict[str, Any] = {
        "repeats": checked_integer("repeats", words["repeats"], least=2, most=1000),
        "rounds": checked_integer("rounds", words["rounds"], most=100),
        "seconds": 60 * checked_fraction("minutes", words["minutes"], least=0.01, most=1e4),
        "role": checked_choice("--role", words["role"], ROLES),
        "loads": {name: _numbers(f"--{name}", words[name]) for name in LOADS if name in words},
        "output": Path(words["output"]) if "output" in words else None,
    }
    most = {"threads": 4096, "layers": 10_000}
    return found | {name: checked_integer(name, words[name], most=most[name]) if name in words else None for name in most}


def _numbers(flag: str, text: str) -> tuple[int, ...]:
    return tuple(checked_integer(flag, each.strip(), most=2**24) for each in text.split(","))


def _torch(given: Mapping[str, Any], nouns: Catalog) -> dict[str, Any]:
    from llmsizer.authoring.measure.model_runs import Loads
    from llmsizer.authoring.measure.session import Plan, grid_of, measure, plan_of_file, standard_suite
    from llmsizer.authoring.measure.timing import Patience
    from llmsizer.authoring.measure.torch_device import open_device

    suite = given.get("suite")
    words = {} if suite is None else dict(plan_of_file(standard_suite() if suite == "standard" else Path(suite)))
    models = tuple(given.get("models") or words.get("models", ()))
    if not models and given["no_ceilings"]:
        raise InvalidQuestion("nothing to measure", "name models with -m, or a suite with --suite standard")
    loads = {name: tuple(value) if isinstance(value, list) else value for name, value in words.items() if name != "models"}
    device = open_device(given.get("device"), given["threads"])
    device.dtype(given["dtype"])
    plan = Plan(
        models=models, dtype=given["dtype"], layers=given["layers"], loads=Loads(**{**loads, **given["loads"]}),
        grid=None if given["no_ceilings"] else grid_of(device), patience=Patience(given["repeats"], rounds=given["rounds"]),
        seconds=given["seconds"], role=given["role"], hardware=given["hardware"] or _hardware_of(device, nouns),
    )  # fmt: skip
    return measure(device, plan, nouns, given["output"])


def _hardware_of(device: Any, nouns: Catalog) -> str | None:
    """The catalog's device for the driver's name; None for a processor, whose share of a machine no name tells."""
    from llmsizer.doctor.names import find_device

    found = find_device(device.name(), nouns, device.total_bytes()) if device.is_cuda else None
    return found.id if found is not None else None


def _llama_cpp(given: Mapping[str, Any], nouns: Catalog) -> dict[str, Any]:
    from llmsizer.authoring.measure.llama_cpp import LlamaCppPlan, measure_llama_cpp

    if not given.get("models") or not given.get("formats"):
        raise InvalidQuestion("--llama-cpp: expected models and formats", "for example: -m llama-3.2-1b -q Q4_K_M -q Q8_0")
    loads = {name: value for name, value in given["loads"].items() if name != "batches"}
    plan = LlamaCppPlan(
        folder=Path(given["llama_cpp"]), models=tuple(given["models"]), schemes=tuple(given["formats"]), role=given["role"],
        repeats=given["repeats"], hardware=given["hardware"], threads=given["threads"],
        options=_options(given.get("options", "")), **loads,
    )  # fmt: skip
    return measure_llama_cpp(plan, nouns, given["output"])


def _options(text: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise InvalidQuestion(f"--bench-options: {error}: '{text[:40]}'") from error


def _print(record: dict[str, Any], nouns: Catalog, calibration: str, form: str, output: str | None) -> None:
    from llmsizer.report.measure import ceiling_table, comparison_table
    from llmsizer.validation.run_rows import run_errors, with_measured_devices

    tables, notes = [], [run["note"] for run in record["models"] if "note" in run]
    if record["ceilings"]:
        tables.append(ceiling_table(record["ceilings"]))
    try:
        tables.append(comparison_table(run_errors(record, with_measured_devices(nouns), "this run", calibration)))
    except LlmsizerError as error:
        notes.append(f"no estimate beside it: {error.message}. {error.hint}")
    notes += [f"{each['part']} failed: {each['error']}" for each in record["errors"]]
    if output is not None:
        notes.append(f"written: {output}")
    print_tables(f"Measured: {record['environment']['device']}", tables, form, notes=notes)
