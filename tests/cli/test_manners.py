"""How commands behave on terminals, in pipes and in shells."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout

import pytest

from llmsizer.cli.main import run

ESTIMATE = ["estimate", "-m", "llama-3.1-8b", "-g", "m2-ultra@64GiB"]  # says which engine it took
ESCAPE = "\033["
WIDE = (
    "estimate -m deepseek-v3 -g h200 --tp 8 --ep -c 64", "estimate -m llama-3.1-70b -g t4",
    "memory -m qwen3-32b -g h100 --tp 2", "roofline -m qwen3-30b-a3b -g h100 -c 8",
    "compare -m llama-3.1-8b,qwen3-32b -g h100,h200,mi300x --tp 1,2",
    "sweep -m llama-3.1-8b -g h100,t4 --tp 1,2 -c 1,64", "advise -m llama-3.1-8b -g h100 -c 16",
    "simulate -m llama-3.1-8b -g h100 -c 8 --num-prompts 40", "plan -m llama-3.1-8b --rate 2 -g l40s,h100 --no-simulate",
    "models list", "models show deepseek-v3", "hardware list", "hardware show h100", "prices list", "prices show h100",
    "explain -m llama-3.1-8b -g h100 --path latency.tpot_seconds", "changes examples/preview.yaml -m llama-3.1-8b -g h100",
    "--version",
)  # fmt: skip


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def on_terminal(arguments: list[str]) -> str:
    """What a command writes to a terminal."""
    terminal = Terminal()
    with redirect_stdout(terminal), redirect_stderr(terminal):
        run(arguments)
    return terminal.getvalue()


@pytest.fixture(autouse=True)
def usual_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")


@pytest.mark.parametrize("command", WIDE)
def test_tables_fit_a_terminal(command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, top):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(top)
    assert run(shlex.split(command)) in {0, 1}
    told = capsys.readouterr()
    assert not [line for line in told.out.splitlines() if len(line) > 80]
    assert ESCAPE not in told.out + told.err


def test_terminals_get_colours():
    assert ESCAPE in on_terminal(ESTIMATE)
    assert ESCAPE in on_terminal(["memory", *ESTIMATE[1:]])
    assert f"{ESCAPE}1;31merror:{ESCAPE}0m" in on_terminal(["estimate", "-m", "no-such-model", "-g", "h100"])


@pytest.mark.parametrize("variable", [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_colours_can_be_refused(variable: tuple[str, str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(*variable)
    for arguments in (ESTIMATE, ["memory", *ESTIMATE[1:]], ["estimate", "-m", "no-such-model", "-g", "h100"]):
        assert ESCAPE not in on_terminal(arguments)


@pytest.mark.parametrize("before", [True, False])
def test_quiet_leaves_notes_out(before: bool, capsys: pytest.CaptureFixture[str]):
    assert run(ESTIMATE) == 0
    usual = capsys.readouterr().out
    assert run(["--quiet", *ESTIMATE] if before else [*ESTIMATE, "--quiet"]) == 0
    quiet = capsys.readouterr().out
    assert "Note  " in usual
    assert quiet == usual[: usual.index("Note  ")]


def test_quiet_keeps_data_whole(capsys: pytest.CaptureFixture[str]):
    assert run([*ESTIMATE, "--format", "json", "--quiet"]) == 0
    assert json.loads(capsys.readouterr().out)["notes"]


def test_verbose_tells_the_rest_apart_from_the_answer(capsys: pytest.CaptureFixture[str]):
    assert run([*ESTIMATE, "--format", "json", "--verbose"]) == 0
    told = capsys.readouterr()
    json.loads(told.out)
    assert "built-in ones: none" in told.err
    assert re.search(r"time +\d+\.\d\d s", told.err)
    assert run(ESTIMATE) == 0
    assert not capsys.readouterr().err


def test_verbose_shows_where_a_mistake_arose(capsys: pytest.CaptureFixture[str]):
    assert run(["estimate", "-m", "no-such-model", "-g", "h100", "--verbose"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_both_at_once_are_refused(capsys: pytest.CaptureFixture[str]):
    assert run([*ESTIMATE, "--quiet", "--verbose"]) == 2
    assert "exclude each other" in capsys.readouterr().err


def test_version_tells_how_current_each_catalog_is(capsys: pytest.CaptureFixture[str]):
    assert run(["--version"]) == 0
    first, *dates = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"llmsizer \d+\.\d+\.\d+, catalogs [0-9a-f]{12}", first)
    assert [line.split()[0] for line in dates] == ["hardware", "models", "prices", "engines", "calibrations"]
    assert all(re.fullmatch(r"20\d\d-\d\d(-\d\d)?", line.split()[1]) for line in dates)


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("est", "estimate"), ("estimate --tens", "--tensor-parallel-size"), ("estimate -m llama-3.1-7", "llama-3.1-70b"),
        ("estimate -g h100,mi30", "h100,mi300x"), ("estimate -q aw", "awq"), ("estimate -e tens", "tensorrt-llm"),
        ("models show deepseek-v", "deepseek-v3"), ("hardware show l40", "l40s"), ("plan --hea", "--headroom"),
    ],
)  # fmt: skip
def test_shells_complete(typed: str, offered: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    words = f"llmsizer {typed}"
    monkeypatch.setenv("_LLMSIZER_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - 1))
    assert run([]) == 0
    assert offered in capsys.readouterr().out.split()


def test_the_module_is_the_command():
    told = subprocess.run([sys.executable, "-m", "llmsizer", "--version"], capture_output=True, text=True, check=True)
    assert told.stdout.startswith("llmsizer ")


def test_completion_can_be_shown_and_installed(tmp_path):
    environment = {"HOME": str(tmp_path), "PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path)}
    told_shell = "import shellingham; shellingham.detect_shell = lambda *_: ('bash', '/bin/bash')"
    for option in ("--show-completion", "--install-completion"):
        code = f"{told_shell}\nfrom llmsizer.cli.main import main\nmain([{option!r}])"
        told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
        assert told.returncode == 0, told.stderr
        assert "completion" in told.stdout
    assert list(tmp_path.rglob("*llmsizer*"))
