"""What a user without torch is told."""

from __future__ import annotations

import sys

import pytest

from llmsizer.cli.main import run


@pytest.mark.parametrize("words", [["measure", "-m", "llama-3.2-1b"], ["hardware", "probe"]])
def test_one_clear_message(words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert run(words) == 2
    told = capsys.readouterr().err
    assert "measuring needs torch" in told
    assert "pip install 'llmsizer[measure]'" in told
    assert "Traceback" not in told
