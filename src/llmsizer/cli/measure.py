"""``llmsizer measure``: the device at hand measured, and the estimate beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from llmsizer.catalog.catalog import Catalog
from llmsizer.cli.options import CatalogPaths, Format, catalog_of, option
from llmsizer.cli.output import checked_format, print_tables
from llmsizer.core.errors import InvalidQuestion, LlmsizerError
from llmsizer.question.words import checked_choice, checked_fraction, checked_integer

EXAMPLES = """Examples:

  llmsizer measure -m llama-3.2-1b -m qwen2.5-0.5b --output my-run.yaml

  llmsizer measure --suite standard --minutes 25 --output my-run.yaml
"""

ROLES = ("fit", "validate")


def command(
    model: Annotated[
        list[str] | None, typer.Option("--model", "-m", help="A model to measure; may be given more than once.")
    ] = None,
    suite: Annotated[
        str | None, option("--suite", text="standard, or a YAML file with models and loads.", metavar="SUITE")
    ] = None,
    gpu: Annotated[
        str | None, option("--gpu", "-g", text="This device in the catalog (default: by its driver's name).")
    ] = None,
    device: Annotated[str | None, option("--device", text="cuda or cpu (default: cuda where there is one).")] = None,
    dtype: Annotated[str, option("--dtype", text="Type of weights and activations: bf16, fp16 or fp32.")] = "bf16",
    layers: Annotated[
        str | None, option("--layers", text="Cut models to so many layers (default: as many as fit).", metavar="NUMBER")
    ] = None,
    batches: Annotated[str | None, option("--batches", text="Batch sizes, e.g. 1,8,64.", metavar="LIST")] = None,
    lengths: Annotated[str | None, option("--lengths", text="Prompt lengths, e.g. 128,1024.", metavar="LIST")] = None,
    contexts: Annotated[
        str | None, option("--contexts", text="Contexts of decode steps, e.g. 128,4096.", metavar="LIST")
    ] = None,
    threads: Annotated[
        str | None, option("--threads", text="Threads of a processor (default: all its cores).", metavar="NUMBER")
    ] = None,
    minutes: Annotated[
        str, option("--minutes", text="Stop after so many minutes, with what there is.", metavar="NUMBER")
    ] = "25",
    repeats: Annotated[str, option("--repeats", text="Repetitions of each measurement.", metavar="NUMBER")] = "9",
    rounds: Annotated[
        str, option("--rounds", text="Measure models so often, on machines with other work; the quietest counts.", metavar="NUMBER")
    ] = "1",
    no_ceilings: Annotated[bool, option("--no-ceilings", text="Leave copies, products and attention kernels out.")] = False,
    role: Annotated[str, option("--role", text="What the record is for: validate, or fit.")] = "validate",
    llama_cpp: Annotated[
        str | None, option("--llama-cpp", text="Measure llama.cpp: the folder of its llama-bench.", metavar="FOLDER")
    ] = None,
    quantization: Annotated[
        list[str] | None, typer.Option("--quantization", "-q", help="With --llama-cpp: GGUF formats, one each.")
    ] = None,
    output: Annotated[str | None, option("--output", "-o", text="Write the record into this file.", metavar="FILE")] = None,
    calibration: Annotated[str, option("--calibration", text="auto, ideal, or a file of llmsizer fit.")] = "auto",
    format_: Format = "table",
    catalog: CatalogPaths = None,
) -> None:
    """Measures this device and models with random weights on it, and prints the estimate beside them."""
    checked_format(format_)
    nouns = catalog_of(catalog)
    hardware = nouns.accelerator(gpu).id if gpu is not None else None
    words = {"batches": batches, "lengths": lengths, "contexts": contexts}
    loads = {name: _numbers(f"--{name}", text) for name, text in words.items() if text is not None}
    shared: dict[str, Any] = {
        "repeats": checked_integer("repeats", repeats, least=2, most=1000), "rounds": checked_integer("rounds", rounds, most=100), "role": checked_choice("--role", role, ROLES),
        "seconds": 60 * checked_fraction("minutes", minutes, least=0.01, most=1e4), "output": Path(output) if output else None,
        "hardware": hardware, "loads": loads, "threads": None if threads is None else checked_integer("threads", threads, most=4096),
    }  # fmt: skip
    if llama_cpp is not None:
        record = _llama_cpp(Path(llama_cpp), model, quantization, nouns, shared)
    else:
        shared |= {"dtype": dtype, "device": device, "ceilings": not no_ceilings}
        shared["layers"] = None if layers is None else checked_integer("layers", layers)
        record = _torch(model, suite, nouns, shared)
    _print(record, nouns, calibration, format_, output)


def _numbers(flag: str, text: str) -> tuple[int, ...]:
    return tuple(checked_integer(flag, each.strip(), most=2**24) for each in text.split(","))


def _torch(models: list[str] | None, suite: str | None, nouns: Catalog, given: dict[str, Any]) -> dict[str, Any]:
    from llmsizer.authoring.measure.model_runs import Loads
    from llmsizer.authoring.measure.session import Plan, grid_of, measure, plan_of_file, standard_suite
    from llmsizer.authoring.measure.timing import Patience
    from llmsizer.authoring.measure.torch_device import open_device

    words = {} if suite is None else dict(plan_of_file(standard_suite() if suite == "standard" else Path(suite)))
    named = tuple(models or words.pop("models", ()))
    if not named and not given["ceilings"]:
        raise InvalidQuestion("nothing to measure", "name models with -m, or a suite with --suite standard")
    words = {name: tuple(value) if isinstance(value, list) else value for name, value in words.items() if name != "models"}
    device = open_device(given["device"], given["threads"])
    device.dtype(given["dtype"])
    plan = Plan(
        models=named, dtype=given["dtype"], layers=given["layers"], loads=Loads(**{**words, **given["loads"]}),
        grid=grid_of(device) if given["ceilings"] else None, patience=Patience(given["repeats"], rounds=given["rounds"]), seconds=given["seconds"],
        role=given["role"], hardware=given["hardware"] or _hardware_of(device, nouns),
    )  # fmt: skip
    return measure(device, plan, nouns, given["output"])


def _hardware_of(device: Any, nouns: Catalog) -> str | None:
    """The catalog's device for the driver's name; None for a processor, whose share of a machine no name tells."""
    from llmsizer.doctor.names import find_device

    found = find_device(device.name(), nouns, device.total_bytes()) if device.is_cuda else None
    return found.id if found is not None else None


def _llama_cpp(
    folder: Path, models: list[str] | None, formats: list[str] | None, nouns: Catalog, given: dict[str, Any]
) -> dict[str, Any]:
    from llmsizer.authoring.measure.llama_cpp import LlamaCppPlan, measure_llama_cpp

    if not models or not formats:
        raise InvalidQuestion("--llama-cpp: expected models and formats", "for example: -m llama-3.2-1b -q Q4_K_M -q Q8_0")
    loads = {name: value for name, value in given["loads"].items() if name in {"lengths", "contexts"}}
    plan = LlamaCppPlan(
        folder=folder, models=tuple(models), schemes=tuple(formats), repeats=given["repeats"], role=given["role"],
        hardware=given["hardware"], threads=given["threads"], **loads,
    )  # fmt: skip
    return measure_llama_cpp(plan, nouns, given["output"])


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
