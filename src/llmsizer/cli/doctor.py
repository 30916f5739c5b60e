"""``llmsizer doctor``: an engine's own start-up log beside the estimate of the same deployment."""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import Annotated, Any

import typer

from llmsizer.cli.manner import is_quiet
from llmsizer.cli.options import COMPOSITE, QUESTION, CatalogPaths, Format, catalog_of
from llmsizer.cli.output import checked_format, width
from llmsizer.doctor import Diagnosis, diagnose, read_log
from llmsizer.report.doctor import diagnosis_csv, diagnosis_markdown, diagnosis_text
from llmsizer.report.tables import as_json

EXAMPLES = """Examples:

  llmsizer doctor vllm.log

  llmsizer doctor server.log --gpu h100 -m llama-3.1-8b --format json
"""

# Words of a question that a start-up log can contradict; the workload is none of them.
WORDS = (
    "model", "hardware", "engine", "quantization", "dtype", "kv_cache_dtype", "tensor_parallel_size",
    "pipeline_parallel_size", "data_parallel_size", "enable_expert_parallel", "max_model_len", "max_num_seqs",
    "max_num_batched_tokens", "gpu_memory_utilization", "block_size", "enforce_eager", "flash_attention",
    "speculative", "adapters", "offload",
)  # fmt: skip

REQUIRED = ("model", "hardware")  # of a question; a log may name them


def command(
    file: Annotated[str, typer.Argument(help="The file that vLLM, SGLang or llama.cpp logged its start to.")],
    format_: Format = "table",
    catalog: CatalogPaths = None,
    **typed: Any,
) -> None:
    """Compares the memory figures an engine logged at its start with the estimate, and names causes.

    What the log says is taken from it; an option given here wins over the log. A log often leaves out the
    device (add --gpu) or names a folder for the model (add --model).
    """
    checked_format(format_)
    given = {name: COMPOSITE[name](value) if name in COMPOSITE else value for name, value in typed.items() if value}
    if typed.get("flash_attention") is False:
        given["flash_attention"] = False
    found = diagnose(read_log(file), catalog_of(catalog), **given)
    quiet = is_quiet() and format_ in {"table", "markdown"}
    print(rendered(replace(found, notes=()) if quiet else found, format_))


def rendered(diagnosis: Diagnosis, form: str) -> str:
    """The comparison in one of the output formats."""
    if form == "json":
        return as_json(diagnosis.to_dict())
    if form == "csv":
        return diagnosis_csv(diagnosis)
    return diagnosis_markdown(diagnosis) if form == "markdown" else diagnosis_text(diagnosis, width())


def _with_words() -> None:
    """Gives the command the options of a question, none of them required and none with a default: only
    what was typed may win over the log."""
    own = [p for p in inspect.signature(command, eval_str=True).parameters.values() if p.kind is not p.VAR_KEYWORD]
    words = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=False if QUESTION[name][0] is bool else None,
            annotation=Annotated[str | None if name in REQUIRED else QUESTION[name][0], QUESTION[name][2]],
        )
        for name in WORDS
    ]
    parameters = [own[0], *words, *(p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own[1:])]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters}


_with_words()
