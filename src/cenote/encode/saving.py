"""Saving: an encoder as a folder that sentence-transformers opens, and `Encoder` again, with the same vectors.

    model -> (modules on tokens) -> Pooling | Pool -> heads -> { Dense, an affine map } -> Normalize

What sentence-transformers has a class for is written as that, by itself; any other pooler as
`cenote.encode.modules.Pool`, which it opens where cenote is installed and `trust_remote_code=True` is said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import torch

from cenote import registry
from cenote.arrays import Float32
from cenote.encode.card import card
from cenote.encode.packaged import PACKAGED
from cenote.encode.plain import quiet
from cenote.encode.poolings import mode_of
from cenote.encode.routes import ROLES, Role, route_of
from cenote.encode.static import StaticTable
from cenote.encode.whole import whole
from cenote.pool.base import Pooler

if TYPE_CHECKING:
    from cenote.encode.encoder import Encoder

Affine: TypeAlias = tuple[Float32, Float32]
"""y = W x + b of vectors: W (d', d) and b (d')."""


def save(
    encoder: Encoder,
    folder: str | Path,
    pooler: Pooler | None = None,
    *,
    maps: Sequence[Affine] = (),
    told: Mapping[str, str] | None = None,
    replace: bool = False,
) -> None:
    """Write a folder whole, or not at all; what was there before stays until then.

    pooler: None for the model's own. maps: of the vectors, in their order; those of a cosine model get length 1 before
    and behind each, as in a recipe. told: rows of the model card, by name. replace: write over a folder that is there.

    Raises ValueError for a folder that is there, a model that brings code of its own, and a pooling that cannot stand
    behind the model.
    """
    source = encoder.parts.folder
    if encoder.name not in PACKAGED and any(source.rglob("*.py")):
        raise ValueError(f"{source} holds code of its own, which is not copied; it cannot be saved")
    with whole(folder, replace=replace) as half, quiet():
        modules = _modules(encoder, pooler, maps)
        from sentence_transformers import SentenceTransformer

        prompts: dict[str, str] = {**encoder.prompts, **{role: encoder.prompt(role) for role in ROLES}}
        made = SentenceTransformer(
            modules=modules,
            device="cpu",
            prompts=prompts if any(prompts.values()) else None,
            default_prompt_name=encoder.prompt_name or encoder.parts.prompt_name,
            similarity_fn_name=encoder.similarity,
        )
        made.save_pretrained(str(half), create_model_card=False)
        (half / "README.md").write_text(card(encoder, half, told or {}), encoding="utf-8")


def _modules(encoder: Encoder, pooler: Pooler | None, maps: Sequence[Affine]) -> list[Any]:
    from sentence_transformers.sentence_transformer.modules import Normalize

    modules, cosine = _opened(encoder), encoder.similarity == "cosine"
    if pooler is None:
        normalise = isinstance(modules[-1], Normalize)
        modules = modules[:-1] if normalise else modules
    else:
        modules, normalise = _pooled(encoder, modules, pooler), cosine
    if encoder.truncate_dim is not None:
        width = encoder.width(pooler)
        full = encoder.parts.dim if pooler is None else pooler.out_dim(encoder.token_dim)
        modules.append(_dense(torch.eye(width, full), torch.zeros(width)))
        normalise = cosine
    for weight, bias in maps:
        # as a recipe does: the vectors of cosine models have length 1 before every map, and behind it
        modules += [Normalize()] if cosine else []
        modules.append(_dense(torch.from_numpy(weight), torch.from_numpy(bias)))
        normalise = cosine
    return [*modules, Normalize()] if normalise else modules


def _opened(encoder: Encoder) -> list[Any]:
    """Open the modules of the source folder in sentence-transformers, told the encoder's window."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    parts, packaged = encoder.parts, PACKAGED.get(encoder.name)
    if packaged is not None and packaged.tokenizer is not None:
        from tokenizers import Tokenizer

        assert isinstance(parts.model, StaticTable)
        tokenizer = Tokenizer.from_file(str(parts.folder / packaged.tokenizer))
        modules = [StaticEmbedding(tokenizer, embedding_weights=parts.model.table.cpu())]
    else:
        modules = list(SentenceTransformer(str(parts.folder), device="cpu", local_files_only=True))
    for role in ROLES:
        by, first = encoder.of(role), _route(modules, role)[0]
        if by.max_length != by.parts.window:
            if isinstance(first, StaticEmbedding):
                first.tokenizer.enable_truncation(by.max_length)
            elif hasattr(first, "max_seq_length"):
                first.max_seq_length = by.max_length
            else:
                raise ValueError(f"{encoder.name} counts all words of a text; max_length cannot be saved with it")
    return modules


def _route(modules: Sequence[Any], role: Role) -> list[Any]:
    """Return the modules that texts of a role go through."""
    from sentence_transformers.base.modules import Router

    found: list[Any] = []
    for one in modules:
        if isinstance(one, Router):
            found += one.sub_modules[route_of(list(one.sub_modules), one.route_mappings, one.default_route, role)]
        else:
            found.append(one)
    return found


def _pooled(encoder: Encoder, modules: Sequence[Any], pooler: Pooler) -> list[Any]:
    """Return the modules before the pooling, and another pooling: behind a router where roles have other modules."""
    from sentence_transformers.base.modules import Router
    from sentence_transformers.sentence_transformer.modules import Pooling

    from cenote.encode.modules import Pool

    before: dict[Role, list[Any]] = {}
    for role in ROLES:
        through = _route(modules, role)
        pools = next((n for n, one in enumerate(through) if isinstance(one, Pooling | Pool)), None)
        if pools is None:
            raise ValueError(
                f"{encoder.name} pools in the module that reads its table; another pooling cannot be saved"
            )
        before[role] = through[:pools]
        if pooler.reads_layers:
            through[0].model.config.output_hidden_states = True
    made = {role: [*before[role], _pooling(encoder.of(role), pooler)] for role in ROLES}
    if before["query"] == before["document"] and len({encoder.of(role).parts.include_prompt for role in ROLES}) == 1:
        return made["document"]
    return [Router.for_query_document(made["query"], made["document"])]


def _pooling(encoder: Encoder, pooler: Pooler) -> Any:
    """Return the module of a pooler: sentence-transformers' own where it has one."""
    from sentence_transformers.sentence_transformer.modules import Pooling

    from cenote.encode.modules import Pool

    mode = mode_of(pooler)
    if mode is not None:
        return Pooling(encoder.token_dim, mode, include_prompt=encoder.parts.include_prompt)
    config = registry.config(pooler)
    made = Pool(config.pop("word"), include_prompt=encoder.parts.include_prompt, **config)
    made.pooler.load_state_dict(pooler.state_dict())
    return made


def _dense(weight: torch.Tensor, bias: torch.Tensor) -> Any:
    from sentence_transformers.base.modules import Dense

    made = Dense(weight.shape[1], weight.shape[0], activation_function=torch.nn.Identity())
    made.linear.load_state_dict({"weight": weight.float(), "bias": bias.float()})
    return made
