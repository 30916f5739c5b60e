"""What the reader finds in llama.cpp's logs."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from llmsizer.core.quantities import MIB
from llmsizer.doctor import LogReading, parse_log

Sample = Callable[[str], LogReading]


def test_flash_attention(sample: Sample) -> None:
    log = sample("llama_cpp_flash")
    assert (log.engine, log.version, log.quantization, log.flash_attention) == ("llama.cpp", "b6712", "Q4_K_M", True)
    assert log.model_names == ("Llama 3.1 8B Instruct", "Llama-3.1-8B-Instruct-Q4_K_M.gguf", "Llama-3.1-8B")
    assert (log.max_model_len, log.max_num_seqs, log.micro_batch, log.kv_cache_dtype) == (16384, 1, 512, "q8_0")
    assert (log.gpu_layers, log.model_layers, log.devices) == (33, 33, 1)
    card = next(buffer for buffer in log.buffers if buffer.device == "CUDA0")
    assert (card.on_host, card.model_bytes, card.cache_bytes) == (False, 4403.49 * MIB, 1088 * MIB)
    assert card.compute_bytes == 266.5 * MIB
    host = next(buffer for buffer in log.buffers if buffer.device == "CPU")
    assert (host.on_host, host.model_bytes) == (True, 281.81 * MIB)
    assert log.device == "NVIDIA GeForce RTX 3090"
    assert log.outcome == "started"


def test_two_devices_without_flash_attention(sample: Sample) -> None:
    log = sample("llama_cpp_plain")
    assert (log.version, log.flash_attention, log.quantization, log.devices) == ("b2931", False, "Q8_0", 2)
    assert log.weights_bytes == pytest.approx((3757.5 + 3847.8) * MIB)
    assert log.kv_cache_bytes == 1024 * MIB
    assert log.activation_bytes == 640.02 * MIB  # the largest compute buffer
    assert (log.max_model_len, log.kv_cache_dtype) == (8192, "f16")


def test_partial_offload(sample: Sample) -> None:
    log = sample("llama_cpp_partial")
    assert (log.gpu_layers, log.model_layers, log.flash_attention) == (40, 65, True)
    assert log.weights_bytes == 11200.80 * MIB
    assert log.kv_cache_bytes == 2048 * MIB
    assert (log.max_model_len, log.max_num_seqs) == (8192, 1)  # one stream of cells shared by four sequences


def test_states_windows_and_slots() -> None:
    log = parse_log(
        """llama_context: n_ctx         = 16384
llama_context: n_seq_max     = 2
llama_kv_cache: size =  512.00 MiB (  8192 cells,   8 layers,  2/2 seqs), K (f16):  256.00 MiB, V (q8_0):  256.00 MiB
llama_kv_cache: size =   96.00 MiB (  1536 cells,  40 layers,  2/2 seqs), K (f16):   48.00 MiB, V (q8_0):   48.00 MiB
llama_memory_recurrent: size =   50.25 MiB (     2 cells,  32 layers,  2 seqs), R (f32):    2.25 MiB, S (f32):   48.00 MiB
"""
    )
    assert (log.max_model_len, log.max_num_seqs, log.kv_cache_dtype) == (8192, 2, "f16/q8_0")
    assert log.kv_cache_bytes == 608 * MIB
    assert log.state_cache_bytes == 50.25 * MIB


def test_the_context_is_divided_between_slots() -> None:
    text = "llama_context: n_seq_max     = 4\nllama_context: n_ctx         = 16384\nllama_context: kv_unified    = {}\n"
    assert parse_log(text.format("false")).max_model_len == 4096
    assert parse_log(text.format("true")).max_model_len == 16384


def test_the_last_model_or_the_largest_beside_a_draft() -> None:
    load = "llama_model_loader: loaded meta data with 1 key-value pairs and 2 tensors from {}.gguf (version GGUF V3 (latest))\n"
    tensors = "load_tensors:        CUDA0 model buffer size =  {:.2f} MiB\n"
    text = load.format("big") + tensors.format(4000) + load.format("small") + tensors.format(500)
    assert parse_log(text).model == "small.gguf"
    with_draft = parse_log(text + "srv  load_model: loading draft model")
    assert with_draft.model == "big.gguf"
    assert "2 models" in with_draft.notes[0]


def test_first_context_of_a_benchmark() -> None:
    size = "llama_kv_cache: size = {1}.00 MiB ( {0} cells, 16 layers, 1 seqs), K (f16): 1.00 MiB\n"
    context = "llama_context: n_ctx         = {0}\n" + size
    assert parse_log(context.format(512, 16) + context.format(1024, 32)).kv_cache_bytes == 16 * MIB


@pytest.mark.parametrize(
    ("printed", "name"),
    [
        ("Q4_K - Small", "Q4_K_S"),
        ("all F32 (guessed)", "F32"),
        ("IQ4_XS - 4.25 bpw", "IQ4_XS"),
        ("MXFP4 MoE", "MXFP4"),
        ("Q6_K", "Q6_K"),
    ],
)
def test_file_types(printed: str, name: str) -> None:
    assert parse_log(f"print_info: file type   = {printed}").quantization == name


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("ggml_metal_init: picking default device: Apple M2 Max", "Apple M2 Max"),
        ("ggml_vulkan: 0 = AMD Radeon RX 7900 XTX (RADV NAVI31) | uma: 0", "AMD Radeon RX 7900 XTX"),
        (
            "llama_memory_breakdown_print: |   - CUDA0 (RTX 4090)   | 24077 =  945 + (19187 = 17904 + 384 + 898) + 3945 |",
            "RTX 4090",
        ),
    ],
)
def test_device_names(line: str, name: str) -> None:
    assert parse_log(f"{line}\nprint_info: arch = llama").device == name


def test_first_releases_with_a_scratch_buffer() -> None:
    log = parse_log(
        "llm_load_print_meta: model ftype      = mostly Q4_0\nllm_load_tensors: VRAM used: 3577.00 MB\n"
        "llama_new_context_with_model: VRAM kv self = 256.00 MB\nllama_new_context_with_model: VRAM scratch buffer: 70.50 MB\n"
    )
    assert (log.quantization, log.weights_bytes) == ("Q4_0", 3577 * MIB)
    assert (log.kv_cache_bytes, log.activation_bytes) == (256 * MIB, 70.5 * MIB)
