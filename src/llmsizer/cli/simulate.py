"""``llmsizer simulate``: the traffic of a question, request by request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from llmsizer.cli.options import QUESTION, CatalogPaths, Format, catalog_of, option, with_words
from llmsizer.cli.output import checked_format, print_tables
from llmsizer.cli.progress import Progress
from llmsizer.core.errors import InvalidQuestion
from llmsizer.core.files import write_whole
from llmsizer.core.quantities import quantity_of
from llmsizer.question.words import Words, checked_fraction, checked_integer
from llmsizer.report.tables import as_json

if TYPE_CHECKING:
    from llmsizer.simulation.asked import Asked

EXAMPLES = """Examples:

  llmsizer simulate -m llama-3.1-8b -g h100 --rate 10 --num-prompts 500

  llmsizer simulate -m llama-3.1-8b -g h100 -c 64 --isl 800..1000 --osl 200..256

  llmsizer simulate -m llama-3.1-8b -g h100 -c 64 --without continuous-batching

  llmsizer simulate -m llama-3.1-8b -g h100 --rate 20 --prefill-replicas 1 --decode-replicas 2
"""

Text = str | None
# One line a word, as in ``QUESTION``.
# ruff: noqa: E501
RUN: dict[str, tuple[Any, Any, Any]] = {
    "replicas": (Text, None, option("--replicas", text="Engines behind one door.", metavar="NUMBER")),
    "prefill_replicas": (Text, None, option("--prefill-replicas", text="Engines that read prompts and hand their caches on.", metavar="NUMBER")),
    "decode_replicas": (Text, None, option("--decode-replicas", text="Engines that decode what the others read.", metavar="NUMBER")),
    "routing": (Text, None, option("--routing", text="round-robin, least-loaded or prefix-aware.")),
    "seed": (Text, None, option("--seed", text="Seed of the random draws (default 0).", metavar="NUMBER")),
    "burstiness": (Text, None, option("--burstiness", text="Variation of the gaps between requests (1: Poisson).", metavar="NUMBER")),
    "scatter": (Text, None, option("--scatter", text="Users pause once, after their first answers, for up to this time (0s: they stay in step).", metavar="TIME")),
    "trace": (Text, None, option("--trace", text="A file of arrivals and lengths.", metavar="FILE")),
    "result_cache_hit_rate": (Text, None, option("--result-cache-hit-rate", text="Share of requests answered from stored results.", metavar="NUMBER")),
    "preemption": (Text, None, option("--preemption", text="recompute or swap.")),
    "ttft": (Text, None, option("--ttft", text="Target for the first token, e.g. 500ms.", metavar="TIME")),
    "tpot": (Text, None, option("--tpot", text="Target for each further token, e.g. 40ms.", metavar="TIME")),
    "e2e": (Text, None, option("--e2e", text="Target for the whole answer, e.g. 10s.", metavar="TIME")),
    "without": (list[str] | None, None, option("--without", text="Run again without a technique and print its gain: continuous-batching, paged-attention, chunked-prefill, prefix-caching, speculation or all; may be given more than once.", metavar="TECHNIQUE")),
    "requests": (Text, None, option("--requests", text="Write every request into this CSV file.", metavar="FILE")),
    "plot": (Text, None, option("--plot", text="Draw the run into this .svg or .png file.", metavar="FILE")),
}  # fmt: skip
COUNTS = {"replicas": (1, 10_000), "prefill_replicas": (1, 10_000), "decode_replicas": (1, 10_000), "seed": (0, 2**31),
          "num_prompts": (1, 10_000_000)}  # fmt: skip


@with_words({**QUESTION, **RUN})
def command(words: Mapping[str, Any], format_: Format = "table", catalog: CatalogPaths = None) -> None:
    """Simulates an engine step by step: percentiles, goodput, running batch and cache over time."""
    checked_format(format_)
    given = {name: words[name] for name in RUN if name in words}
    question = Words(**{name: value for name, value in words.items() if name not in RUN})
    asked = _asked({**given, "num_prompts": question.num_prompts})
    if given.get("without"):
        _print_gains(question, asked, given["without"], format_, catalog)
        return
    from llmsizer.report.simulation import simulation_tables
    from llmsizer.simulation.asked import simulate_question

    with Progress("requests") as progress:
        result, case = simulate_question(question, asked, catalog_of(catalog), progress)
    _write_files(result, given)
    if format_ == "json":
        print(as_json(result.to_dict()))
        return
    print_tables(_heading(asked, case), [*simulation_tables(result), *_pool_tables(asked, case)], format_)


def _heading(asked: Asked, case: Any) -> str:
    text = f"{case.model.id} on {case.parallel.devices} × {case.accelerator.name}, {case.engine.title} {case.engine.version}"
    if asked.decode_replicas:
        return f"{text}: {asked.prefill_replicas} × prefill, {asked.decode_replicas} × decode"
    return f"{text}: {asked.replicas} replicas" if asked.replicas > 1 else text


def _write_files(result: Any, given: Mapping[str, Any]) -> None:
    from llmsizer.report.simulation import requests_csv, save_plots

    if "requests" in given:
        write_whole(given["requests"], requests_csv(result))
    if "plot" in given:
        save_plots(result, given["plot"])


def _pool_tables(asked: Asked, case: Any) -> list[Any]:
    if not asked.decode_replicas:
        return []
    from llmsizer.report.simulation import pool_table
    from llmsizer.simulation.asked import pools_of

    return [pool_table(pools_of(case, asked))]


def _print_gains(question: Words, asked: Asked, names: list[str], format_: str, catalog: CatalogPaths) -> None:
    from llmsizer.report.simulation import gain_table
    from llmsizer.simulation.techniques import gains

    with Progress("requests") as progress:
        found = gains(question, asked, names, catalog_of(catalog), progress)
    print_tables("", [gain_table(found)], format_, notes=list(dict.fromkeys(f"claimed in: {gain.source}" for gain in found)))


def _asked(given: Mapping[str, Any]) -> Asked:
    """What is simulated besides the words of the question."""
    from llmsizer.simulation.asked import Asked

    found: dict[str, Any] = {
        name: checked_integer(name, given[name], *bounds) for name, bounds in COUNTS.items() if given.get(name) is not None
    }
    if ("prefill_replicas" in found) != ("decode_replicas" in found):
        raise InvalidQuestion("--prefill-replicas and --decode-replicas belong together")
    if given.get("burstiness") is not None:
        found["variation"] = checked_fraction("burstiness", given["burstiness"], 0.01, 100.0)
    if given.get("result_cache_hit_rate") is not None:
        found["result_cache_hit_rate"] = checked_fraction("result_cache_hit_rate", given["result_cache_hit_rate"], most=0.999)
    if given.get("scatter") is not None:
        found["scatter_seconds"] = quantity_of("--scatter", given["scatter"], "second")
    if given.get("preemption") is not None:
        found["engine"] = {"preemption": given["preemption"]}
    found |= {name: given[name] for name in ("routing",) if given.get(name) is not None}
    if given.get("trace") is not None:
        from llmsizer.catalog.traces import read_trace

        found["trace"] = read_trace(given["trace"])
    return Asked(**found, targets=_targets(given))


def _targets(given: Mapping[str, Any]) -> Any:
    times = {
        f"{name}_seconds": quantity_of(f"--{name}", given[name], "second")
        for name in ("ttft", "tpot", "e2e")
        if given.get(name)
    }
    if not times:
        return None
    from llmsizer.schema.workload import Targets

    return Targets(**times)
