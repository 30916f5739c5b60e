"""The same question (Llama-3.1-8B, 1,024 in, 256 out, eight at once) to llmsizer and to the peers that are installed.

Each runs as a process of its own, start-up included, since that is how a person asks. A peer that is not
installed in this environment is left out: `pip install genz-llm llm-analysis aiconfigurator` brings them. The figures
show what waiting costs; the answers differ in what they cover (see docs/comparison.md).
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import time
from pathlib import Path

from timing import figure, report

PROGRAMS = {
    "llmsizer": (
        "llmsizer",
        "import sys; from llmsizer.cli.main import main; "
        "main('estimate -m llama-3.1-8b -g h200 --isl 1024 --osl 256 -c 8'.split())",
    ),
    "GenZ, decode only": (
        "GenZ",
        "from GenZ import decode_moddeling as decode; decode(model='llama3_8b', batch_size=8, input_tokens=1024, "
        "output_tokens=256, system_name='H100_GPU', bits='bf16', tensor_parallel=1)",
    ),
    "llm-analysis, Llama-1 7B": (
        "llm_analysis",
        "from llm_analysis.analysis import LLMAnalysis, ParallelismConfig as P; from llm_analysis import config as c; "
        "LLMAnalysis(c.get_model_config_by_name('decapoda-research_llama-7b-hf'), c.get_gpu_config_by_name('a100-sxm-80gb'), "
        "c.get_dtype_config_by_name('w16a16e16'), P(tp_size=1)).inference(batch_size_per_gpu=8, seq_len=1024, "
        "num_tokens_to_generate=256)",
    ),
    "aiconfigurator": (
        "aiconfigurator",
        "import sys; from aiconfigurator.main import main; sys.argv = ['aiconfigurator'] + "
        "'cli estimate --model-path meta-llama/Meta-Llama-3.1-8B --system h200_sxm --backend trtllm --isl 1024 --osl 256 "
        "--batch-size 8 --tp-size 1'.split(); main()",
    ),
}
RUNS = 5


def seconds_of(program: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, cwd=Path.home())
    return time.perf_counter() - start


def main() -> None:
    figures = []
    for name, (package, program) in PROGRAMS.items():
        if importlib.util.find_spec(package) is None:
            print(f"{name}: {package} is not installed here", file=sys.stderr)
            continue
        seconds_of(program)
        figures.append(figure(name, "s", [seconds_of(program) for _ in range(RUNS)]))
    report("One question, whole process", figures)


if __name__ == "__main__":
    main()
