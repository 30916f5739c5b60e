"""Launch commands: what is asked for is what the engine is told, in the flags that its version has."""

from __future__ import annotations

import itertools
import random
import shlex
from typing import Any

import pytest

import llmsizer
from llmsizer.catalog.catalog import Catalog
from llmsizer.catalog.engine_flags import EngineFlags, engine_flags
from llmsizer.catalog.package_data import package_data
from llmsizer.core.errors import LlmsizerError, UnsupportedCombination
from llmsizer.handover.command import launch_command, target_of
from llmsizer.handover.launch import Launch

ENGINES = ["vllm", "sglang", "tensorrt-llm", "tgi", "llama.cpp"]
CHOICES: dict[str, list[Any]] = {
    "model": ["llama-3.1-8b", "llama-3.1-70b", "mixtral-8x7b", "qwen3-30b-a3b", "deepseek-r1", "gpt-oss-20b", "gemma-3-27b",
              "mamba-2.8b"],
    "hardware": ["h100", "h200", "l40s", "a100", "v100", "mi300x", "b200", "m2-ultra@64GiB"],
    "engine": [None, *ENGINES, "vllm@0.6.0", "vllm@0.8.5+v0", "vllm@0.11.0", "sglang@0.4.3", "sglang@0.5.5",
               "tensorrt-llm@0.20", "tgi@2.2", "llama.cpp@b5000"],
    "tensor_parallel_size": [1, 1, 2, 4, 8], "pipeline_parallel_size": [1, 1, 2], "data_parallel_size": [1, 1, 4],
    "enable_expert_parallel": [False, True],
    "quantization": [None, None, "fp8", "awq", "gptq", "int8", "nf4", "nvfp4", "w4a16", "Q4_K_M", "bf16"],
    "kv_cache_dtype": ["auto", "auto", "fp8", "int8", "q8_0", "q8_0/q4_0", "nvfp4"],
    "max_model_len": [None, 4096, 32768], "max_num_seqs": [None, 32], "max_num_batched_tokens": [None, 4096],
    "gpu_memory_utilization": [None, 0.8], "enforce_eager": [False, True], "block_size": [None, 32],
    "concurrency": [None, 8, "max"], "prefix_cache_hit_rate": [0.0, 0.5], "batching": [None, None, "continuous", "in-flight"],
    "speculative": [None, None, "ngram", "eagle", "eagle3", {"method": "medusa", "acceptance": 0.6}, "mtp",
                    {"method": "draft", "model": "llama-3.2-1b"}],
    "adapters": [None, {"count": 2, "rank": 16}],
    "offload": [None, None, {"weights": 0.2}, {"gpu_layers": 10}, {"expert_layers": 4}, {"kv_cache": 1.0}],
}  # fmt: skip


def flags_in(launch: Launch) -> list[tuple[str, str | bool]]:
    """The flags of the printed command, read anew from its text."""
    text = str(launch).rsplit("\nEOF\n", 1)[-1].replace(" \\\n", " ")
    words = shlex.split(next(line for line in text.splitlines() if not line.startswith("#")))
    found: list[tuple[str, str | bool]] = []
    for word, after in itertools.pairwise([*words, "--"]):
        if word.startswith("--"):
            found.append((word, True if after.startswith("--") else after))
    return found


def keys_in(file: Any, prefix: str = "") -> list[str]:
    if not isinstance(file, dict):
        return [prefix.removesuffix(".")]
    return [key for name, inner in file.items() for key in keys_in(inner, f"{prefix}{name}.")]


def check(launch: Launch, flags: EngineFlags) -> None:
    """Every flag is one of the version's, with a word that it takes."""
    for flag, value in flags_in(launch):
        assert flags.has(flag), f"{flags.engine} {flags.version}: {flag}"
        assert flags.takes(flag, value), f"{flags.engine} {flags.version}: {flag} {value}"
    for key in keys_in(launch.file) if launch.file else []:
        assert flags.has(key), f"{flags.engine} {flags.version}: {key}"


def test_emitted_flags_are_real_over_random_questions(catalog: Catalog):
    source, asked, told = random.Random(1), 0, 0
    seen: set[str] = set()
    while asked < 250:
        words = {name: source.choice(values) for name, values in CHOICES.items()}
        for name in source.sample(sorted(set(CHOICES) - {"model", "hardware", "engine"}), 11):
            words.pop(name)  # too many words at once contradict one another
        try:
            estimate = llmsizer.estimate(catalog=catalog, **words)
        except LlmsizerError:
            continue
        if not estimate.fits:
            continue
        asked += 1
        for engine in (None, *ENGINES):
            try:
                launch = launch_command(estimate, engine)
            except UnsupportedCombination:
                continue
            told += 1
            check(launch, target_of(estimate.case, engine).flags)
            seen |= {flag for flag, _ in flags_in(launch)}
    assert told > 500
    known = {flag for entry in package_data("engine_flags.yaml")["engines"].values() for flag in entry["flags"]}
    assert len(seen & known) > 50


def test_vllm_of_two_devices():
    estimate = llmsizer.estimate(
        "llama-3.1-70b", "h100", tensor_parallel_size=4, quantization="fp8", kv_cache_dtype="fp8", max_model_len=8192,
        max_num_seqs=64, gpu_memory_utilization=0.9, engine="vllm@0.11.0",
    )  # fmt: skip
    assert launch_command(estimate).arguments() == [
        "vllm", "serve", "meta-llama/Llama-3.1-70B", "--tensor-parallel-size", "4", "--max-model-len", "8192",
        "--max-num-seqs", "64", "--max-num-batched-tokens", "8192", "--quantization", "fp8", "--kv-cache-dtype", "fp8",
        "--gpu-memory-utilization", "0.9",
    ]  # fmt: skip


def test_shared_experts_are_told_in_each_engines_way():
    estimate = llmsizer.estimate("deepseek-r1", "h200", data_parallel_size=8, enable_expert_parallel=True)
    told = {engine: dict(launch_command(estimate, engine).flags) for engine in ("vllm", "sglang", "tensorrt-llm")}
    assert told["vllm"]["--data-parallel-size"] == 8
    assert "--tensor-parallel-size" not in told["vllm"]
    assert (told["sglang"]["--tp-size"], told["sglang"]["--dp-size"], told["sglang"]["--ep-size"]) == (8, 8, 8)
    assert told["sglang"]["--max-running-requests"] == 8 * told["vllm"]["--max-num-seqs"]
    assert (told["tensorrt-llm"]["--tp_size"], told["tensorrt-llm"]["--ep_size"]) == (8, 8)
    assert launch_command(estimate, "trtllm").file["enable_attention_dp"] is True


@pytest.mark.parametrize(
    ("version", "flag"),
    [("0.7.0", "--speculative-model"), ("0.8.5", "--speculative-config"), ("0.20.0", "--speculative-config")],
)
def test_speculation_by_version(version: str, flag: str):
    draft = {"method": "draft", "model": "llama-3.2-1b", "num_speculative_tokens": 5}
    launch = launch_command(llmsizer.estimate("llama-3.1-8b", "h100", engine=f"vllm@{version}", speculative=draft))
    assert flag in dict(launch.flags)


def test_what_a_version_cannot_do_is_a_note():
    draft = {"method": "draft", "model": "llama-3.2-1b"}
    launch = launch_command(llmsizer.estimate("llama-3.1-8b", "h100", engine="vllm@0.11.0", speculative=draft))
    assert any("no flag for: speculative draft" in note for note in launch.notes)
    assert not [flag for flag, _ in launch.flags if "speculative" in flag]


@pytest.mark.parametrize("source", ["vllm", "sglang", "tensorrt-llm"])
@pytest.mark.parametrize("target", ["vllm", "sglang", "tensorrt-llm"])
@pytest.mark.parametrize(("model", "tp"), [("llama-3.1-8b", 1), ("mixtral-8x7b", 2)])
def test_a_fraction_is_converted_through_bytes(source: str, target: str, model: str, tp: int):
    """Asked anew with the engine and the fraction that were emitted, the cache has the same bytes."""
    estimate = llmsizer.estimate(model, "h100", engine=source, tensor_parallel_size=tp, gpu_memory_utilization=0.75)
    flags = dict(launch_command(estimate, target).flags)
    names = {"vllm": "--gpu-memory-utilization", "sglang": "--mem-fraction-static",
             "tensorrt-llm": "--kv_cache_free_gpu_memory_fraction"}  # fmt: skip
    fraction = flags[names[target]]
    again = llmsizer.estimate(
        model, "h100", engine=target, tensor_parallel_size=tp, gpu_memory_utilization=fraction,
        max_num_seqs=int(estimate.case.max_num_seqs), max_num_batched_tokens=int(estimate.case.max_num_batched_tokens),
    )  # fmt: skip
    wanted = float(estimate.memory.per_gpu.kv_cache_bytes)
    assert float(again.memory.per_gpu.kv_cache_bytes) == pytest.approx(wanted, rel=2e-3)
    if source != target:
        assert fraction != 0.75


def test_tgi_counts_its_fraction_from_the_total():
    estimate = llmsizer.estimate("llama-3.1-8b", "h100", engine="tgi", gpu_memory_utilization=0.5)
    one = estimate.memory.per_gpu
    taken = one.weights_bytes + one.activation_bytes + one.non_torch_bytes + one.cuda_graph_bytes
    wanted = (taken + one.kv_cache_bytes) / (0.9 * one.capacity_bytes)
    assert dict(launch_command(estimate).flags)["--cuda-memory-fraction"] == pytest.approx(wanted, abs=1e-4)


def test_a_paged_estimate_becomes_slots():
    estimate = llmsizer.estimate(
        "llama-3.1-8b", "l40s", quantization="bf16", concurrency=16, input_tokens=3000, output_tokens=72
    )
    flags = dict(launch_command(estimate, "llama.cpp").flags)
    assert (flags["--parallel"], flags["--ctx-size"]) == (16, 16 * 3072)
    assert flags["--n-gpu-layers"] == 33


def test_a_length_that_the_engine_would_refuse_is_not_emitted():
    estimate = llmsizer.estimate("llama-3.1-8b", "l4")
    assert int(estimate.case.max_model_len) == 131072
    assert dict(launch_command(estimate).flags)["--max-model-len"] == int(estimate.memory.max_context_tokens)


def test_formats_that_need_a_checkpoint_say_so():
    launch = launch_command(llmsizer.estimate("llama-3.1-8b", "l40s", quantization="awq"))
    assert launch.start[-1] == "path/to/Llama-3.1-8B-awq-4bit-g128"
    assert "stored in awq-4bit-g128" in launch.notes[0]
    assert "--quantization" not in dict(launch.flags)


@pytest.mark.parametrize(
    ("words", "engine", "message"),
    [
        ({"hardware": "mi300x"}, "trtllm", "does not run on AMD"),
        ({"hardware": "h100", "quantization": "nvfp4"}, "tgi", "does not load 'nvfp4'"),
        ({"hardware": "h100", "engine": "transformers"}, None, "no launch flags are recorded"),
    ],
)
def test_engines_that_cannot_run_it_are_refused(words: dict[str, Any], engine: str | None, message: str):
    with pytest.raises(UnsupportedCombination, match=message):
        launch_command(llmsizer.estimate("llama-3.1-8b", **words), engine)


def test_hand_over_to_an_older_version():
    estimate = llmsizer.estimate("llama-3.1-8b", "h100")
    old = launch_command(estimate, "vllm@0.4.0")
    assert old.start[:3] == ("python3", "-m", "vllm.entrypoints.openai.api_server")
    check(old, engine_flags("vllm", "0.4.0"))


def test_old_tgi_takes_no_prompt_beyond_a_step():
    words = {"max_num_batched_tokens": 4096, "max_model_len": 32768}
    old, new = (dict(launch_command(llmsizer.estimate("llama-3.1-8b", "h100", engine=f"tgi@{version}", **words)).flags)
                for version in ("2.2", "3.0"))  # fmt: skip
    assert (old["--max-input-tokens"], old["--max-batch-prefill-tokens"]) == (4096, 4096)
    assert (new["--max-input-tokens"], new["--max-batch-prefill-tokens"]) == (32767, 4096)


def test_unquantized_gguf_is_an_ordinary_checkpoint_elsewhere():
    estimate = llmsizer.estimate("llama-3.1-8b", "h100", engine="llama.cpp", max_model_len=4096)
    launch = launch_command(estimate, "vllm")
    assert launch.start[-1] == "meta-llama/Llama-3.1-8B"
    assert not {"--quantization", "--kv-cache-dtype"} & set(dict(launch.flags))


def test_a_draft_for_llama_cpp_is_a_file():
    draft = {"method": "draft", "model": "llama-3.2-1b", "num_speculative_tokens": 4}
    estimate = llmsizer.estimate("llama-3.1-8b", "h100", engine="llama.cpp@b7000", quantization="Q4_K_M", speculative=draft)
    flags = dict(launch_command(estimate).flags)
    assert flags["--model-draft"].endswith(".gguf")
    assert flags["--draft-max"] == 4


def test_a_backend_is_named_for_the_engine_that_has_it():
    asked = llmsizer.estimate("llama-3.1-8b", "h100", engine="llama.cpp+vulkan")
    assert any("backend vulkan" in note for note in launch_command(asked, "llama.cpp").notes)
    assert not any("vulkan" in note for note in launch_command(asked, "vllm").notes)


def test_two_splits_that_one_flag_says_are_a_note():
    estimate = llmsizer.estimate(
        "llama-3.1-8b", "l40s", engine="llama.cpp", quantization="Q4_K_M", tensor_parallel_size=2, pipeline_parallel_size=2
    )
    launch = launch_command(estimate)
    assert dict(launch.flags)["--split-mode"] == "row"
    assert any("pipeline parallel size (2)" in note for note in launch.notes)


@pytest.mark.parametrize(("version", "flag"), [("b5000", None), ("b7000", "off")])
def test_flash_attention_off_by_version(version: str, flag: str | None):
    estimate = llmsizer.estimate(
        "llama-3.1-8b", "h100", engine=f"llama.cpp@{version}", quantization="Q4_K_M", flash_attention=False
    )
    launch = launch_command(estimate)
    assert dict(launch.flags).get("--flash-attn") == flag
    assert not any("flash" in note for note in launch.notes)
