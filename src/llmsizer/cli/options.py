"""The options that commands share, declared once."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial, wraps
from typing import Annotated, Any

import typer

from llmsizer.catalog.catalog import Catalog, load_catalog
from llmsizer.cli.completion import Completed, devices, engines, models, schemes
from llmsizer.cli.manner import detail
from llmsizer.question.words import Words

Format = Annotated[str, typer.Option("--format", "-f", help="table, json, csv or markdown.", metavar="FORMAT")]
CatalogPaths = Annotated[
    list[str] | None,
    typer.Option("--catalog", help="A YAML file or folder laid over the built-in catalog; may be given more than once."),
]


def option(*flags: str, text: str, metavar: str | None = None, names: Completed | None = None) -> Any:
    """An option that is given as text; ``names`` completes it in a shell."""
    return typer.Option(*flags, help=text, show_default=False, metavar=metavar, autocompletion=names)


def _number(*flags: str, text: str) -> Any:
    return typer.Option(*flags, help=text, show_default=False, metavar="NUMBER")


# One line a word: its type, its default (... when it must be given), its flags and help.
# ruff: noqa: E501
QUESTION: dict[str, tuple[Any, Any, Any]] = {
    "model": (str, ..., option("--model", "-m", text="A catalog name, or a path to config.json, a model folder or a .gguf file.", names=models)),
    "hardware": (str, ..., option("--gpu", "--hardware", "-g", text="A device of the catalog, e.g. h100, l40s, mi300x, m2-ultra@64GiB.", names=devices)),
    "quantization": (str | None, None, option("--quantization", "-q", text="Weight format: fp8, awq, nvfp4, Q4_K_M … (default: the checkpoint's own).", names=schemes)),
    "dtype": (str | None, None, option("--dtype", text="Type of unquantized weights and activations.")),
    "kv_cache_dtype": (str | None, None, option("--kv-cache-dtype", text="auto, fp8, int8, q8_0 … or keys/values.")),
    "tensor_parallel_size": (str | None, None, _number("--tensor-parallel-size", "--tp", text="Tensor-parallel ranks.")),
    "pipeline_parallel_size": (str | None, None, _number("--pipeline-parallel-size", "--pp", text="Pipeline stages.")),
    "data_parallel_size": (str | None, None, _number("--data-parallel-size", "--dp", text="Attention data-parallel ranks.")),
    "prefill_context_parallel_size": (str | None, None, _number("--prefill-context-parallel-size", "--pcp", "--cp", text="Ranks that share the tokens of every prompt.")),
    "decode_context_parallel_size": (str | None, None, _number("--decode-context-parallel-size", "--dcp", text="Tensor-parallel ranks that share a cache which each would keep again.")),
    "enable_expert_parallel": (bool, False, option("--enable-expert-parallel", "--ep", text="Spread whole experts over all ranks.")),
    "engine": (str | None, None, option("--engine", "-e", text="vllm, vllm@0.11.0, sglang, llama.cpp, llama.cpp+vulkan … (default: vllm where it runs).", names=engines)),
    "max_model_len": (str | None, None, _number("--max-model-len", text="Longest sequence the engine is started for.")),
    "max_num_seqs": (str | None, None, _number("--max-num-seqs", text="Sequences in one step.")),
    "max_num_batched_tokens": (str | None, None, _number("--max-num-batched-tokens", text="Tokens in one step.")),
    "gpu_memory_utilization": (str | None, None, _number("--gpu-memory-utilization", text="The engine's own memory fraction.")),
    "block_size": (str | None, None, _number("--block-size", text="Tokens in a cache block.")),
    "enforce_eager": (bool, False, option("--enforce-eager", text="No CUDA graphs.")),
    "use_cache": (bool, True, option("--kv-cache/--no-kv-cache", text="Whether keys and values are kept, or recomputed for every token.")),
    "flash_attention": (bool | None, None, option("--flash-attention/--no-flash-attention", text="Whether attention scores stay off memory.")),
    "flash_decoding": (bool, True, option("--flash-decoding/--no-flash-decoding", text="Whether decoding attention is divided over the device along the context.")),
    "fused_kernels": (bool, True, option("--fused-kernels/--no-fused-kernels", text="Whether norms and activations run as one kernel each, or operation by operation.")),
    "input_tokens": (str | None, None, _number("--input-tokens", "--isl", text="Tokens of a prompt (1024): a number, 800..1000, lognormal:1024:0.5, or a .csv file of lengths.")),
    "output_tokens": (str | None, None, _number("--output-tokens", "--osl", text="Tokens of an answer (256), in the same forms.")),
    "concurrency": (str | None, None, option("--concurrency", "-c", text="Requests at once, or max.")),
    "request_rate": (str | None, None, _number("--request-rate", "--rate", text="Requests per second, instead of a number in flight.")),
    "workload": (list[str] | None, None, option("--class", text="A class of requests, e.g. chat:share=0.7,isl=800..1000,osl=200; may be given more than once.", metavar="CLASS")),
    "think_seconds": (str | None, None, option("--think", text="Mean pause of a user between an answer and the next request, e.g. 2s.", metavar="TIME")),
    "batch_window_seconds": (str | None, None, option("--batch-window", text="How long a dynamic batch waits to fill, e.g. 50ms.", metavar="TIME")),
    "num_prompts": (str | None, None, _number("--num-prompts", text="Requests of a run that starts with all users at once (default: a steady state; simulate: 1000).")),
    "prefix_cache_hit_rate": (str | None, None, _number("--prefix-cache-hit-rate", text="Share of prompt tokens found in the cache.")),
    "batching": (str | None, None, option("--batching", text="static, dynamic, continuous or in-flight (default: the engine's own).")),
    "price": (str | None, None, option("--price", text="A price id, a provider, '2.50 USD/h' a device, or owned (default: the median provider).")),
    "price_date": (str | None, None, option("--price-date", text="Prices as of this day, YYYY-MM-DD.")),
    "emissions": (str | None, None, option("--emissions", text="Of the grid, e.g. '400 g/kWh'.")),
    "calibration": (str | None, None, option("--calibration", text="auto, ideal for lower bounds at peak rates, or a file of llmsizer fit.")),
    "ignore_memory": (bool, False, option("--ignore-memory", text="Answer speed even where memory does not suffice.")),
    "transform": (str | None, None, option("--transform", text="A variant of the model: prune:2:4, prune:structured:heads=0.25, distill:depth=0.5 …")),
    "speculative": (str | None, None, option("--speculative", text="ngram, mtp, eagle, eagle3, medusa, self or draft:MODEL, then :TOKENS and how many stand, e.g. eagle3:3:acceptance=code, draft:llama-3.2-1b:5:length=2.6.")),
    "adapters": (str | None, None, option("--adapters", text="LoRA slots as COUNTxRANK, e.g. 4x16.")),
    "offload": (str | None, None, option("--offload", text="Share of the weights kept in host memory, e.g. weights=0.3.")),
}  # fmt: skip


def with_question(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command all options of a question; it receives them as ``words: Words``."""

    @wraps(command)
    def asking(words: Mapping[str, Any], **given: Any) -> None:
        command(words=Words(**words), **given)

    return with_words(QUESTION)(asking)


def with_words(options: Mapping[str, Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Gives a command some options (as in ``QUESTION``); it receives those that were typed as the mapping
    ``words``."""

    def decorated(command: Callable[..., None]) -> Callable[..., None]:
        def wrapped(**given: Any) -> None:
            for name, read in COMPOSITE.items():
                if name in options:
                    given[name] = read(given[name])
            typed = {name: given.pop(name) for name in options}
            command(words={name: value for name, value in typed.items() if value is not None}, **given)

        own = [p for name, p in inspect.signature(command, eval_str=True).parameters.items() if name != "words"]
        empty, keyword = inspect.Parameter.empty, inspect.Parameter.KEYWORD_ONLY
        parameters = [
            inspect.Parameter(name, keyword, default=empty if default is ... else default, annotation=Annotated[kind, option])
            for name, (kind, default, option) in options.items()
        ]
        parameters += [p.replace(kind=keyword) for p in own]
        wrapped.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        wrapped.__annotations__ = {p.name: p.annotation for p in parameters}
        wrapped.__doc__, wrapped.__name__ = command.__doc__, command.__name__
        return wrapped

    return decorated


def read_time(flag: str, text: str | None) -> float | None:
    """``2s`` in seconds."""
    from llmsizer.core.quantities import quantity_of

    return None if text is None else quantity_of(flag, text, "second")


def read_classes(texts: list[str] | None) -> Any:
    """``chat:share=0.7,isl=800..1000`` and others as a mix of classes."""
    if not texts:
        return None
    from llmsizer.question.classes import mix_of

    return mix_of(texts)


COMPOSITE: dict[str, Callable[[Any], Any]] = {
    "workload": read_classes, "think_seconds": partial(read_time, "--think"),
    "batch_window_seconds": partial(read_time, "--batch-window"),
}  # fmt: skip


def catalog_of(paths: list[str] | None) -> Catalog:
    """The catalog with the overlays given on the command line."""
    found = load_catalog(paths)
    detail(f"catalog files laid over the built-in ones: {', '.join(found.overlays) or 'none'}")
    return found
