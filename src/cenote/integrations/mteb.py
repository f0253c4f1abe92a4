"""MTEB: any recipe as a model of the benchmark, its compression measured with it.

    results = mteb.evaluate(CenoteModel("passages 256 | minilm | pca 192 | float8 | flat"), tasks)

Retrieval is measured on a collection: indexed as `cenote index` does and searched as `cenote search` does, so that
passages, codes, reranking and fusion count. All other tasks get vectors, each decoded from the code it would be stored
as. What a vector takes stands in the model's `experiment_kwargs`, and so in MTEB's own files beside the scores.

Muennighoff et al., "MTEB: Massive Text Embedding Benchmark" (2210.07316).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cenote.arrays import Float32
from cenote.collection import Collection, create
from cenote.compress.base import Role
from cenote.recipe import Chain
from cenote.recipe.dense import DenseLeg

try:
    from mteb.models.model_meta import ModelMeta, ScoringFunction
    from mteb.similarity_functions import cos_sim, dot_score, pairwise_cos_sim, pairwise_dot_score
    from mteb.types import PromptType
except ImportError as error:
    reason = f"MTEB is not installed ({error})"
    raise ImportError(f'{reason}; install it with: pip install "cenote[mteb]"') from error


class CenoteModel:
    """A recipe as MTEB takes models: an encoder, and a search of its own.

    texts: what stages that learn are fitted on for tasks without a corpus; a corpus fits them itself. Raises
    RecipeError for a recipe that cannot be built.
    """

    def __init__(self, recipe: str, *, texts: Sequence[str] = (), device: str | None = None) -> None:
        self._chain, self._device = Chain(recipe, device=device), device
        self.recipe = str(self._chain.recipe)
        if texts and self._chain.needs_fit:
            self._chain.fit(list(texts))
        self._collection: Collection | None = None
        self._folder: TemporaryDirectory[str] | None = None
        self.mteb_model_meta = ModelMeta.create_empty(overwrites=self._told())

    def _told(self) -> dict[str, Any]:
        legs = [leg for leg in self._chain.legs.values() if isinstance(leg, DenseLeg)]
        first = legs[0] if legs else None
        told: dict[str, Any] = {"recipe": self.recipe}
        if first is not None:
            told["bytes_per_vector"] = sum(leg.expected_bytes(1, 0) for leg in legs)
            told["first_pass_bytes_per_vector"] = sum(leg.codec.nbytes(1, leg.dim) for leg in legs)
        weights = [one["sha256"][:12] for one in self._chain.described_encoders() if one["sha256"]]
        return {
            # the folder of MTEB's results: a word a stage
            "name": f"cenote/{re.sub(r'[^A-Za-z0-9.=]+', '-', self.recipe).strip('-')}",
            "revision": "-".join(weights) or "no_weights",
            "embed_dim": None if first is None else first.dim,
            "max_tokens": None if first is None else first.encoder.max_length,
            "similarity_fn_name": None if first is None else _SCORING[first.encoder.similarity],
            "framework": ["PyTorch"],
            "experiment_kwargs": told,
        }

    # -- vectors

    def encode(self, inputs: Iterable[Any], *, prompt_type: PromptType | None = None, **kwargs: Any) -> Float32:
        """Encode batches of {"text": texts}: float32 (n, dim), each decoded from its code.

        Raises RecipeError for a recipe without a model, ValueError where a stage learns and had no texts.
        """
        if not self._chain.fitted:
            reason = f'a stage of "{self.recipe}" learns, and this task has no corpus'
            raise ValueError(f"{reason}; pass texts= to learn from")
        texts = [text for batch in inputs for text in batch["text"]]
        role: Role = "query" if prompt_type == PromptType.query else "document"
        leg = self._chain.leg
        vectors = leg.vectors(texts, role)
        return leg.codec.decode(leg.codec.encode(vectors), leg.dim)

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Any:
        """Compare every vector of one side with every vector of the other."""
        return (cos_sim if self._cosine else dot_score)(embeddings1, embeddings2)

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Any:
        """Compare vectors row by row."""
        return (pairwise_cos_sim if self._cosine else pairwise_dot_score)(embeddings1, embeddings2)

    @property
    def _cosine(self) -> bool:
        return self._chain.encoder.similarity == "cosine"

    # -- retrieval

    def index(self, corpus: Iterable[dict[str, Any]], **kwargs: Any) -> None:
        """Make a collection of a corpus, in a folder that is gone with the next one; a title stands before its text."""
        self._forget()
        self._folder = TemporaryDirectory(prefix="cenote-mteb-")
        rows = ({"id": str(row["id"]), "text": _text(row)} for row in corpus)
        self._collection = create(Path(self._folder.name) / "corpus.cenote", rows, self.recipe, device=self._device)

    def search(
        self,
        queries: Iterable[dict[str, Any]],
        *,
        top_k: int,
        top_ranked: dict[str, list[str]] | None = None,
        **kwargs: Any,
    ) -> dict[str, dict[str, float]]:
        """Return {question: {document: score}} of the top_k nearest documents, or of those that are to be ranked.

        Raises ValueError before `index`, and for questions that are conversations.
        """
        if self._collection is None:
            raise ValueError("nothing is indexed yet; MTEB calls index before search")
        asked = {str(row["id"]): _question(row) for row in queries}
        if top_ranked is None:
            found = self._collection.rank(list(asked.values()), top_k)
            return {id: dict(row) for id, row in zip(asked, found, strict=True)}
        return {id: self._ranked(text, top_ranked[id]) for id, text in asked.items()}

    def _ranked(self, text: str, ids: Sequence[str]) -> dict[str, float]:
        assert self._collection is not None
        listed = ", ".join("'" + id.replace("'", "''") + "'" for id in map(str, ids))
        hits = self._collection.search(text, len(ids), where=f"id IN ({listed})")[0]
        return {hit.id: hit.score for hit in hits}

    def _forget(self) -> None:
        if self._collection is not None and self._folder is not None:
            self._collection.close()
            self._folder.cleanup()
            self._collection = self._folder = None


_SCORING = {"cosine": ScoringFunction.COSINE, "dot": ScoringFunction.DOT_PRODUCT}


def _text(row: dict[str, Any]) -> str:
    """As MTEB's own encoders read a document."""
    return f"{row.get('title') or ''} {row['text']}".strip()


def _question(row: dict[str, Any]) -> str:
    """As MTEB's own encoders read a question: with its instruction behind it."""
    if not isinstance(row["text"], str):
        raise ValueError(f"question {row['id']!r} is a conversation; recipes search for texts")
    instruction = row.get("instruction")
    return row["text"] if instruction is None else f"{row['text']} {instruction}"
