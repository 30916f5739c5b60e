"""Result files of each tool, their definitions mapped to ours, and mistakes in them."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmsizer.core.errors import CatalogError
from llmsizer.validation.benchmark_files import TOOLS, read_benchmarks

VLLM = {
    "date": "20250801-101010",
    "backend": "vllm",
    "model_id": "meta-llama/Llama-3.1-8B-Instruct",
    "num_prompts": 100,
    "request_rate": "inf",
    "burstiness": 1.0,
    "max_concurrency": 16,
    "duration": 50.0,
    "completed": 98,
    "failed": 2,
    "total_input_tokens": 100352,
    "total_output_tokens": 25088,
    "request_throughput": 1.96,
    "request_goodput": None,
    "output_throughput": 501.76,
    "total_token_throughput": 2508.8,
    "mean_ttft_ms": 80.0,
    "median_ttft_ms": 60.0,
    "std_ttft_ms": 9.0,
    "p99_ttft_ms": 300.0,
    "mean_tpot_ms": 12.0,
    "median_tpot_ms": 11.5,
    "p99_tpot_ms": 20.0,
    "mean_itl_ms": 12.5,
    "mean_e2el_ms": 3200.0,
    "p99.9_e2el_ms": 4000.0,
}


def _spread(value, **more):
    return {
        "mean": value,
        "median": value * 0.9,
        "percentiles": {"p50": value * 0.9, "p95": value * 2, "p999": value * 3},
        **more,
    }


GUIDELLM = {
    "metadata": {"version": 1, "guidellm_version": "0.5.3"},
    "args": {"model": "Qwen/Qwen3-8B"},
    "benchmarks": [
        {
            "config": {"strategy": {"type_": "concurrent", "streams": streams}},
            "duration": 60.0,
            "metrics": {
                "request_totals": {"successful": 50, "incomplete": 1, "errored": 0, "total": 51},
                "requests_per_second": {"successful": _spread(2.0)},
                "prompt_token_count": {"successful": _spread(512.0)},
                "output_token_count": {"successful": _spread(128.0)},
                "output_tokens_per_second": {"successful": _spread(256.0)},
                "tokens_per_second": {"successful": _spread(1280.0)},
                "request_concurrency": {"successful": _spread(7.9)},
                "request_latency": {"successful": _spread(4.0)},
                "time_to_first_token_ms": {"successful": _spread(100.0), "errored": _spread(999.0)},
                "time_per_output_token_ms": {"successful": _spread(31.0)},
                "inter_token_latency_ms": {"successful": _spread(30.0)},
            },
        }
        for streams in (8, 16)
    ],
}


def _stat(unit, avg):
    return {"unit": unit, "avg": avg, "p50": avg * 0.9, "p99": avg * 3, "min": 0.1, "max": avg * 9, "std": 1.0}


AIPERF = {
    "schema_version": "1.0",
    "request_throughput": {"unit": "requests/sec", "avg": 3.0},
    "request_latency": _stat("ms", 2000.0),
    "time_to_first_token": _stat("ms", 90.0),
    "inter_token_latency": _stat("ms", 15.0),
    "inter_chunk_latency": _stat("ms", 15.5),
    "output_token_throughput": {"unit": "tokens/sec", "avg": 384.0},
    "input_sequence_length": _stat("tokens", 550.0),
    "output_sequence_length": _stat("tokens", 128.0),
    "request_count": {"unit": "requests", "avg": 60.0},
    "benchmark_duration": {"unit": "sec", "avg": 20.0},
    "input_config": {"endpoint": {"model_names": ["Qwen/Qwen3-0.6B"]}, "loadgen": {"concurrency": 4}},
}
AIPERF_CSV = """Metric,avg,min,max,p99,p50,std
Time to First Token (ms),90.0,80,"1,200",200,85,3
Inter Token Latency (ms),15.0,10,20,19,14.5,1
Request Latency (ms),"2,000.0",1,2,3,1900,1
Output Sequence Length (tokens),128,1,2,3,128,0

Metric,Value
Output Token Throughput (tokens/sec),384.0
Request Throughput (requests/sec),3.0
Request Count (requests),60
"""
INFERENCEX = {
    "hw": "h200",
    "model": "deepseek-ai/DeepSeek-R1",
    "framework": "trt",
    "precision": "fp8",
    "tp": 8,
    "ep": 8,
    "conc": 64,
    "isl": 1024,
    "osl": 1024,
    "tput_per_gpu": 500.0,
    "output_tput_per_gpu": 250.0,
    "median_ttft": 0.4,
    "median_tpot": 0.02,
    "p99_tpot": 0.03,
    "median_intvty": 50.0,
    "mean_e2el": 21.0,
    "dp_attention": "false",
    "disagg": False,
}
LLAMA = [
    {
        "build_number": 6000,
        "model_filename": "m.gguf",
        "gpu_info": "RTX 4090",
        "n_prompt": 512,
        "n_gen": 0,
        "n_depth": 0,
        "avg_ts": 5000.0,
    },
    {
        "build_number": 6000,
        "model_filename": "m.gguf",
        "gpu_info": "RTX 4090",
        "n_prompt": 0,
        "n_gen": 128,
        "n_depth": 4096,
        "avg_ts": 80.0,
    },
]


@pytest.fixture
def read(tmp_path):
    def reader(content, name="result.json"):
        (tmp_path / name).write_text(content if isinstance(content, str) else json.dumps(content))
        return read_benchmarks(tmp_path / name)

    return reader


def test_vllm_bench(read):
    (run,) = read(VLLM)
    assert run.tool == "vllm-bench"
    assert run.metrics == pytest.approx(
        {
            "requests_per_second": 1.96,
            "output_tokens_per_second": 501.76,
            "total_tokens_per_second": 2508.8,
            "ttft_seconds": 0.08,
            "ttft_p50_seconds": 0.06,
            "ttft_p99_seconds": 0.3,
            "tpot_seconds": 0.012,
            "tpot_p50_seconds": 0.0115,
            "tpot_p99_seconds": 0.02,
            "itl_seconds": 0.0125,
            "e2e_seconds": 3.2,
            "e2e_p99.9_seconds": 4.0,
        }
    )
    assert (run.input_tokens, run.output_tokens, run.concurrency, run.request_rate) == (1024, 256, 16, None)
    assert (run.engine, run.completed, run.failed, run.num_prompts) == ("vllm", 98, 2, 100)
    assert run.missing() == ("hardware", "tensor_parallel_size")


def test_vllm_detail_arrays_give_the_lengths(read):
    (run,) = read({**VLLM, "input_lens": [10, 20, 0], "output_lens": [5, 6, 7], "ttfts": [0.1, 0.2, 0.3]})
    assert run.lengths.inputs == (10, 20)
    with pytest.raises(CatalogError, match="output_lens: expected 3 lengths"):
        read({**VLLM, "input_lens": [10, 20, 0], "output_lens": [5]})


def test_sglang_lines_of_results(read):
    line = {
        "backend": "sglang",
        "request_rate": 4.0,
        "max_concurrency": None,
        "duration": 20.0,
        "completed": 80,
        "total_input_tokens": 8000,
        "total_output_tokens": 1600,
        "request_throughput": 4.0,
        "output_throughput": 80.0,
        "mean_e2e_latency_ms": 900.0,
        "median_ttft_ms": 50.0,
    }
    runs = read("\n".join([json.dumps(line)] * 2), "out.jsonl")
    assert [run.engine for run in runs] == ["sglang"] * 2
    assert runs[1].metrics["e2e_seconds"] == pytest.approx(0.9)
    assert runs[1].source.endswith("out.jsonl:2")
    assert runs[0].request_rate == 4


def test_guidellm_takes_tpot_without_ttft(read):
    runs = read(GUIDELLM)
    assert [run.concurrency for run in runs] == [8, 16]
    run = runs[0]
    assert run.model == "Qwen/Qwen3-8B"
    assert run.metrics["tpot_seconds"] == pytest.approx(0.030)  # not 0.031, which has TTFT in it
    assert run.metrics["ttft_seconds"] == pytest.approx(0.1)
    assert run.metrics["ttft_p99.9_seconds"] == pytest.approx(0.3)
    assert run.metrics["e2e_p95_seconds"] == pytest.approx(8.0)
    assert run.metrics["total_tokens_per_second"] == 1280
    assert (run.input_tokens, run.output_tokens, run.completed) == (512, 128, 50)
    # E2E = TTFT + (tokens − 1) · TPOT holds with the mapped definition
    assert run.metrics["ttft_seconds"] + 127 * run.metrics["tpot_seconds"] == pytest.approx(
        run.metrics["e2e_seconds"], rel=0.03
    )


@pytest.mark.parametrize("content", [AIPERF, AIPERF_CSV])
def test_aiperf(read, content):
    (run,) = read(content, "profile.csv" if content is AIPERF_CSV else "profile.json")
    assert run.tool == "aiperf"
    assert run.metrics["ttft_seconds"] == pytest.approx(0.09)
    assert run.metrics["tpot_seconds"] == pytest.approx(0.015)
    assert run.metrics["e2e_seconds"] == pytest.approx(2.0)
    assert run.metrics["output_tokens_per_second"] == 384
    assert run.metrics["requests_per_second"] == 3
    assert (run.output_tokens, run.completed) == (128, 60)
    if content is AIPERF:
        assert (run.model, run.concurrency, run.duration_seconds) == ("Qwen/Qwen3-0.6B", 4, 20.0)
        assert run.metrics["itl_p99_seconds"] == pytest.approx(0.0465)


def test_inferencex_rows(read):
    apart = {**INFERENCEX, "disagg": True, "num_prefill_gpu": 4, "num_decode_gpu": 12}
    first, second = read([INFERENCEX, apart])
    assert first.engine == "tensorrt-llm"
    assert (first.hardware, first.devices, second.devices) == ("h200", 8, 16)
    assert first.metrics["total_tokens_per_second"] == 4000
    assert first.metrics["output_tokens_per_second_per_gpu"] == 250
    assert first.metrics["ttft_p50_seconds"] == 0.4
    assert first.metrics["tpot_p99_seconds"] == 0.03
    assert first.missing() == ()


def test_llama_bench(read):
    header = ["build_number", "model_filename", "gpu_info", "n_prompt", "n_gen", "n_depth", "avg_ts"]
    table = "\n".join([",".join(header), *(",".join(f'"{row[key]}"' for key in header) for row in LLAMA)])
    lines = "\n".join(json.dumps(row) for row in LLAMA)
    for content, name in ((LLAMA, "b.json"), (table, "b.csv"), (lines, "b.jsonl")):
        prompt, answer = read(content, name)
        assert prompt.metrics == pytest.approx({"prefill_tokens_per_second": 5000, "prefill_seconds": 512 / 5000})
        assert answer.metrics == pytest.approx({"decode_tokens_per_second": 80, "tpot_seconds": 1 / 80})
        assert (answer.context_tokens, answer.output_tokens, answer.engine_version) == (4096, 128, "b6000")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({**VLLM, "mean_ttft_ms": "fast"}, "mean_ttft_ms: expected a number, got 'fast'"),
        ({**VLLM, "mean_ttft_ms": -1}, "mean_ttft_ms: expected a number that is not negative"),
        ({**VLLM, "completed": 1.5}, "completed: expected a whole number"),
        ({"a": 1}, "not a result of a known benchmark tool (it has: a)"),
        ([], "not a result of a known benchmark tool"),
        ("{", "not JSON"),
        (json.dumps(VLLM) + "\n{oops", ":2: not JSON"),
        ("a,b\n1,2\n", "not a result of a known benchmark tool"),
        ("  ", "empty file"),
        ({"benchmarks": [{"metrics": {}}, 5]}, "benchmarks[1]: expected an object, got 5"),
        ([{**LLAMA[0], "avg_ts": 0}], "[0].avg_ts: expected tokens per second above 0"),
        ({**AIPERF, "request_latency": {"unit": "parsec", "avg": 1}}, "request_latency.unit: expected a unit of time"),
    ],
)
def test_mistakes_are_located(read, content, message):
    with pytest.raises(CatalogError) as caught:
        read(content)
    assert message in str(caught.value)


def test_a_file_that_is_not_there():
    with pytest.raises(CatalogError, match="cannot read"):
        read_benchmarks("/nowhere/result.json")
    assert set(TOOLS) == {"vllm-bench", "guidellm", "aiperf", "inferencex", "llama-bench"}


KEYS = sorted(
    {
        *VLLM,
        *GUIDELLM,
        *AIPERF,
        *INFERENCEX,
        *LLAMA[0],
        "metrics",
        "strategy",
        "config",
        "successful",
        "unit",
        "avg",
        "input_lens",
    }
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=10,
)


@given(
    base=st.sampled_from([VLLM, GUIDELLM, AIPERF, INFERENCEX, LLAMA[0]]),
    changes=st.dictionaries(st.sampled_from(KEYS), values, max_size=4),
)
def test_no_change_gives_a_traceback(tmp_path_factory, base, changes):
    file = tmp_path_factory.mktemp("fuzz") / "r.json"
    file.write_text(json.dumps({**base, **changes}))
    try:
        runs = read_benchmarks(file)
    except CatalogError:
        return
    assert all(value == value and value >= 0 for run in runs for value in run.metrics.values())


@given(content=st.text(max_size=120))
def test_no_text_gives_a_traceback(tmp_path_factory, content):
    file = tmp_path_factory.mktemp("fuzz") / "r.csv"
    file.write_text(content, encoding="utf-8", errors="replace")
    with suppress(CatalogError):
        read_benchmarks(file)
