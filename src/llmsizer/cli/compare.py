"""``llmsizer compare``: several models, devices, splits or formats side by side."""

from __future__ import annotations

import itertools
import math
from typing import Any

from llmsizer.catalog.catalog import Catalog
from llmsizer.cli.options import CatalogPaths, Format, catalog_of, with_question
from llmsizer.cli.output import checked_format, print_tables, width
from llmsizer.core.errors import InvalidQuestion, UnsupportedCombination
from llmsizer.question.ask import ask
from llmsizer.question.ranges import expanded
from llmsizer.question.sweep import label
from llmsizer.question.words import Words
from llmsizer.report.compare import Combination, compare_rows, compare_tables
from llmsizer.report.tables import as_csv, as_json

EXAMPLES = """Examples:

  llmsizer compare -m llama-3.1-8b -g h100,l40s,mi300x

  llmsizer compare -m llama-3.1-70b,qwen3-32b -g h200 -q fp8,bf16 -c 32

  llmsizer compare -m deepseek-r1 -g h200 --tp 8 -e vllm,sglang,tensorrt-llm
"""
MOST = 60


@with_question
def command(words: Words, format_: Format = "table", catalog: CatalogPaths = None) -> None:
    """Puts estimates side by side, one column for every combination of comma lists; * marks the best of a row."""
    checked_format(format_)
    found = combinations(expanded(words), catalog_of(catalog))
    print_compared(found, format_)
    if not any(each.estimate is not None and each.estimate.fits for each in found):
        raise SystemExit(1)


def combinations(words: dict[str, Any], catalog: Catalog) -> list[Combination]:
    """The estimate of every combination. A combination that cannot run says why, unless none can."""
    varying = {name: values for name, values in words.items() if isinstance(values, tuple)}
    count = math.prod(len(values) for values in varying.values())
    if count > MOST:
        raise InvalidQuestion(f"{count:,} combinations are too many to compare", f"at most {MOST}; llmsizer sweep takes more")
    found: list[Combination] = []
    refusals: list[UnsupportedCombination | InvalidQuestion] = []
    for values in itertools.product(*varying.values()):
        chosen = dict(zip(varying, values, strict=True))
        named = {name: str(label(value)) for name, value in chosen.items()}
        try:
            found.append(Combination(_short(named), ask(Words(**{**words, **chosen}), catalog)))
        except (UnsupportedCombination, InvalidQuestion) as refusal:
            refusals.append(refusal)
            found.append(Combination(_short(named), None, refusal.message))
    if len(refusals) == len(found):
        raise refusals[0]
    return found


def _short(named: dict[str, str]) -> dict[str, str]:
    """The words with the value of a number beside its name's initials: ``tp 4``, ``c 32``."""
    return {name: f"{INITIALS[name]} {value}" if name in INITIALS else value for name, value in named.items()}


INITIALS = {
    "tensor_parallel_size": "tp", "pipeline_parallel_size": "pp", "data_parallel_size": "dp", "concurrency": "c",
    "request_rate": "rate", "input_tokens": "in", "output_tokens": "out", "max_model_len": "len",
    "max_num_seqs": "seqs", "max_num_batched_tokens": "batched", "gpu_memory_utilization": "util",
    "kv_cache_dtype": "kv", "prefix_cache_hit_rate": "hits", "block_size": "block",
}  # fmt: skip


def print_compared(found: list[Combination], form: str) -> None:
    """Prints the comparison in one of the output formats."""
    rows = compare_rows(found)
    if form == "json":
        print(as_json(rows))
    elif form == "csv":
        print(as_csv(list(rows[0]), [list(row.values()) for row in rows]))
    else:
        notes = [f"{each.title}: {each.refusal}" for each in found if each.refusal]
        notes += [
            f"{each.title}: {'; '.join(each.estimate.reasons)}"
            for each in found
            if each.estimate is not None and not each.estimate.fits
        ]
        tables = compare_tables(found, width() - 2 if form == "table" else None)
        print_tables(f"{len(found)} side by side, * the best of a row", tables, form, notes)
