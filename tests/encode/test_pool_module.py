"""Pool puts a pooler of this library into sentence-transformers, which runs, saves, opens and trains it."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense, Normalize, Transformer
from sentence_transformers.sentence_transformer.modules import Pooling
from tiny_models import TEXTS, WINDOW, save_transformer

from cenote import registry
from cenote.encode import Encoder
from cenote.encode.modules import Pool
from cenote.errors import UnknownWord
from cenote.pool.attsets import AttSets
from cenote.pool.base import Pooler

MODES = {
    "cls": "cls",
    "last": "lasttoken",
    "max": "max",
    "mean": "mean",
    "sqrt": "mean_sqrt_len_tokens",
    "weighted": "weightedmean",
}
DIM = 32
NEEDED = {"dim": DIM, "layers": 4, "groups": 4}
"""Constructor arguments without a default that are not any small number."""
WORDS = [row.word for row in registry.rows("pool") if row.built and row.gives == "dense" and not row.side]


def arguments(word: str) -> dict[str, Any]:
    """What a pooler must be told."""
    known = registry.parameters(registry.find(word, ("pool",)).load())
    return {p.name: NEEDED.get(p.name, 5) for p in known if p.default is p.empty}


@pytest.fixture(scope="module")
def transformer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_transformer(tmp_path_factory.mktemp("transformer"))


def model(transformer: Path, pool: Any, heads: Sequence[Any] = (), **options: Any) -> SentenceTransformer:
    first = Transformer(str(transformer), max_seq_length=WINDOW, **options)
    return SentenceTransformer(modules=[first, pool, *heads], device="cpu", prompts={"query": "quick box: "})


def stirred(word: str, **given: Any) -> Pool:
    """The module with weights that no constructor makes."""
    torch.manual_seed(1)
    pool = Pool(word, **given)
    for weight in pool.parameters():
        torch.nn.init.normal_(weight)
    return pool


def features(rows: int = 4, tokens: int = 9) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(4, tokens + 1, (rows, 1), generator=generator)
    return {
        "token_embeddings": torch.randn(rows, tokens, DIM, generator=generator),
        "attention_mask": (torch.arange(tokens) < lengths).long(),
    }


@pytest.mark.parametrize(("word", "mode"), MODES.items())
@pytest.mark.parametrize("include_prompt", [True, False])
def test_it_pools_as_the_module_of_sentence_transformers_does(
    word: str, mode: str, include_prompt: bool, transformer: Path
) -> None:
    own = model(transformer, Pool(word, include_prompt=include_prompt))
    peer = model(transformer, Pooling(DIM, mode, include_prompt=include_prompt))  # type: ignore[arg-type]
    for prompt in (None, "query"):
        if mode == "weightedmean" and prompt and not include_prompt:
            continue  # there the peer counts places from before the prompt, we from behind it
        found, expected = (each.encode(TEXTS, prompt_name=prompt) for each in (own, peer))
        np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_prompt_is_left_out_wherever_the_padding_stands(side: str) -> None:
    given = features()
    if side == "left":
        given = {name: value.flip(1) for name, value in given.items()}
    pooled = Pool("mean", include_prompt=False)({**given, "prompt_length": torch.tensor([3])})["sentence_embedding"]
    for x, mask, row in zip(given["token_embeddings"], given["attention_mask"], pooled, strict=True):
        torch.testing.assert_close(row, x[mask.bool()][3:].mean(0))


@pytest.mark.parametrize("word", ["mean", "max", "attsets"])
@pytest.mark.parametrize("include_prompt", [True, False])
def test_flat_states_are_pooled_as_padded_ones(word: str, include_prompt: bool) -> None:
    given = features() | {"prompt_length": 2}
    pool = stirred(word, include_prompt=include_prompt, **({"dim": DIM} if word == "attsets" else {}))
    padded = pool(given)["sentence_embedding"]
    mask = given["attention_mask"].bool()
    ends = torch.nn.functional.pad(mask.sum(1).cumsum(0), (1, 0)).int()
    flat = {"token_embeddings": given["token_embeddings"][mask][None], "cu_seq_lens_q": ends, "prompt_length": 2}
    torch.testing.assert_close(pool(flat)["sentence_embedding"], padded)


def test_without_a_mask_every_token_counts() -> None:
    x = features()["token_embeddings"]
    torch.testing.assert_close(Pool("mean")({"token_embeddings": x})["sentence_embedding"], x.mean(1))


@pytest.mark.parametrize("word", WORDS)
def test_every_pooler_of_states_runs_and_is_the_same_when_it_is_opened_again(word: str, tmp_path: Path) -> None:
    given = features()
    generator = torch.Generator().manual_seed(1)
    given["all_layer_embeddings"] = torch.rand(5, *given["token_embeddings"].shape, generator=generator).unbind(0)
    pool = stirred(word, **arguments(word)).eval()
    pool.save(str(tmp_path))
    again = Pool.load(str(tmp_path)).eval()
    expected = pool(dict(given))["sentence_embedding"]
    assert expected.shape == (4, pool.pooler.out_dim(DIM))
    assert torch.equal(again(dict(given))["sentence_embedding"], expected)
    own, mask = pool.pooler, given["attention_mask"]
    x = torch.stack(given["all_layer_embeddings"][1:], 1) if own.reads == "all" else given["token_embeddings"]
    assert torch.equal(own(x, mask), expected)


ADAPTERS: dict[str, dict[str, Any]] = {
    "concat": {"poolers": ["mean", {"word": "gem", "p": 2.0}]},
    "mix": {"poolers": ["mean", {"word": "attsets", "dim": DIM}]},
    "chain": {"poolers": [{"word": "kmax", "k": 2}, "mean"]},
    "over_layers": {"pooler": "max", "inner": {"word": "concat", "poolers": ["cls", "mean"]}, "last": 2},
}


@pytest.mark.parametrize("word", ADAPTERS)
def test_poolers_made_of_poolers_are_the_same_when_they_are_opened_again(word: str, tmp_path: Path) -> None:
    given = features()
    given["all_layer_embeddings"] = (given["token_embeddings"], *torch.rand(2, *given["token_embeddings"].shape))
    pool = stirred(word, **ADAPTERS[word])
    pool.save(str(tmp_path))
    again = Pool.load(str(tmp_path))
    expected = pool(dict(given))["sentence_embedding"]
    assert expected.shape == (4, pool.pooler.out_dim(DIM))
    assert again.get_config_dict() == pool.get_config_dict()
    assert torch.equal(again(dict(given))["sentence_embedding"], expected)


@pytest.mark.parametrize("word", ["over_space", "over_time"])
def test_poolers_of_maps_and_frames_are_refused(word: str) -> None:
    with pytest.raises(ValueError, match=f"`{word}` reads feature maps or frames"):
        Pool(word, pooler="mean")


class Layers(Pooler):
    """The mean of some layers' means."""

    reads = (0, 2)

    def padded(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return torch.stack([registry.make("mean")(layer, mask) for layer in x.unbind(1)]).mean(0)

    def packed(self, x: torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
        return torch.stack([registry.make("mean").packed(layer, offsets) for layer in x]).mean(0)


def test_a_pooler_of_several_layers_gets_them(transformer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = Pool("mean")
    monkeypatch.setattr(pool, "pooler", Layers())
    every = model(transformer, pool, config_kwargs={"output_hidden_states": True})
    seen = every[0](every.preprocess(TEXTS[:2]))
    layers, mask = seen["all_layer_embeddings"], seen["attention_mask"]
    expected = torch.stack([registry.make("mean")(layers[i], mask) for i in (0, 2)]).mean(0)
    np.testing.assert_allclose(every.encode(TEXTS[:2]), expected.detach().numpy(), atol=1e-6)
    del seen["all_layer_embeddings"]
    with pytest.raises(ValueError, match="Layers reads several layers and the model gave only its last"):
        pool(seen)


@pytest.mark.parametrize(("word", "given"), [("mean", {}), ("weighted", {}), ("attsets", {"dim": DIM, "bias": True})])
def test_a_saved_model_is_opened_by_both_and_gives_the_same_vectors(
    word: str, given: dict[str, Any], transformer: Path, tmp_path: Path
) -> None:
    torch.manual_seed(2)
    made = model(transformer, stirred(word, include_prompt=False, **given), [Dense(DIM, 12), Normalize()])
    made.save(str(tmp_path))
    assert json.loads((tmp_path / "modules.json").read_text())[1]["type"] == "cenote.encode.modules.Pool"
    peer = SentenceTransformer(str(tmp_path), device="cpu", trust_remote_code=True)
    encoder = Encoder(str(tmp_path), dtype="fp32", device="cpu")
    assert encoder.dim == peer.get_embedding_dimension() == 12
    for prompt, encode in ((None, encoder.encode_document), ("query", encoder.encode_query)):
        expected = made.encode(TEXTS, prompt_name=prompt)
        np.testing.assert_allclose(peer.encode(TEXTS, prompt_name=prompt), expected, atol=1e-6)
        np.testing.assert_allclose(encode(TEXTS), expected, atol=1e-5)


def test_what_is_saved_are_the_arguments_and_the_weights(tmp_path: Path) -> None:
    pool = stirred("attsets", dim=DIM, bias=True)
    pool.save(str(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "model.safetensors"]
    settings = json.loads((tmp_path / "config.json").read_text())
    assert settings == {"word": "attsets", "dim": DIM, "bias": True, "empty": "zero", "include_prompt": True}
    again = Pool.load(str(tmp_path))
    assert isinstance(again.pooler, AttSets)
    assert all(torch.equal(again.state_dict()[name], value) for name, value in pool.state_dict().items())


def test_sentence_transformers_opens_it_only_where_that_is_trusted(transformer: Path, tmp_path: Path) -> None:
    model(transformer, Pool("mean")).save(str(tmp_path))
    with pytest.raises(ValueError, match="trust_remote_code"):
        SentenceTransformer(str(tmp_path), device="cpu")


@pytest.mark.parametrize("pool", [Pool("mean"), Pool("attsets", dim=DIM)])
def test_the_width_is_known(pool: Pool, transformer: Path) -> None:
    assert model(transformer, pool).get_embedding_dimension() == DIM


def test_the_width_is_not_guessed_outside_a_model() -> None:
    assert Pool("mean").get_embedding_dimension() is None
    assert Pool("attsets", dim=7).get_embedding_dimension() == 7


def test_weights_that_are_missing_or_another_poolers_are_refused(transformer: Path, tmp_path: Path) -> None:
    model(transformer, Pool("attsets", dim=DIM)).save(str(tmp_path))
    weights = tmp_path / "1_Pool" / "model.safetensors"
    shutil.copy(tmp_path / "model.safetensors", weights)
    with pytest.raises(RuntimeError, match="state_dict"):
        Encoder(str(tmp_path), device="cpu")
    weights.unlink()
    with pytest.raises(ValueError, match=r"holds no model\.safetensors in 1_Pool"):
        Encoder(str(tmp_path), device="cpu")


def test_a_saved_pooling_of_several_layers_is_given_them(transformer: Path, tmp_path: Path) -> None:
    made = model(transformer, Pool("maxcls", last_k=2), config_kwargs={"output_hidden_states": True})
    made.save(str(tmp_path))
    found = Encoder(str(tmp_path), device="cpu", dtype="fp32").encode(TEXTS, normalize_embeddings=False)
    np.testing.assert_allclose(found, made.encode(TEXTS), atol=1e-5)


def test_the_pool_of_another_package_is_refused(transformer: Path, tmp_path: Path) -> None:
    model(transformer, Pool("mean")).save(str(tmp_path))
    modules = json.loads((tmp_path / "modules.json").read_text())
    modules[1]["type"] = "another.package.Pool"
    (tmp_path / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(ValueError, match="a module Pool where one of"):
        Encoder(str(tmp_path), device="cpu")


def test_words_that_name_no_pooler_of_states_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownWord, match="no word `maen`; nearest: `mean`"):
        Pool("maen")
    monkeypatch.setattr(type(registry.make("mean")), "side", frozenset({"spans"}))
    with pytest.raises(ValueError, match="`mean` needs spans beside the states"):
        Pool("mean")


def test_it_is_saved_in_no_format_that_runs_code(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="safetensors only"):
        Pool("mean").save(str(tmp_path), safe_serialization=False)


def test_it_trains_under_the_trainer_of_sentence_transformers(transformer: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    pytest.importorskip("accelerate")
    from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    words = ["fox", "dog", "box", "quartz", "zebras", "jugs", "liquor", "judge"]
    pairs = datasets.Dataset.from_dict({"anchor": words, "positive": [f"the {word}" for word in words]})
    made = model(transformer, Pool("attsets", dim=DIM))
    for part in made.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0  # in twelve steps its noise would hide what is learned
    before = {name: value.clone() for name, value in made.state_dict().items()}
    arguments = SentenceTransformerTrainingArguments(
        output_dir=str(tmp_path),
        max_steps=12,
        per_device_train_batch_size=8,
        learning_rate=3e-3,
        seed=0,
        logging_steps=1,
        report_to="none",
        save_strategy="no",
        use_cpu=True,
        disable_tqdm=True,
    )
    trainer = SentenceTransformerTrainer(
        model=made, args=arguments, train_dataset=pairs, loss=MultipleNegativesRankingLoss(made)
    )
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert np.mean(losses[-3:]) < 0.5 * np.mean(losses[:3])
    moved = {name for name, value in made.state_dict().items() if not torch.equal(value, before[name])}
    assert "1.pooler.score.weight" in moved
    made.save(str(tmp_path / "saved"))
    found = Encoder(str(tmp_path / "saved"), dtype="fp32", device="cpu").encode(TEXTS, normalize_embeddings=False)
    np.testing.assert_allclose(found, made.encode(TEXTS), atol=1e-5)


TRAINED = [word for word in WORDS if registry.find(word, ("pool",)).trained]


@pytest.mark.parametrize("word", WORDS)
def test_every_pooler_trains_a_step_there_is_saved_and_is_opened(word: str, transformer: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    pytest.importorskip("accelerate")
    from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    pairs = datasets.Dataset.from_dict({"anchor": TEXTS[:4], "positive": TEXTS[1:5]})
    torch.manual_seed(3)
    known = {p.name for p in registry.parameters(registry.find(word, ("pool",)).load())}
    two_layers = {name: 2 for name in ("layers", "last_k") if name in known}
    pool = Pool(word, **arguments(word) | two_layers)
    made = model(transformer, pool, config_kwargs={"output_hidden_states": True} if pool.pooler.reads_layers else {})
    before = {name: value.clone() for name, value in made.state_dict().items()}
    settings = SentenceTransformerTrainingArguments(
        output_dir=str(tmp_path / "out"),
        max_steps=1,
        per_device_train_batch_size=4,
        learning_rate=1e-2,
        report_to="none",
        save_strategy="no",
        use_cpu=True,
        disable_tqdm=True,
    )
    loss = MultipleNegativesRankingLoss(made)
    SentenceTransformerTrainer(model=made, args=settings, train_dataset=pairs, loss=loss).train()
    moved = {name for name, value in made.state_dict().items() if not torch.equal(value, before[name])}
    assert any(name.startswith("0.") for name in moved)
    assert any(name.startswith("1.pooler.") for name in moved) == (word in TRAINED)
    made.save(str(tmp_path / "saved"))
    peer = SentenceTransformer(str(tmp_path / "saved"), device="cpu", trust_remote_code=True)
    np.testing.assert_array_equal(peer.encode(TEXTS), made.eval().encode(TEXTS))
