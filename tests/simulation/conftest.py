"""Makes the synthetic engine importable by the tests of this folder."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

_PATH = Path(__file__).with_name("synthetic.py")
if "synthetic_engine" not in sys.modules:
    _SPEC = importlib.util.spec_from_file_location("synthetic_engine", _PATH)
    assert _SPEC is not None
    assert _SPEC.loader is not None
    sys.modules["synthetic_engine"] = importlib.util.module_from_spec(_SPEC)
    _SPEC.loader.exec_module(sys.modules["synthetic_engine"])
