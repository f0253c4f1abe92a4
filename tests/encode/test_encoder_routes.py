"""A folder that gives queries modules of their own gives each role the vectors that sentence-transformers gives it."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense, Normalize, Router, Transformer
from sentence_transformers.sentence_transformer.modules import Pooling, StaticEmbedding
from tiny_models import TEXTS, save_transformer, word_pieces

from cenote.encode import Encoder

WORDY = [text for text in TEXTS if text]
PROMPTS = {"query": "the fox: ", "document": "a box, "}


def opened(folder: Path, **options: Any) -> Encoder:
    return Encoder(str(folder), dtype="fp32", device="cpu", **options)


def transformer(folder: Path, window: int = 40) -> Transformer:
    if not folder.exists():
        save_transformer(folder)
    return Transformer(str(folder), max_seq_length=window)


def table(width: int = 32) -> StaticEmbedding:
    torch.manual_seed(1)
    return StaticEmbedding(word_pieces(), embedding_dim=width)


def dense(seed: int, into: int = 16) -> Dense:
    torch.manual_seed(seed)
    return Dense(32, into)


def two_models(folder: Path, **options: Any) -> list[Any]:
    """Queries are looked up in a table, documents go through a transformer."""
    router = Router.for_query_document([table()], [transformer(folder), Pooling(32, "cls")], **options)
    return [router, Normalize()]


def two_windows(folder: Path) -> list[Any]:
    """Both go through transformers, queries through one that reads less."""
    ways = {
        role: [transformer(folder, window), Pooling(32, "mean", include_prompt=role == "query"), dense(1)]
        for role, window in (("query", 9), ("document", 40))
    }
    return [Router.for_query_document(ways["query"], ways["document"])]


def two_heads(folder: Path) -> list[Any]:
    """Both go through one transformer, and through heads of their own."""
    heads = Router({"query": [dense(1), Normalize()], "document": [dense(2)]})
    return [transformer(folder), Pooling(32, "mean"), heads]


def mapped(folder: Path) -> list[Any]:
    """The mappings name the routes: a task comes before texts, and texts before everything."""
    ways = {"small": [table()], "large": [transformer(folder), Pooling(32, "max")]}
    mappings = {("query", None): "small", (None, "text"): "large", (None, None): "small"}
    return [Router(ways, route_mappings=mappings, allow_empty_key=False)]


def texts_and_more(folder: Path) -> list[Any]:
    """A route for texts, whoever asks."""
    return [Router({"other": [table()], "text": [transformer(folder), Pooling(32, "mean")]})]


def shared(folder: Path) -> list[Any]:
    """Roles share their transformer and pool it in another way."""
    one = transformer(folder)
    return [Router.for_query_document([one, Pooling(32, "cls")], [one, Pooling(32, "mean")])]


def saved(folder: Path, modules: list[Any]) -> SentenceTransformer:
    SentenceTransformer(modules=modules, device="cpu", prompts=PROMPTS).save(str(folder / "saved"))
    return SentenceTransformer(str(folder / "saved"), device="cpu")


def check(peer: SentenceTransformer, encoder: Encoder) -> None:
    np.testing.assert_allclose(encoder.encode_query(WORDY), peer.encode_query(WORDY), atol=1e-5)
    np.testing.assert_allclose(encoder.encode_document(WORDY), peer.encode_document(WORDY), atol=1e-5)


@pytest.fixture(
    scope="module",
    params=[two_models, two_windows, two_heads, mapped, texts_and_more, shared],
    ids=lambda make: make.__name__,
)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[SentenceTransformer, Path]:
    folder = tmp_path_factory.mktemp("routes")
    return saved(folder, request.param(folder / "raw")), folder / "saved"


@pytest.fixture(scope="module")
def asymmetric(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("asymmetric")
    saved(folder, two_models(folder / "raw"))
    return folder / "saved"


def test_each_role_goes_through_its_route(pair: tuple[SentenceTransformer, Path]) -> None:
    peer, encoder = pair[0], opened(pair[1])
    check(peer, encoder)
    query, document = (peer.encode(WORDY, prompt="", task=role) for role in ("query", "document"))
    alone = encoder.of("query") is encoder
    assert alone == bool(np.abs(query - document).max() < 1e-4)


def test_what_is_saved_again_opens_in_both_libraries(pair: tuple[SentenceTransformer, Path], tmp_path: Path) -> None:
    peer, encoder = pair[0], opened(pair[1])
    encoder.save(tmp_path / "again")
    check(peer, opened(tmp_path / "again"))
    check(SentenceTransformer(str(tmp_path / "again"), device="cpu"), encoder)


@pytest.mark.parametrize(("make", "word"), [(two_windows, "softpool"), (two_heads, "max")])
def test_another_pooling_is_that_of_both_roles_and_is_saved_so(make: Any, word: str, tmp_path: Path) -> None:
    saved(tmp_path, make(tmp_path / "raw"))
    encoder = opened(tmp_path / "saved")
    encoder.save(tmp_path / "out", pool=word)
    peer = SentenceTransformer(str(tmp_path / "out"), device="cpu", trust_remote_code=True)
    for found in (peer, opened(tmp_path / "out")):
        np.testing.assert_allclose(found.encode_query(WORDY), encoder.encode_query(WORDY, pool=word), atol=1e-5)
        np.testing.assert_allclose(found.encode_document(WORDY), encoder.encode_document(WORDY, pool=word), atol=1e-5)
    card = (tmp_path / "out" / "README.md").read_text()
    assert ("trust_remote_code=True" in card) == (word == "softpool")


def test_fewer_dimensions_and_a_smaller_window_are_those_of_both_roles(asymmetric: Path, tmp_path: Path) -> None:
    encoder = opened(asymmetric, truncate_dim=7, max_length=6)
    encoder.save(tmp_path / "out")
    for found in (SentenceTransformer(str(tmp_path / "out"), device="cpu"), opened(tmp_path / "out")):
        np.testing.assert_allclose(found.encode_query(WORDY), encoder.encode_query(WORDY), atol=1e-5)
        np.testing.assert_allclose(found.encode_document(WORDY), encoder.encode_document(WORDY), atol=1e-5)
    with pytest.raises(ValueError, match="longer than the window of 6"):
        opened(asymmetric, max_length=6, overflow="error").encode_query(WORDY)


def test_tokens_states_and_counts_are_those_of_the_role(asymmetric: Path) -> None:
    encoder = opened(asymmetric)
    query, document = (next(encoder.states(["judge my vow"], role)) for role in ("query", "document"))
    assert int(document.special.sum()) == 2
    assert not query.special.any()
    assert encoder.lengths(["judge my vow"], "query")[0] == encoder.report.tokens - len(document.spans)
    assert encoder.overhead("query") == len(encoder.token_spans([PROMPTS["query"]])[0])
    assert encoder.fingerprint("query") != encoder.fingerprint("document")
    with pytest.raises(ValueError, match="layers must lie between 0 and 0"):
        next(encoder.states(WORDY, "query", layers=[2]))


def test_states_of_two_widths_are_pooled_as_the_folder_says_or_not_at_all(tmp_path: Path) -> None:
    ways = [table(24), Dense(24, 32)], [transformer(tmp_path / "raw"), Pooling(32, "mean")]
    peer = saved(tmp_path, [Router.for_query_document(*ways)])
    encoder = opened(tmp_path / "saved")
    check(peer, encoder)
    with pytest.raises(ValueError, match="queries of 24 dimensions and documents of 32; only its own pooling"):
        encoder.encode(WORDY, pool="max")


def test_vectors_of_two_widths_are_refused(tmp_path: Path) -> None:
    modules = [transformer(tmp_path / "raw"), Pooling(32, "mean")]
    saved(tmp_path, [Router.for_query_document([table(24)], modules)])
    with pytest.raises(ValueError, match="queries 24 dimensions and documents 32, which cannot be compared"):
        opened(tmp_path / "saved")


def told(folder: Path, into: Path, **changes: Any) -> Path:
    """Copy a folder with other settings of its router."""
    shutil.copytree(folder, into)
    path = into / "router_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return into


def test_routes_that_neither_role_names_give_the_default_to_both(asymmetric: Path, tmp_path: Path) -> None:
    structure = json.loads((asymmetric / "router_config.json").read_text())["structure"]
    renamed = {"small": structure["query"], "large": structure["document"]}
    for parameters, route in (({}, "small"), ({"default_route": "large"}, "large")):
        folder = told(asymmetric, tmp_path / route, structure=renamed, parameters=parameters)
        expected = SentenceTransformer(str(folder), device="cpu").encode(WORDY, prompt_name="document")
        np.testing.assert_allclose(opened(folder).encode_document(WORDY), expected, atol=1e-5)
    folder = told(asymmetric, tmp_path / "none", structure=renamed, parameters={"allow_empty_key": False})
    with pytest.raises(ValueError, match="routes small, large, and none is for a query"):
        opened(folder)


def test_documents_may_be_called_by_another_name(asymmetric: Path, tmp_path: Path) -> None:
    structure = json.loads((asymmetric / "router_config.json").read_text())["structure"]
    folder = told(asymmetric, tmp_path / "doc", structure={"query": structure["query"], "doc": structure["document"]})
    np.testing.assert_array_equal(opened(folder).encode_document(WORDY), opened(asymmetric).encode_document(WORDY))
    np.testing.assert_array_equal(opened(folder).encode_query(WORDY), opened(asymmetric).encode_query(WORDY))


def test_a_router_by_its_old_name_and_file_is_read(tmp_path: Path) -> None:
    saved(tmp_path, two_heads(tmp_path / "raw"))
    folder = tmp_path / "saved"
    expected = opened(folder).encode_query(WORDY)
    modules = (folder / "modules.json").read_text()
    (folder / "modules.json").write_text(modules.replace("base.modules.router.Router", "models.Asym"))
    (folder / "2_Router" / "router_config.json").rename(folder / "2_Router" / "config.json")
    np.testing.assert_array_equal(opened(folder).encode_query(WORDY), expected)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"structure": {"query": ["query_0_StaticEmbedding"], "other": []}}, "routes query, other, and none is for a"),
        ({"structure": {"query": [], "document": []}}, "a module Normalize where one of"),
        ({"parameters": {"route_mappings": {"query text": "query"}}}, "no pairs of task and modality"),
        ({"structure": {"query": ["../x"], "document": ["../x"]}, "types": {"../x": "a.BoW"}}, "outside of it"),
    ],
)
def test_a_router_that_cannot_be_followed_is_refused(
    changes: dict[str, Any], reason: str, asymmetric: Path, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=reason):
        opened(told(asymmetric, tmp_path / "told", **changes))


def test_a_router_that_leads_nowhere_is_refused(tmp_path: Path) -> None:
    (tmp_path / "modules.json").write_text('[{"type": "models.Router", "path": ""}]')
    with pytest.raises(ValueError, match=r"without a router_config\.json that names its modules"):
        opened(tmp_path)
    (tmp_path / "router_config.json").write_text('{"types": {}, "structure": {"query": [], "document": []}}')
    with pytest.raises(ValueError, match="names no module that reads texts"):
        opened(tmp_path)
