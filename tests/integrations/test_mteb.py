import json

import numpy as np
import pytest
from things import TEXTS

import cenote
from cenote.errors import RecipeError

pytest.importorskip("mteb")

import mteb
from datasets import Dataset, DatasetDict
from mteb.abstasks.retrieval import AbsTaskRetrieval
from mteb.abstasks.retrieval_dataset_loaders import RetrievalSplitData
from mteb.abstasks.sts import AbsTaskSTS
from mteb.abstasks.task_metadata import TaskMetadata
from mteb.cache import ResultCache
from mteb.models import EncoderProtocol, SearchProtocol
from mteb.types import PromptType
from scipy.stats import spearmanr

from cenote.integrations.mteb import CenoteModel

ABOUT = {
    "description": "A few texts.",
    "reference": None,
    "dataset": {"path": "NA", "revision": "NA"},
    "category": "t2t",
    "modalities": ["text"],
    "eval_splits": ["test"],
    "eval_langs": ["eng-Latn"],
    "date": ("2022-12-22", "2022-12-22"),
    "domains": [],
    "task_subtypes": [],
    "license": "cc-by-4.0",
    "annotations_creators": "derived",
    "dialect": [],
    "sample_creation": "found",
    "bibtex_citation": "",
}
QUESTIONS = {"q1": ("gzip data", "gzip"), "q2": ("send mail", "mail"), "q3": ("rows of a csv file", "csv")}
PAIRS = [
    ("Compress data with gzip.", "Compress and decompress data.", 5.0),
    ("Send an email.", "Send a message through a server.", 4.0),
    ("Read a csv file.", "Parse a date.", 1.5),
    ("Convert times.", "Compress data.", 0.5),
]


def split(**more):
    return RetrievalSplitData(
        corpus=Dataset.from_list([{"id": id, "title": id, "text": text} for id, text in TEXTS.items()]),
        queries=Dataset.from_list([{"id": id, "text": text} for id, (text, _) in QUESTIONS.items()]),
        relevant_docs={id: {answer: 1} for id, (_, answer) in QUESTIONS.items()},
        top_ranked=more.get("top_ranked"),
    )


class FewDocuments(AbsTaskRetrieval):
    metadata = TaskMetadata(type="Retrieval", name="FewDocuments", main_score="ndcg_at_10", **ABOUT)

    def load_data(self, **kwargs):
        self.dataset = {"default": {"test": split()}}
        self.data_loaded = True


class FewCandidates(AbsTaskRetrieval):
    metadata = TaskMetadata(type="Reranking", name="FewCandidates", main_score="map_at_1000", **ABOUT)

    def load_data(self, **kwargs):
        top = {"q1": ["gzip", "zones"], "q2": ["dates", "mail"], "q3": ["zones", "csv"]}
        self.dataset = {"default": {"test": split(top_ranked=top)}}
        self.data_loaded = True


class FewPairs(AbsTaskSTS):
    metadata = TaskMetadata(type="STS", name="FewPairs", main_score="cosine_spearman", **ABOUT)
    min_score, max_score = 0, 5

    def load_data(self, **kwargs):
        columns = dict(zip(("sentence1", "sentence2", "score"), map(list, zip(*PAIRS, strict=True)), strict=True))
        self.dataset = DatasetDict({"test": Dataset.from_dict(columns)})
        self.data_loaded = True


def batch(texts):
    return [{"text": list(texts)}]


def test_a_recipe_is_a_model_of_mtebs():
    model = CenoteModel("wordllama | truncate 64 | int8")
    assert isinstance(model, EncoderProtocol)
    assert isinstance(model, SearchProtocol)


@pytest.mark.parametrize("codec", ["int8", "binary", "float8"])
def test_vectors_are_what_their_codes_hold(codec):
    texts = list(TEXTS.values())
    found = CenoteModel(f"wordllama | truncate 64 | {codec}").encode(batch(texts))
    plain = CenoteModel("wordllama | truncate 64").encode(batch(texts))
    assert found.shape == plain.shape == (len(texts), 64)
    made = cenote.registry.make(codec, ("codec",))
    np.testing.assert_array_equal(found, made.decode(made.encode(plain), 64))
    assert np.abs(found - plain).max() > 0


def test_scores_of_pairs_are_spearmans_of_the_compressed_vectors(tmp_path):
    model = CenoteModel("wordllama | truncate 64 | binary")
    results = mteb.evaluate(model, [FewPairs()], cache=ResultCache(tmp_path))
    one, two = (model.encode(batch(pair[side] for pair in PAIRS)) for side in (0, 1))
    cosines = (one * two).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(two, axis=1)
    expected = spearmanr(cosines, [pair[2] for pair in PAIRS]).statistic
    assert results[0].get_score() == pytest.approx(expected)


RECIPES = [
    "wordllama | truncate 64 | int8 | flat",
    "sentences 1 | wordllama | pca 4 | float8 | flat | rerank float32 3",
    "bm25",
    "(bm25) + (wordllama | binary | flat) | rrf",
]


@pytest.mark.parametrize("recipe", RECIPES)
def test_retrieval_ranks_as_the_collection_does(tmp_path, recipe):
    cache, ranking = ResultCache(tmp_path / "cache"), tmp_path / "ranked"
    results = mteb.evaluate(CenoteModel(recipe), [FewDocuments()], cache=cache, prediction_folder=ranking)
    rows = [{"id": id, "text": f"{id} {text}"} for id, text in TEXTS.items()]
    with cenote.create(tmp_path / "docs.cenote", rows, recipe) as docs:
        ranked = dict(zip(QUESTIONS, docs.rank([text for text, _ in QUESTIONS.values()], 100), strict=True))
    [written] = (tmp_path / "ranked").rglob("*.json")
    predicted = json.loads(written.read_text())["default"]["test"]
    assert {id: pytest.approx(dict(row)) for id, row in ranked.items()} == predicted
    places = [[id for id, _ in ranked[q]].index(answer) for q, (_, answer) in QUESTIONS.items()]
    assert results[0].get_score() == pytest.approx(np.mean(1 / np.log2(np.array(places) + 2)), abs=1e-4)


def test_reranking_ranks_the_candidates_alone(tmp_path):
    model = CenoteModel("wordllama | int8 | flat")
    mteb.evaluate(model, [FewCandidates()], cache=ResultCache(tmp_path), prediction_folder=tmp_path / "ranked")
    [written] = (tmp_path / "ranked").rglob("*.json")
    predicted = json.loads(written.read_text())["default"]["test"]
    assert {id: sorted(row) for id, row in predicted.items()} == {
        "q1": ["gzip", "zones"],
        "q2": ["dates", "mail"],
        "q3": ["csv", "zones"],
    }


@pytest.mark.parametrize(
    ("recipe", "first", "all_of_it"),
    [
        ("wordllama", 4 * 256, 4 * 256),
        ("wordllama | truncate 64 | int8", 64 + 4, 64 + 4),
        ("wordllama | binary | flat | rerank int8 50", 32, 32 + 256 + 4),
    ],
)
def test_the_bytes_of_a_vector_stand_beside_the_scores(tmp_path, recipe, first, all_of_it):
    mteb.evaluate(CenoteModel(recipe), [FewPairs()], cache=ResultCache(tmp_path))
    [told] = tmp_path.rglob("model_meta.json")
    kept = json.loads(told.read_text())["experiment_kwargs"]
    assert kept["recipe"] == str(cenote.recipe.parse(recipe))
    assert (kept["first_pass_bytes_per_vector"], kept["bytes_per_vector"]) == (first, all_of_it)
    [scores] = tmp_path.rglob("FewPairs.json")
    assert scores.parent == told.parent


def test_stages_that_learn_take_texts_or_say_so():
    texts = list(TEXTS.values())
    assert CenoteModel("wordllama | pca 3", texts=texts).encode(batch(texts)).shape == (len(texts), 3)
    with pytest.raises(ValueError, match="pass texts="):
        CenoteModel("wordllama | pca 3").encode(batch(texts))
    with pytest.raises(RecipeError, match="no model"):
        CenoteModel("bm25").encode(batch(texts))
    with pytest.raises(ValueError, match="nothing is indexed yet"):
        CenoteModel("wordllama").search([], top_k=3)


def test_questions_are_encoded_as_questions(monkeypatch):
    seen = []
    model = CenoteModel("wordllama")
    leg = model._chain.leg
    nothing = np.zeros((1, leg.dim), np.float32)
    monkeypatch.setattr(leg, "vectors", lambda texts, role: seen.append(role) or nothing)
    model.encode(batch(["a"]), prompt_type=PromptType.query)
    model.encode(batch(["a"]), prompt_type=PromptType.document)
    assert seen == ["query", "document"]
