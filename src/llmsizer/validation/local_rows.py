"""llama.cpp's prompt and generation speed on single devices against the estimate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from llmsizer.catalog.catalog import Catalog, load_catalog
from llmsizer.core.errors import LlmsizerError
from llmsizer.core.explain import plain
from llmsizer.question.ask import ask
from llmsizer.question.words import Words
from llmsizer.schema.deployment import Case
from llmsizer.sizing import front_end
from llmsizer.validation.measurements import measured_rows
from llmsizer.validation.speed_rows import Answer, answer_of, judged
from llmsizer.validation.statistics import ErrorRow


def local_errors(catalog: Catalog | None = None, calibration: str = "auto") -> list[ErrorRow]:
    """Errors of all rows of ``llama_cpp_speed.yaml`` that are compared and that the catalog can answer."""
    catalog = catalog if catalog is not None else load_catalog()
    errors: list[ErrorRow] = []
    for row in measured_rows("llama_cpp_speed.yaml"):
        if not row.get("scored", True):
            continue
        for words in questions(row, calibration):
            try:
                estimate = ask(words, catalog)
            except LlmsizerError:
                continue
            errors += [judged(error, estimate) for error in local_row_errors(row, estimate.case, answer_of(estimate))]
    return errors


def questions(row: Mapping[str, Any], calibration: str = "auto") -> Iterator[Words]:
    """The questions a row answers: its prompt alone, and generation from an empty context."""
    shared: dict[str, Any] = {
        "model": row["model"], "hardware": row["hardware"], "quantization": row["quantization"], "concurrency": 1,
        "engine": _engine(row), "batching": "static",
        "calibration": calibration, "flash_attention": row.get("flash_attention"), "ignore_memory": True,
        **row.get("words", {}),
    }  # fmt: skip
    if "pp_tok_s" in row["measured"]:
        yield Words(**shared, input_tokens=int(row["prompt_tokens"]), output_tokens=1)
    if "tg_tok_s" in row["measured"]:
        yield Words(**shared, input_tokens=1, output_tokens=int(row["generated_tokens"]))


def _engine(row: Mapping[str, Any]) -> str:
    """The engine of a row as it is typed, with the version and the backend where the row states them."""
    version = f"@{row['version']}" if "version" in row else ""
    backend = f"+{row['backend']}" if "backend" in row else ""
    return f"llama.cpp{version}{backend}"


def local_row_errors(row: Mapping[str, Any], case: Case, answer: Answer) -> Iterator[ErrorRow]:
    """The comparison that one of a row's questions allows."""
    measured = row["measured"]
    engine_ttft = answer.ttft - float(plain(front_end.alone(case)))
    if int(case.workload.output_tokens) == 1:
        yield _error(row, "llama.cpp prompt", int(row["prompt_tokens"]) / engine_ttft, measured["pp_tok_s"])
    else:
        yield _error(row, "llama.cpp token generation", 1 / answer.tpot, measured["tg_tok_s"])


def _error(row: Mapping[str, Any], quantity: str, estimate: float, measured: float) -> ErrorRow:
    group = f"llama.cpp {row['hardware']} {row['quantization']}"
    error = estimate / measured - 1
    return ErrorRow(quantity, row["id"], group, row["role"], estimate, measured, error, row.get("cause", ""),
                    engine="llama.cpp", hardware=row["hardware"])  # fmt: skip
