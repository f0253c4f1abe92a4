"""Modules that let sentence-transformers run, save, open and train what this library adds.

    SentenceTransformer(modules=[Transformer("..."), Pool("simpool", dim=384)])

A folder saved so names `cenote.encode.modules.Pool`; sentence-transformers opens it where cenote is installed and
`trust_remote_code=True` is said, `cenote.Encoder` opens it as it is.
"""

from __future__ import annotations

from typing import Any, Self

import torch
from sentence_transformers.base.modules.module import Module
from torch import Tensor

from cenote import registry
from cenote.pool.base import Pooler


class Pool(Module):  # type: ignore[misc]  # sentence-transformers ships no types
    """A pooler of this library, or an adapter of poolers, by its word, in the place of sentence-transformers' Pooling.

    include_prompt: whether the tokens of a prompt are pooled too. What else is given goes to the pooler.
    """

    def __init__(self, word: str, *, include_prompt: bool = True, **arguments: Any) -> None:
        """Make the pooler.

        Raises UnknownWord for a word that is no pooler, ValueError for a pooler that needs more than states; what
        the pooler's constructor raises passes through.
        """
        super().__init__()
        self.pooler = pooler_of(word, arguments)
        self.include_prompt = include_prompt
        self._tokens: int | None = getattr(self.pooler, "dim", None)

    def forward(self, features: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """Set features["sentence_embedding"] (B, D) from token_embeddings (B, N, D) and attention_mask (B, N).

        A pooler of several layers takes all_layer_embeddings; flat states with cu_seq_lens_q are pooled as they are.

        Raises ValueError where the model did not hand out all its layers and the pooler reads them.
        """
        x, before = self._states(features), self._prompt(features)
        if (bounds := features.get("cu_seq_lens_q")) is not None:
            x, bounds = x.squeeze(0), bounds.long()
            places = torch.arange(x.shape[-2], device=x.device) - bounds[:-1].repeat_interleave(bounds.diff())
            pooled = self.pooler.forward_packed(x[..., places >= before, :], _without(bounds, before))
        else:
            mask = features.get("attention_mask")
            if mask is None:
                mask = x.new_ones(x.shape[0], x.shape[-2], dtype=torch.int64)
            pooled = self.pooler(x, mask.bool() & (mask.cumsum(1) > before))
        features["sentence_embedding"] = pooled
        return features

    def _states(self, features: dict[str, Any]) -> Tensor:
        if not self.pooler.reads_layers:
            found: Tensor = features["token_embeddings"]
            return found
        layers = features.get("all_layer_embeddings")
        if layers is None:
            reads = f"{type(self.pooler).__name__} reads several layers"
            hint = 'make the Transformer with config_kwargs={"output_hidden_states": True}'
            raise ValueError(f"{reads} and the model gave only its last; {hint}")
        numbers = range(1, len(layers)) if self.pooler.reads == "all" else self.pooler.reads
        return torch.stack([layers[int(number)] for number in numbers], dim=1)

    def _prompt(self, features: dict[str, Any]) -> int:
        length = features.get("prompt_length", 0)
        if self.include_prompt:
            return 0
        # a tensor while training, where it went through the collator: the same number for every row
        return int(length.flatten()[0]) if isinstance(length, Tensor) else int(length)

    def on_model_ready(self, model: Any) -> None:
        """Read the width of the tokens from the module in front, where the pooler was not told."""
        for module in model:
            if module is self:
                break
            if self._tokens is None and hasattr(module, "get_embedding_dimension"):
                self._tokens = module.get_embedding_dimension()

    def get_embedding_dimension(self) -> int | None:
        """Return the width of the pooled vectors, None outside a model that says how wide its tokens are."""
        return None if self._tokens is None else self.pooler.out_dim(self._tokens)

    def get_config_dict(self) -> dict[str, Any]:
        """Return the word, the pooler's arguments and include_prompt: what the constructor takes."""
        return {**registry.config(self.pooler), "include_prompt": self.include_prompt}

    def save(self, output_path: str, *args: Any, safe_serialization: bool = True, **kwargs: Any) -> None:
        """Write config.json and model.safetensors into the folder.

        Raises ValueError for safe_serialization=False: the other format runs code when it is opened.
        """
        if not safe_serialization:
            raise ValueError("Pool is saved as safetensors only; leave safe_serialization as it is")
        self.save_config(output_path)
        self.save_torch_weights(output_path)

    @classmethod
    def load(cls, model_name_or_path: str, subfolder: str = "", **kwargs: Any) -> Self:
        """Open what `save` wrote.

        Raises ValueError where the weights are not in model.safetensors, RuntimeError where they are another pooler's.
        """
        source = {name: kwargs.get(name) for name in ("token", "cache_folder", "revision")}
        source["local_files_only"] = kwargs.get("local_files_only", False)
        if cls.load_file_path(model_name_or_path, "model.safetensors", subfolder, **source) is None:
            raise ValueError(f"{model_name_or_path} holds no model.safetensors in {subfolder}; save the model again")
        made = cls(**cls.load_config(model_name_or_path, subfolder, **source))
        opened: Self = cls.load_torch_weights(model_name_or_path, subfolder, **source, model=made)
        return opened


def pooler_of(word: str, arguments: dict[str, Any]) -> Pooler:
    """Make a pooler, or an adapter of poolers, that states alone are enough for.

    Raises UnknownWord for a word that is neither, ValueError for one that needs side inputs or reads feature maps.
    """
    pooler = registry.make(word, ("pool", "adapter"), **arguments)
    if not isinstance(pooler, Pooler):
        raise ValueError(f"`{word}` reads feature maps or frames, and a model hands out states; call it yourself")
    if pooler.side:
        needs = " and ".join(sorted(pooler.side))
        raise ValueError(f"`{word}` needs {needs} beside the states, which a model does not hand out; call it yourself")
    return pooler


def _without(bounds: Tensor, before: int) -> Tensor:
    """Return the offsets of rows that lost their first `before` tokens."""
    left = (bounds.diff() - before).clamp(min=0)
    return torch.cat([left.new_zeros(1), left.cumsum(0)])
