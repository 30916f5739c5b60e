"""llama.cpp measured by its own ``llama-bench`` on generated models: speed, and the buffers it prints."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from llmsizer.authoring.measure.random_gguf import write_random_gguf
from llmsizer.authoring.measure.timing import timing_of
from llmsizer.authoring.measure.torch_device import processor_name, say
from llmsizer.catalog.catalog import Catalog
from llmsizer.core.errors import LlmsizerError
from llmsizer.core.quantities import MIB
from llmsizer.validation.run_files import KIND, write_run

GENERATED = 32
UNQUANTIZED = "F16"
LONGEST_SECONDS = 1800
_BUFFER = re.compile(r"(?P<place>\S+) +(?P<kind>model|KV|compute) buffer size = +(?P<size>[\d.]+) MiB")
_CONTEXT = re.compile(r"n_ctx +(?:\(adjusted\) )?= +(\d+)")
_PARTS = {"model": "weights_bytes", "KV": "kv_bytes", "compute": "activation_bytes"}


@dataclass(frozen=True, slots=True, kw_only=True)
class LlamaCppPlan:
    """What to measure: prompts of some lengths, and generation after contexts of some depths; ``options`` are
    handed to llama-bench as they are."""

    folder: Path
    models: tuple[str, ...]
    schemes: tuple[str, ...]
    lengths: tuple[int, ...] = (16, 128, 512, 2048)
    contexts: tuple[int, ...] = (1, 512, 2048)
    repeats: int = 5
    threads: int | None = None
    options: tuple[str, ...] = ()
    role: str = "validate"
    hardware: str | None = None


def measure_llama_cpp(plan: LlamaCppPlan, catalog: Catalog, output: Path | None = None) -> dict[str, Any]:
    """Generates, quantizes and measures every model in every format; the record, written as it grows."""
    models = [catalog.model(name) for name in plan.models]
    schemes = [catalog.scheme(name).id for name in plan.schemes]
    record: dict[str, Any] = {
        "record": KIND, "role": plan.role, "hardware": plan.hardware, "engine": "llama.cpp", "engine_version": None,
        "environment": _environment(), "ceilings": [], "models": [], "errors": [],
    }  # fmt: skip
    if plan.options:
        record["environment"]["options"] = " ".join(plan.options)
    with tempfile.TemporaryDirectory(prefix="llmsizer-gguf-") as scratch:
        for model in models:
            plain_file = Path(scratch) / "random-F16.gguf"
            write_random_gguf(model, plain_file)
            for scheme in schemes:
                say(f"{model.id} {scheme}")
                try:
                    file = _quantized(plan.folder, plain_file, scheme)
                    record["models"].append({"model": model.id, "quantization": scheme, **_run(plan, file, record)})
                except LlmsizerError as error:
                    record["errors"].append({"part": f"{model.id} {scheme}", "error": error.message})
                if output is not None:
                    write_run(output, record)
    return record


def _environment() -> dict[str, Any]:
    pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"), "device": processor_name(), "kind": "llama.cpp",
        "memory_bytes": float(pages * size), "system": f"{platform.system()} {platform.release()}",
        "load_average": round(os.getloadavg()[0], 2),
    }  # fmt: skip


def _quantized(folder: Path, plain_file: Path, scheme: str) -> Path:
    if scheme == UNQUANTIZED:
        return plain_file
    file = plain_file.with_name(f"random-{scheme}.gguf")
    _told(folder / "llama-quantize", [str(plain_file), str(file), scheme])
    return file


def _told(program: Path, arguments: Iterable[str]) -> tuple[str, str]:
    """What a program of llama.cpp prints. Raises LlmsizerError where it is not there or fails."""
    try:
        done = subprocess.run(  # noqa: S603
            [str(program), *arguments], capture_output=True, text=True, errors="replace", check=True, timeout=LONGEST_SECONDS
        )
    except OSError as error:
        raise LlmsizerError(f"--llama-cpp: {program} cannot be run: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise LlmsizerError(f"{program.name} took longer than {LONGEST_SECONDS} s") from error
    except subprocess.CalledProcessError as error:
        last = (error.stderr or error.stdout).strip().split("\n")[-1][:200]
        raise LlmsizerError(f"{program.name} failed: {last}") from error
    return done.stdout, done.stderr


def _run(plan: LlamaCppPlan, file: Path, record: dict[str, Any]) -> dict[str, Any]:
    bench, shared = plan.folder / "llama-bench", ["-m", str(file), "-o", "json", "-r", str(plan.repeats)]
    shared += [*([] if plan.threads is None else ["-t", str(plan.threads)]), *plan.options]
    prompts, log = _told(bench, [*shared, "-v", "-n", "0", "-p", ",".join(map(str, plan.lengths))])
    depths = ",".join(str(max(context - 1, 0)) for context in plan.contexts)
    answers, _ = _told(bench, [*shared, "-p", "0", "-n", str(GENERATED), "-d", depths])
    rows = _read_rows(prompts, bench), _read_rows(answers, bench)
    record["environment"] |= _build_facts(rows[0][0])
    memory = buffers(log)
    found: dict[str, Any] = {"weights_bytes": float(rows[0][0]["model_size"]), "file_bytes": float(file.stat().st_size)}
    # What lies in buffers of weights may lie there twice: as mapped from the file, and repacked for the processor.
    found["weight_buffers_bytes"] = memory.pop("weights_bytes", None)
    found["memory"] = [{"batch": 1, **memory}] if "length" in memory else []
    found["prefill"] = [
        {"batch": 1, "length": int(row["n_prompt"]), **timing_of([ns / 1e9 for ns in row["samples_ns"]]).to_dict()}
        for row in rows[0]
    ]
    # A generation sees its depth and on average half of what it generates.
    found["decode"] = [
        {"batch": 1, "context": int(row["n_depth"]) + GENERATED // 2,
         **timing_of([ns / 1e9 / GENERATED for ns in row["samples_ns"]]).to_dict()}
        for row in rows[1]
    ]  # fmt: skip
    return found


def _read_rows(text: str, bench: Path) -> list[Mapping[str, Any]]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise LlmsizerError(f"{bench.name} printed no JSON: {error}") from error
    if (
        not isinstance(found, list)
        or not all(isinstance(row, dict) and row.get("samples_ns") and row.get("model_size") for row in found)
        or not found
    ):
        raise LlmsizerError(f"{bench.name} printed no samples")
    return found


def _build_facts(row: Mapping[str, Any]) -> dict[str, Any]:
    names = ("build_commit", "build_number", "backends", "n_threads", "n_ubatch", "flash_attn")
    return {name: row[name] for name in names if name in row}


def buffers(log: str) -> dict[str, Any]:
    """The buffers of the last model that a log tells of, joined over devices, and the context it was loaded for."""
    sizes: dict[tuple[str, str], float] = {}
    for match in _BUFFER.finditer(log):
        sizes[match["place"], match["kind"]] = float(match["size"]) * MIB
    found: dict[str, Any] = {}
    for (_, kind), size in sizes.items():
        found[_PARTS[kind]] = found.get(_PARTS[kind], 0.0) + size
    contexts = _CONTEXT.findall(log)
    return found | ({"length": int(contexts[-1])} if contexts else {})
