"""The first module of a model folder: its tokenizer, and what makes states of the tokens."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from cenote.encode.layout import Named, read_json
from cenote.encode.model import Model
from cenote.encode.packaged import digest
from cenote.encode.tokens import Tokenizer

if TYPE_CHECKING:
    from cenote.encode.words import Words

_UNBOUNDED = 10**9
"""Tokenizers without a limit write one far beyond this."""
_WORD_TOKENIZER, _WRAPPED = "WhitespaceTokenizer", "TransformersTokenizerWrapper"


@dataclass(frozen=True)
class Front:
    """window: tokens read at most, None for all. pooling: the word of the pooling that belongs to it, if one does."""

    tokenizer: Tokenizer | Words
    model: Model
    sha256: str
    window: int | None = None
    pooling: str | None = None


def front_of(folder: Path, first: Named, device: torch.device, dtype: torch.dtype, trust_remote_code: bool) -> Front:
    """Open the first module of a folder.

    Raises ValueError for a kind that is not on the list, and for what is missing or in another format.
    """
    place = first.place or folder
    if first.kind == "Transformer":
        return _transformer(folder, place, device, dtype, trust_remote_code)
    if first.kind == "StaticEmbedding":
        return static(folder, place / "model.safetensors", place / "tokenizer.json", device)
    if first.kind == "WordEmbeddings":
        return _word_embeddings(folder, place, first.settings, device)
    if first.kind == "BoW":
        return _bag_of_words(place, first.settings, device)
    if first.kind == "CLIPModel":
        raise ValueError(f"{folder} is a CLIPModel, which reads images too; only models of texts are opened")
    raise unknown(folder, first.kind)


def unknown(folder: Path, kind: str) -> ValueError:
    """Return the error for a module that is not on the list."""
    from cenote.encode.folder import FRONTS, HEADS, ON_TOKENS, OWN

    known = ", ".join(dict.fromkeys((*FRONTS, "Pooling", OWN, *ON_TOKENS, *HEADS)))
    return ValueError(f"{folder} has a module {kind} where one of {known} is expected; it cannot be loaded")


def weights_digest(folder: Path) -> str:
    """Return the sha256 of a folder's safetensors file; of the digests in the order of the names where there are more.

    Raises ValueError where there is none.
    """
    found = sorted(folder.rglob("*.safetensors"))
    if not found:
        raise ValueError(f"{folder} holds no .safetensors weights; save the model in that format first")
    digests = [digest(path) for path in found]
    return digests[0] if len(digests) == 1 else sha256("".join(digests).encode()).hexdigest()


def _transformer(folder: Path, place: Path, device: torch.device, dtype: torch.dtype, trust_remote_code: bool) -> Front:
    from cenote.encode.families import packed

    config, told = read_json(place / "config.json", None), read_json(place / "sentence_bert_config.json", {})
    if config is None:
        raise ValueError(f"{folder} is no model folder: it has no config.json")
    _check_texts(folder, told)
    opened = packed(place, config, trust_remote_code=trust_remote_code)
    if opened is not None:
        model: Model = opened(place, device, dtype)
    else:
        from cenote.encode.plain import PlainTransformer

        model = PlainTransformer(place, device, dtype, trust_remote_code)
    limits = [
        told.get("max_seq_length"),
        read_json(place / "tokenizer_config.json", {}).get("model_max_length"),
        config.get("max_position_embeddings"),
    ]
    if limits[0] is not None:
        limits = limits[:1]
    window = min((int(limit) for limit in limits if limit is not None and limit < _UNBOUNDED), default=None)
    return Front(_tokenizer(place, trust_remote_code), model, weights_digest(folder), window)


def _check_texts(folder: Path, told: dict[str, Any]) -> None:
    """Raise ValueError for a Transformer that gives other than the states of the tokens of texts."""
    task, gives = told.get("transformer_task", "feature-extraction"), told.get("module_output_name")
    if task == "fill-mask":
        raise ValueError(f"{folder} predicts words (fill-mask), as sparse models do; such models are not opened")
    if task != "feature-extraction" or gives not in (None, "token_embeddings"):
        raise ValueError(f"{folder} is a Transformer for {task} that gives {gives}; only states of tokens are pooled")
    others = [kind for kind in told.get("modality_config") or {} if kind not in ("text", "message")]
    if others:
        raise ValueError(f"{folder} reads {', '.join(others)} too; only models of texts are opened")


def _tokenizer(place: Path, trust_remote_code: bool) -> Tokenizer:
    if (place / "tokenizer.json").is_file():
        return Tokenizer.from_file(place / "tokenizer.json")
    from transformers import AutoTokenizer

    slow = AutoTokenizer.from_pretrained(str(place), local_files_only=True, trust_remote_code=trust_remote_code)
    fast = getattr(slow, "backend_tokenizer", None)
    if fast is None:
        raise ValueError(f"{place} has no fast tokenizer (tokenizer.json), which character spans need")
    return Tokenizer(fast)


def static(folder: Path, weights: Path, tokenizer: Path, device: torch.device) -> Front:
    """Open a table of token vectors with its tokenizer, which adds no special tokens."""
    from cenote.encode.static import StaticTable

    window = (read_json(tokenizer, {}).get("truncation") or {}).get("max_length")
    found = Tokenizer.from_file(tokenizer, specials=False)
    return Front(found, StaticTable(weights, device), weights_digest(folder), window, "mean")


def _word_embeddings(folder: Path, place: Path, settings: dict[str, Any], device: torch.device) -> Front:
    from cenote.encode.static import StaticTable

    weights = place / "model.safetensors"
    if not weights.is_file():
        raise ValueError(f"{place} holds no model.safetensors; save the model in that format first")
    kind = str(settings.get("tokenizer_class", "")).rsplit(".", 1)[-1]
    if kind == _WORD_TOKENIZER:
        from sentence_transformers.sentence_transformer.modules.tokenizer import WhitespaceTokenizer

        from cenote.encode.words import Words

        tokenizer: Tokenizer | Words = Words(WhitespaceTokenizer.load(str(place)))
    elif kind == _WRAPPED:
        tokenizer = _tokenizer(place, trust_remote_code=False)
    else:
        known = f"{_WORD_TOKENIZER} and {_WRAPPED}"
        raise ValueError(f"{place} cuts words by {kind}, which does not say where they stand; known are {known}")
    window = settings.get("max_seq_length")
    return Front(tokenizer, StaticTable(weights, device), weights_digest(folder), window)


def _bag_of_words(place: Path, settings: dict[str, Any], device: torch.device) -> Front:
    from sentence_transformers.sentence_transformer.modules import BoW

    from cenote.encode.word_counts import WordCounts
    from cenote.encode.words import Words

    bag = BoW(**{key: value for key, value in settings.items() if key in BoW.config_keys})
    words = Words(bag.tokenizer, distinct=not bag.cumulative_term_frequency)
    return Front(words, WordCounts(bag.weights, device), digest(place / "config.json"), pooling="sum")
