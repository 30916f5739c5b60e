"""The configuration of a model on the Hugging Face Hub; its weights are never downloaded."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from llmsizer.catalog.model_files import QUANTIZATION_FILES, ModelSource, config_file, is_quantized, model_source
from llmsizer.core.errors import InvalidQuestion, UnsupportedCombination, shortened

INDEX = "model.safetensors.index.json"
LOCAL = "Without the Hub: name a local config.json, model folder or .gguf file, or a model of `llmsizer models list`."
SECONDS = 10.0
_ID = re.compile(r"[A-Za-z0-9][\w.\-]{0,95}/[A-Za-z0-9][\w.\-]{0,95}")


def downloaded(name: str) -> ModelSource:
    """The config.json (or a file beside it that tells the quantization, and the safetensors index) of
    ``org/name``, from the Hub or its mirror ``HF_ENDPOINT``.

    Raises UnsupportedCombination when the Hub cannot be asked or will not answer, InvalidQuestion for
    a text that is no Hub id.
    """
    if not _ID.fullmatch(name) or ".." in name:
        raise InvalidQuestion(f"'{shortened(name)}' is neither a path (./name) nor a Hub id (org/name)", LOCAL)
    config = _fetched(name, "config.json")
    assert config is not None
    _fetched(name, INDEX, required=False)
    if not is_quantized(config_file(config)[0]):
        for file in QUANTIZATION_FILES:
            _fetched(name, file, required=False)
    source = model_source(config.parent)
    return ModelSource(
        name=name, file=source.file, config=source.config, lines=source.lines, stored=source.stored, notes=source.notes
    )


def _fetched(name: str, file: str, required: bool = True) -> Path | None:
    try:
        from huggingface_hub import hf_hub_download
    except ImportError:
        raise UnsupportedCombination(
            f"'{name}' is not in the catalog, and asking the Hub needs the package huggingface_hub",
            f'Install it with: pip install "llmsizer[hub]". {LOCAL}',
        ) from None
    endpoint = os.environ.get("HF_ENDPOINT") or None
    asked = _answers(endpoint or "https://huggingface.co")
    try:
        return Path(hf_hub_download(name, file, endpoint=endpoint, etag_timeout=SECONDS, local_files_only=not asked))
    except Exception as error:
        from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

        if isinstance(error, EntryNotFoundError) and not isinstance(error, LocalEntryNotFoundError) and not required:
            return None
        raise UnsupportedCombination(f"{name}: {_reason(error, file, endpoint)}", LOCAL) from None


def _answers(address: str) -> bool:
    """Whether a Hub answers at all: the package itself would ask again for half a minute."""
    from huggingface_hub import constants, get_session
    from huggingface_hub.utils.tqdm import disable_progress_bars

    disable_progress_bars()
    try:
        get_session().head(address, timeout=SECONDS)
    except Exception:
        return False
    return not constants.HF_HUB_OFFLINE


def _reason(error: Exception, file: str, endpoint: str | None) -> str:
    from huggingface_hub import errors

    where = endpoint or "the Hugging Face Hub"
    status: Any = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, errors.GatedRepoError):
        return f"{where} shows it only to those who accepted its terms; log in with `hf auth login` or set HF_TOKEN"
    if isinstance(error, errors.RepositoryNotFoundError) or status in {401, 403}:
        return f"{where} has no such public model (a private one needs HF_TOKEN)"
    if isinstance(error, errors.LocalEntryNotFoundError) or status is None:
        return f"{where} cannot be reached"
    if isinstance(error, errors.EntryNotFoundError) or status == 404:
        return f"{where} holds no {file} for it"
    return f"{where} answered with status {status}"
