"""Encodings over HTTP, plain and in the shape that OpenAI's clients read."""

import asyncio
import base64
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from served import Client, collection, refused, served

from cenote.collection import open_collection

pytest.importorskip("fastapi")
pytest.importorskip("wordllama")

RECIPE = "wordllama | truncate 64 | int8 | flat"
TEXTS = ["compress with gzip", "a violin made of glass", "compress with gzip"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return collection(tmp_path_factory.mktemp("served"), RECIPE)


@pytest.fixture(scope="module")
def client(place: Path) -> Iterator[Client]:
    with served(place) as (_, client):
        yield client


@pytest.fixture(scope="module")
def expected(place: Path) -> np.ndarray:
    with open_collection(place) as opened:
        return opened.chain.vectors(TEXTS, "document")


@pytest.mark.parametrize("role", ["query", "document"])
def test_vectors_are_those_that_the_collection_compares(client: Client, place: Path, role: str) -> None:
    answer = client.post("/encode", {"texts": TEXTS, "role": role}).json()
    with open_collection(place) as opened:
        np.testing.assert_array_equal(np.float32(answer["vectors"]), opened.chain.vectors(TEXTS, role))
    assert answer["dim"] == 64
    assert answer["recipe"] == RECIPE


def test_embeddings_come_in_order_as_numbers_and_as_base64(client: Client, expected: np.ndarray) -> None:
    body = {"input": TEXTS, "model": "whatever", "user": "somebody"}
    numbers = client.post("/v1/embeddings", body).json()
    coded = client.post("/v1/embeddings", {**body, "encoding_format": "base64"}).json()
    for answer in (numbers, coded):
        assert answer["object"] == "list"
        assert [one["index"] for one in answer["data"]] == [0, 1, 2]
        assert {one["object"] for one in answer["data"]} == {"embedding"}
        assert answer["usage"]["total_tokens"] == answer["usage"]["prompt_tokens"] > 6
    np.testing.assert_array_equal(np.float32([one["embedding"] for one in numbers["data"]]), expected)
    rows = [np.frombuffer(base64.b64decode(one["embedding"]), "<f4") for one in coded["data"]]
    np.testing.assert_array_equal(rows, expected)


def test_one_text_need_not_be_in_a_list(client: Client, expected: np.ndarray) -> None:
    data = client.post("/v1/embeddings", {"input": TEXTS[1], "model": ""}).json()["data"]
    assert len(data) == 1
    np.testing.assert_array_equal(np.float32(data[0]["embedding"]), expected[1])


def test_fewer_dimensions_are_the_first_ones_at_unit_length(client: Client, expected: np.ndarray) -> None:
    data = client.post("/v1/embeddings", {"input": TEXTS, "model": "", "dimensions": 16}).json()["data"]
    first = expected[:, :16] / np.linalg.norm(expected[:, :16], axis=1, keepdims=True)
    np.testing.assert_allclose([one["embedding"] for one in data], first, atol=1e-6)


def test_more_dimensions_than_there_are_is_refused(client: Client) -> None:
    said = refused(client.post("/v1/embeddings", {"input": "a", "model": "", "dimensions": 65}), 400)
    assert "have 64" in said


@pytest.mark.parametrize("tokens", [[1, 2, 3], [[1, 2], [3]]])
def test_token_numbers_of_another_model_are_refused(client: Client, tokens: object) -> None:
    assert "send text" in refused(client.post("/v1/embeddings", {"input": tokens, "model": ""}), 422)


def test_the_client_of_openai_works_unchanged(client: Client, expected: np.ndarray) -> None:
    openai = pytest.importorskip("openai")
    import httpx  # which that client brings

    async def ask() -> list[list[float]]:
        transport = httpx.ASGITransport(app=client.app)
        async with httpx.AsyncClient(transport=transport) as http:
            asked = openai.AsyncOpenAI(api_key="none", base_url="http://localhost/v1", http_client=http)
            return [one.embedding for one in (await asked.embeddings.create(input=TEXTS, model="any")).data]

    np.testing.assert_allclose(asyncio.run(ask()), expected, atol=1e-6)


def test_a_recipe_of_words_has_no_vectors(tmp_path: Path) -> None:
    with served(collection(tmp_path, "bm25")) as (_, client):
        assert client.ids("compress with gzip", k=1) == ["gzip.txt"]
        assert "no model" in refused(client.post("/encode", {"texts": ["a"]}), 400)
        assert "no model" in refused(client.post("/v1/embeddings", {"input": "a", "model": ""}), 400)
        assert "no model" in refused(client.post("/search", {"queries": ["gzip"], "k": 5, "explain": True}), 400)


def test_a_fusion_gives_the_vectors_of_its_model(tmp_path: Path, expected: np.ndarray) -> None:
    with served(collection(tmp_path, "(bm25) + (wordllama | truncate 64 | flat) | rrf")) as (_, client):
        vectors = client.post("/encode", {"texts": TEXTS}).json()["vectors"]
        hit = client.post("/search", {"queries": ["gzip"], "k": 1, "explain": True}).json()["results"][0]["hits"][0]
    np.testing.assert_array_equal(np.float32(vectors), expected)
    assert hit["id"] == "gzip.txt"
    assert set(hit["scores"]) == {"bm25", "wordllama"}
    assert hit["why"]
