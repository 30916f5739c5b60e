"""One estimate in a running process: without derivations, and with one number derived."""

from __future__ import annotations

from timing import figure, report, seconds_of

import llmsizer

QUESTION = {"tensor_parallel_size": 4, "max_model_len": 32768}
DERIVED = ("memory.per_gpu.kv_cache_bytes", "latency.tpot_seconds")
RUNS = 200


def main() -> None:
    catalog = llmsizer.load_catalog()

    def estimate() -> llmsizer.Estimate:
        return llmsizer.estimate("llama-3.1-70b", "h100", catalog=catalog, **QUESTION)

    def derived(path: str) -> None:
        estimate().explain(path)

    figures = [figure("estimate", "ms", milliseconds(seconds_of(estimate, RUNS)), budget=1)]
    for path in DERIVED:
        samples = milliseconds(seconds_of(lambda path=path: derived(path), RUNS // 4))
        figures.append(figure(f"estimate and explain {path}"[:42], "ms", samples, budget=5))
    figures.append(figure("to_dict", "ms", milliseconds(seconds_of(estimate().to_dict, RUNS))))
    report("One estimate in a running process", figures)


def milliseconds(samples: list[float]) -> list[float]:
    """Seconds as milliseconds."""
    return [1000 * each for each in samples]


if __name__ == "__main__":
    main()
