"""``llmsizer import`` writes an entry that, laid over the catalog, gives the same model."""

from __future__ import annotations

import json
import threading
import zlib
from collections.abc import Callable, Iterator
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

import llmsizer
from llmsizer.authoring import hub
from llmsizer.authoring.import_model import entry_text, import_source, needed
from llmsizer.catalog.model_files import model_from_path
from llmsizer.cli.main import run
from llmsizer.core.errors import InvalidQuestion, LlmsizerError, UnsupportedCombination
from llmsizer.sizing.lowering import total_parameters

from .conftest import CONFIG, llama_tensors, write_safetensors
from .gguf_samples import SAMPLES

IN = Callable[..., Path]
TODAY = date(2026, 11, 21)


def overlaid(text: str, folder: Path) -> llmsizer.Catalog:
    file = folder / "entry.yaml"
    file.write_text(text)
    return llmsizer.load_catalog(file)


@pytest.mark.parametrize("name", llmsizer.load_catalog().names("models"))
def test_an_imported_model_comes_back(name: str, catalog: llmsizer.Catalog, tmp_path: Path):
    known = catalog.model(name)
    (tmp_path / "config.json").write_text(json.dumps(dict(catalog.records["models"][name].data["config"])))
    source = import_source(str(tmp_path), catalog)
    again = overlaid(entry_text(source, "mine/model", "a folder", TODAY), tmp_path).model("mine/model")
    assert total_parameters(again) == total_parameters(known)
    assert again.layers == known.layers
    assert again.native_quantization == known.native_quantization


def test_nested_and_idle_keys_are_left_out(config_in: IN, catalog: llmsizer.Catalog):
    inner = {key: value for key, value in CONFIG.items() if key not in {"architectures", "model_type"}}
    folder = config_in(
        model_type="gemma3", text_config=inner | {"model_type": "gemma3_text"}, rope_scaling={"factor": 8.0},
        bos_token_id=1, quantization_config={"quant_method": "fp8", "weight_block_size": [128, 128], "fmt": "e4m3"},
    )  # fmt: skip
    config = needed("x", import_source(str(folder), catalog))
    assert "text_config" not in config
    assert "bos_token_id" not in config
    assert "rope_scaling" not in config
    assert config["quantization_config"] == {"quant_method": "fp8", "weight_block_size": [128, 128]}


def test_headers_confirm_or_question_the_entry(config_in: IN, catalog: llmsizer.Catalog, tmp_path: Path):
    folder = config_in()
    text = entry_text(import_source(str(folder), catalog), "a/b", "a folder", TODAY)
    assert "unverified:" in text
    write_safetensors(folder / "model.safetensors", llama_tensors())
    text = entry_text(import_source(str(folder), catalog), "a/b", "a folder", TODAY)
    assert "unverified:" not in text
    assert "the same number of parameters" in text
    model = overlaid(text, tmp_path).model("a/b")
    assert model.checks.total_parameters == total_parameters(model)
    write_safetensors(folder / "model.safetensors", llama_tensors() | {"more": ("BF16", [10])})
    text = entry_text(import_source(str(folder), catalog), "a/b", "a folder", TODAY)
    assert "+10" in text
    assert "unexplained: 10" in text


@pytest.mark.parametrize(
    ("total", "said"),
    [({"total_parameters": 86_848, "total_size": 173_696}, "the same number"), ({"total_size": 173_696}, "the same number"),
     ({"total_parameters": 86_858, "total_size": 173_716}, "+10"), ({"total_size": 173_716}, "take 173,716 bytes"),
     ({"total_size": "many"}, "no safetensors headers")],
)  # fmt: skip
def test_the_totals_of_an_index_are_held_against_the_entry(
    total: dict[str, Any], said: str, config_in: IN, catalog: llmsizer.Catalog
):
    folder = config_in()
    index = {"metadata": total, "weight_map": {"w": "model-1.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    text = entry_text(import_source(str(folder), catalog), "a/b", "a folder", TODAY)
    assert said in text
    assert ("unverified:" in text) == (said != "the same number")


@pytest.mark.parametrize("name", ["qwen3moe", "deepseek2", "nemotron_h"])
def test_a_gguf_file_is_imported(name: str, catalog: llmsizer.Catalog, tmp_path: Path):
    file = SAMPLES[name]().write(tmp_path / "m.gguf")
    text = entry_text(import_source(str(file), catalog), "a/b", "m.gguf", TODAY)
    again = overlaid(text, tmp_path).model("a/b")
    assert total_parameters(again) == total_parameters(model_from_path(file)[0])


def test_the_command_writes_a_file_once(config_in: IN, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    output = tmp_path / "mine.yaml"
    assert run(["import", str(config_in()), "--id", "a/b", "-o", str(output)]) == 0
    assert f"llmsizer models show a/b --catalog {output}" in capsys.readouterr().out
    assert run(["models", "show", "a/b", "--catalog", str(output)]) == 0
    capsys.readouterr()
    assert run(["import", str(config_in()), "-o", str(output)]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_the_command_prints_without_a_file(config_in: IN, capsys: pytest.CaptureFixture[str]):
    assert run(["import", str(config_in())]) == 0
    assert "  my-model:" in capsys.readouterr().out


def test_a_name_of_the_catalog_is_refused(catalog: llmsizer.Catalog):
    with pytest.raises(InvalidQuestion, match="in the catalog already"):
        import_source("llama-3.1-8b", catalog)


class Mirror(BaseHTTPRequestHandler):
    """A Hub that holds one model, refuses another and knows no third."""

    files: ClassVar[dict[str, Any]] = {
        "/org/held/resolve/main/config.json": CONFIG,
        "/org/held/resolve/main/model.safetensors.index.json": {
            "metadata": {"total_size": 5},
            "weight_map": {"w": "model-1.safetensors"},
        },
        "/org/single/resolve/main/config.json": CONFIG,
        "/org/modelopt/resolve/main/config.json": CONFIG,
        "/org/modelopt/resolve/main/hf_quant_config.json": {"quantization": {"quant_algo": "FP8"}},
        "/org/empty/resolve/main/README.md": {},
    }

    def do_HEAD(self) -> None:
        self.do_GET(body=False)

    def do_GET(self, body: bool = True) -> None:
        found = self.files.get(self.path)
        status = 200 if found is not None else 401 if "/gated/" in self.path else 404
        content = json.dumps(found).encode() if found is not None else b""
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{zlib.crc32(self.path.encode()):08x}"')
        self.send_header("X-Repo-Commit", "0" * 40)
        known = any(name.startswith("/".join(self.path.split("/")[:3]) + "/") for name in self.files)
        if status == 401:
            self.send_header("X-Error-Code", "GatedRepo")
        elif status == 404:
            self.send_header("X-Error-Code", "EntryNotFound" if known else "RepoNotFound")
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Nothing is logged."""


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    server = ThreadingHTTPServer(("127.0.0.1", 0), Mirror)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("HF_ENDPOINT", address)
    yield address
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_hub_model_is_imported_from_a_mirror(mirror: str, catalog: llmsizer.Catalog):
    for name in ("org/held", "org/single"):
        source = import_source(name, catalog)
        assert source.name == name
        assert source.config["hidden_size"] == 64


def test_the_hub_is_asked_how_weights_are_quantized(mirror: str, catalog: llmsizer.Catalog):
    assert import_source("org/modelopt", catalog).model().native_quantization == "fp8"


@pytest.mark.parametrize(
    ("name", "said"),
    [("org/absent", "no such public model"), ("org/gated", "accepted its terms"), ("org/empty", "no config.json")],
)
def test_what_the_hub_refuses_is_told(name: str, said: str, mirror: str, catalog: llmsizer.Catalog):
    with pytest.raises(UnsupportedCombination, match=said) as caught:
        import_source(name, catalog)
    assert "local config.json" in caught.value.hint


def test_an_unreachable_hub_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, catalog: llmsizer.Catalog):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(UnsupportedCombination, match=r"127\.0\.0\.1:9 cannot be reached"):
        import_source("org/held", catalog)


def test_the_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, catalog: llmsizer.Catalog):
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    with pytest.raises(UnsupportedCombination) as caught:
        import_source("org/held", catalog)
    assert "llmsizer[hub]" in caught.value.hint


@pytest.mark.parametrize("text", ["", "no-slash", "a/b/c", "a/..", "org/na me", "org/\n"])
def test_what_is_no_hub_id_is_refused(text: str):
    with pytest.raises(LlmsizerError):
        hub.downloaded(text)
