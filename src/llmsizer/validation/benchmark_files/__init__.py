"""Results of benchmark tools, read with their metric definitions mapped to ours."""

from __future__ import annotations

from llmsizer.validation.benchmark_files.files import TOOLS, read_benchmarks
from llmsizer.validation.benchmark_files.reading import BenchmarkRun

__all__ = ["TOOLS", "BenchmarkRun", "read_benchmarks"]
