"""Where a model's files are: a packaged word, a folder, or an id of the hub."""

from __future__ import annotations

from pathlib import Path

import torch

from cenote import registry
from cenote.encode.folder import Parts, read
from cenote.encode.packaged import PACKAGED, begun_digest
from cenote.encode.tokens import Tokenizer
from cenote.errors import UnknownWord

_FILES = ["*.json", "*.txt", "*.safetensors", "*.model", "*.py"]


def load(
    model: str,
    device: torch.device,
    dtype: torch.dtype,
    *,
    revision: str | None = None,
    local_files_only: bool = False,
    trust_remote_code: bool = False,
) -> Parts:
    """Read the model that a word, a folder or a hub id names.

    Raises ValueError for what is none of the three, or cannot be fetched.
    """
    if model in PACKAGED:
        return _packaged(model, device, dtype)
    if Path(model).is_dir():
        return read(Path(model), device, dtype, trust_remote_code=trust_remote_code)
    return read(_fetch(model, revision, local_files_only), device, dtype, trust_remote_code=trust_remote_code)


def _packaged(word: str, device: torch.device, dtype: torch.dtype) -> Parts:
    packaged = PACKAGED[word]
    folder = packaged.find()
    weights = folder / packaged.weights
    begun = begun_digest(weights)
    if packaged.tokenizer is None:
        try:
            return read(folder, device, dtype)
        finally:
            # whatever reading them gave, weights that are not the published ones are what has to be said
            packaged.check(begun.result())
    packaged.check(begun.result())
    from cenote.encode.static import StaticTable

    tokenizer = Tokenizer.from_file(folder / packaged.tokenizer, specials=False)
    return Parts(folder, tokenizer, StaticTable(weights, device), begun.result())


def _fetch(model: str, revision: str | None, local_files_only: bool) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(
            snapshot_download(
                model, revision=revision, local_files_only=local_files_only, allow_patterns=_FILES, tqdm_class=None
            )
        )
    except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        known = [row.word for row in registry.rows("encoder") if row.word in PACKAGED]
        close = registry.nearest(model, known)
        hint = f"did you mean `{close}`?" if close else f"packaged models are {', '.join(known)}"
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        tried = f"`{model}` is no word, no folder and no model that can be fetched ({reason})"
        raise UnknownWord(f"{tried}; {hint}") from None
