"""Tasks of texts without documents: pairs that are more or less alike, and texts of classes."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import spearmanr

from cenote.encode.cache import Encodings
from cenote.measure import ClassesTask, PairsTask, compare
from cenote.measure.annotated import Labelled, Pair, read_labelled, read_pairs, splits_of
from cenote.measure.bootstrap import bootstrap
from cenote.measure.comparing_texts import classes_task, lesson, pairs_lesson, pairs_task
from cenote.measure.correlation import Spearman
from cenote.measure.logistic import Logistic
from cenote.measure.vectors import VectorSystem

quick = settings(max_examples=40, deadline=None)
THINGS = ("rain", "bread", "glass", "copper", "violin", "harbour")


class Given:
    """A system that knows the vector of every text."""

    def __init__(self, vectors: dict[str, list[float]]) -> None:
        self.known = vectors

    def vectors(self, texts: list[str]) -> NDArray[np.float32]:
        x = np.array([self.known[text] for text in texts], np.float32)
        return x / np.linalg.norm(x, axis=1, keepdims=True)


# -- the statistic


@quick
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=3, max_size=30))
def test_spearman_is_scipys_ties_included(rows: list[tuple[int, int]]) -> None:
    records = np.array(rows, np.float64)
    if len(set(records[:, 0])) > 1 and len(set(records[:, 1])) > 1:
        assert Spearman()(records) == pytest.approx(spearmanr(*records.T).statistic, abs=1e-12)
    else:
        assert Spearman()(records) == 0


def test_all_resamples_at_once_are_each_alone() -> None:
    generator = np.random.default_rng(0)
    records = generator.integers(0, 7, (25, 2)).astype(np.float64)
    drawn = generator.integers(0, 25, (50, 25))
    counts = np.stack([np.bincount(row, minlength=25) for row in drawn])
    alone = [Spearman()(records[row]) for row in drawn]
    np.testing.assert_allclose(Spearman().of_resamples(records, counts), alone, atol=1e-12)


def test_the_bootstrap_is_the_same_with_and_without_the_short_cut() -> None:
    generator = np.random.default_rng(1)
    gold = generator.normal(size=40)
    values = np.stack([np.stack([gold + generator.normal(size=40) * noise, gold], 1) for noise in (0.5, 1.0, 2.0)])
    short = bootstrap(values, Spearman(), resamples=300)
    long = bootstrap(values, lambda records: Spearman()(records), resamples=300)
    np.testing.assert_allclose(short.half, long.half, rtol=1e-9)
    assert short.corrected == pytest.approx(long.corrected)


# -- the classifier


def test_the_classifier_is_sklearns() -> None:
    linear = pytest.importorskip("sklearn.linear_model")
    generator = np.random.default_rng(0)
    x = generator.normal(size=(300, 6)).astype(np.float32)
    y = (x @ generator.normal(size=(6, 4)) + generator.normal(size=(300, 4))).argmax(1).astype(np.int64)
    for strength in (0.1, 1.0, 100.0):
        mine = Logistic.fit(x, y, strength)
        peer = linear.LogisticRegression(C=strength, tol=1e-8, max_iter=2000).fit(x, y)
        # a constant added to all classes changes nothing
        centred = [w - w.mean(0) for w in (mine.weights, peer.coef_)]
        np.testing.assert_allclose(*centred, atol=2e-3)
        assert (mine.predict(x) == peer.predict(x)).mean() > 0.99


def test_the_strength_is_picked_on_what_is_held_out() -> None:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(400, 3)).astype(np.float32) * 0.01
    y = (x[:, 0] > 0).astype(np.int64)
    assert Logistic.tuned(x, y).strength > 1
    with pytest.raises(ValueError, match="one class"):
        Logistic.fit(x, np.zeros(400, np.int64), 1.0)


# -- tasks


def test_pairs_are_scored_by_the_cosine_of_their_texts() -> None:
    system = Given({"a": [1, 0], "b": [1, 1], "c": [0, 3], "d": [1, 0.1]})
    task = PairsTask([Pair("a", "d", 5), Pair("a", "b", 3), Pair("a", "c", 0)])
    records = task.score(system).values["spearman"]
    np.testing.assert_allclose(records[:, 0], [1 / np.sqrt(1.01), np.sqrt(0.5), 0], atol=1e-6)
    assert task.statistic(records) == pytest.approx(1)
    assert task.describe("2") == "a / b"


def test_classes_are_told_apart_where_vectors_do() -> None:
    generator = np.random.default_rng(0)
    texts = {
        f"{name}{n}": [*(generator.normal(size=3) * 0.1), sign]
        for n in range(30)
        for name, sign in (("x", 1), ("y", -1))
    }
    train = [Labelled(text, text[0]) for text in texts if int(text[1:]) < 20]
    test = [Labelled(text, text[0]) for text in texts if int(text[1:]) >= 20]
    assert ClassesTask(train, test).score(Given(texts)).values["accuracy"].all()
    wrong = [Labelled(one.text, "y" if one.label == "x" else "x") for one in test]
    assert not ClassesTask(train, wrong).score(Given(texts)).values["accuracy"].any()
    with pytest.raises(ValueError, match="class 'z'"):
        ClassesTask(train, [Labelled("x1", "z")])
    with pytest.raises(ValueError, match="one class"):
        ClassesTask(train[:1], test)
    with pytest.raises(ValueError, match="a class of its own"):
        ClassesTask([Labelled("x1", "a"), Labelled("x2", "b")], test)


def test_what_a_codec_loses_is_measured(tmp_path: Path) -> None:
    pytest.importorskip("wordllama")
    cache = Encodings(tmp_path)
    texts = [f"{a} and {b}" for a in THINGS for b in THINGS]
    exact = VectorSystem("wordllama | mean", texts, cache=cache)
    coarse = VectorSystem("wordllama | mean | binary | flat", texts, cache=cache)
    assert (exact.bytes_per_text, coarse.bytes_per_text) == (1024, 32)
    assert set(np.unique(np.abs(coarse.vectors(texts)))) == {np.float32(1 / 16)}
    fitted = VectorSystem("wordllama | mean | pca 8", texts, cache=cache)
    np.testing.assert_allclose(np.linalg.norm(fitted.vectors(texts), axis=1), 1, atol=1e-5)


@pytest.mark.parametrize(
    ("recipe", "reason"),
    [("bm25", "one vector"), ("(bm25) + (wordllama) | rrf", "one vector"), ("wordllama | rerank int8", "rerank")],
)
def test_recipes_without_one_vector_a_text_say_so_in_their_row(recipe: str, reason: str, tmp_path: Path) -> None:
    pytest.importorskip("wordllama")
    file = tmp_path / "pairs.tsv"
    file.write_text(
        "".join(
            f"{n % 5}\t{a} here\t{b} there\n" for n, (a, b) in enumerate(zip(THINGS * 4, THINGS[::-1] * 4, strict=True))
        )
    )
    with pytest.raises(ValueError, match="score is"):
        compare(recipes=recipe, pairs=file)
    file.write_text("score\tsentence1\tsentence2\n" + file.read_text())
    found = compare(recipes=[recipe, "wordllama"], pairs=file, cache=Encodings(tmp_path / "cache"))
    assert reason in str(found.results[0].error)
    assert found.winner == "wordllama"
    assert "pairs" in found.verdict


# -- files


def test_pairs_are_read_from_every_format(tmp_path: Path) -> None:
    pairs = [Pair('say "x"', "a, b", 1.5), Pair("c", "d", 0.0)]
    (tmp_path / "a.csv").write_text('"say ""x""","a, b",1.5\nc,d,0\n')
    (tmp_path / "a.tsv").write_text('score\tsentence1\tsentence2\n1.5\tsay "x"\ta, b\n0\tc\td\n')
    lines = "".join(json.dumps({"text1": p.first, "text2": p.second, "score": p.score}) + "\n\n" for p in pairs)
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    for name in ("a.csv", "a.tsv", "a.jsonl.gz"):
        assert read_pairs(tmp_path / name) == pairs


def test_labels_are_read_by_the_names_of_their_columns(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text('coarse\tfine\ttext\nDESC\tmanner\tHow "did" it\n')
    (tmp_path / "a.csv").write_text('text,category\n"How ""did"" it",DESC\n')
    for name in ("a.csv", "a.tsv"):
        assert read_labelled(tmp_path / name) == [Labelled('How "did" it', "DESC")]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.tsv", "a\tb\tmuch\n", "score is 'much'"),
        ("a.csv", "x,y,nan\n", "finite"),
        ("a.csv", "x,y,1\nx, ,2\n", "line 2: a text is empty"),
        ("a.csv", "", "no column"),
        ("a.csv", "sentence1,sentence2,score\n", "holds no pair"),
        ("a.csv", "sentence1,sentence2,score\na,b\n", "line 2: it has 2 columns"),
        ("a.csv", "a,b\n", "no column sentence1 .* holds a, b; name its columns with --columns"),
        ("a.csv", "one;two;three;four\n1;2;3;4\n", "holds one, two, three, four"),
        ("a.csv", "sentence1,sentence2,score,Score\na,b,1,2\n", "first line of .* two columns 'score'; rename one"),
        ("a.tsv", "sentence1\tsentence1\tsentence2\tscore\n", "two columns 'sentence1'"),
        ("a.jsonl", '{"text1": "a", "text2": "b", "score": 1, "score": 2}', "line 1 names two columns 'score'"),
        ("a.jsonl", '{"text1": ["a"], "text2": "b", "score": 1}', "line 1: .'a'. is no text"),
        ("a.jsonl", '{"a": 1}', "line 1 holds a; name its columns"),
        ("a.jsonl", "[1]\n", "line 1: it is no JSON object"),
        ("a.jsonl", '{"text1": "a", "score": 1}\n', "no column sentence2"),
    ],
)
def test_what_is_no_pair_is_named_with_its_line(name: str, content: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=reason):
        read_pairs(tmp_path / name)


def test_columns_of_other_names_are_given(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("Id;Left;Right;How alike\n7;a, b;c;1.5\n8;d;e;0\n")
    assert read_pairs(tmp_path / "a.csv", ["left", "Right", "how alike"]) == [Pair("a, b", "c", 1.5), Pair("d", "e", 0)]
    (tmp_path / "a.jsonl").write_text('{"Body": "x", "Topic": 3}\n')
    assert read_labelled(tmp_path / "a.jsonl", ["body", "topic"]) == [Labelled("x", "3")]
    with pytest.raises(ValueError, match="two texts and their score, 3 in all, not left"):
        read_pairs(tmp_path / "a.csv", ["left"])
    with pytest.raises(ValueError, match="no column similar"):
        read_pairs(tmp_path / "a.csv", ["left", "right", "similar"])


def test_a_workbook_is_read_as_a_csv_is(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in (("text", "label"), ("How so", "DESC"), (12, "NUM")):
        book.active.append(row)
    book.save(tmp_path / "a.xlsx")
    assert read_labelled(tmp_path / "a.xlsx") == [Labelled("How so", "DESC"), Labelled("12", "NUM")]


def test_a_line_is_the_one_an_editor_shows_and_a_cell_may_be_long(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f'sentence1,sentence2,score\n"a\nb",{"c" * 200_000},1\nd,e,x\n')
    with pytest.raises(ValueError, match="line 4: the score is 'x'"):
        read_pairs(tmp_path / "a.csv")


def test_a_file_that_is_named_is_what_is_asked(tmp_path: Path) -> None:
    for split, rows in (("train", 30), ("dev", 12), ("test", 5)):
        lines = [f"{split} {n},{n} words,{n % 5}\n" for n in range(rows)]
        (tmp_path / f"x-{split}.csv").write_text("".join(lines))
    assert len(pairs_task(tmp_path).pairs) == 5
    assert len(pairs_task(tmp_path / "x-dev.csv").pairs) == 12
    assert len(pairs_task(tmp_path / "x-dev.csv", "test").pairs) == 5
    unseen = pairs_lesson(tmp_path / "x-dev.csv")
    assert not {pair.first for pair in unseen.dev} & {pair.first for pair in pairs_task(tmp_path / "x-dev.csv").pairs}
    assert len(pairs_lesson(tmp_path).dev) == 12
    with pytest.raises(ValueError, match="train split of .* is asked, so nothing is left to train on"):
        pairs_lesson(tmp_path, "train")


def test_where_nothing_is_asked_the_whole_train_split_is_learnt_from(tmp_path: Path) -> None:
    for split, rows in (("train", 30), ("dev", 12), ("test", 5)):
        (tmp_path / f"x-{split}.csv").write_text("".join(f"{split} {n},{n} words,{n % 5}\n" for n in range(rows)))
    for named in (tmp_path, *tmp_path.iterdir()):
        found = lesson(named, read_pairs)
        assert (len(found.train), len(found.dev)) == (30, 12)
    (tmp_path / "x-train.csv").rename(tmp_path / "alone.csv")
    found = lesson(tmp_path / "alone.csv", read_pairs)
    assert (len(found.train), len(found.dev)) == (24, 6)
    with pytest.raises(ValueError, match="no train split to learn from; it has dev, test"):
        lesson(tmp_path / "x-dev.csv", read_pairs)


def test_of_one_file_every_class_is_learnt_from(tmp_path: Path) -> None:
    rows = [f"text {n},{'often' if n % 10 else f'rare {n}'}\n" for n in range(60)]
    (tmp_path / "a.csv").write_text("text,label\n" + "".join(rows))
    for seed in range(5):
        task = classes_task(tmp_path / "a.csv", seed=seed)
        assert (len(task.train), len(task.test)) == (48, 12)
        assert {one.label for one in task.train} == {row.strip().split(",")[1] for row in rows}
    (tmp_path / "b.csv").write_text("text,label\na,b\nc,d\n")
    with pytest.raises(ValueError, match="every class has a single text"):
        classes_task(tmp_path / "b.csv")


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"\xe9\x00a")
    with pytest.raises(ValueError, match="UTF-8"):
        read_pairs(tmp_path / "a.csv")
    (tmp_path / "a.csv.gz").write_bytes(b"no gzip")
    with pytest.raises(ValueError, match="cannot be read"):
        read_pairs(tmp_path / "a.csv.gz")


def test_splits_are_found_by_name(tmp_path: Path) -> None:
    for name in ("x-en-train.csv", "x-en-validation.csv", "x-en-test.csv", "notes.txt"):
        (tmp_path / name).write_text("")
    names = {split: file.name for split, file in splits_of(tmp_path).items()}
    assert names == {"train": "x-en-train.csv", "dev": "x-en-validation.csv", "test": "x-en-test.csv"}
    assert splits_of(tmp_path / "x-en-validation.csv") == splits_of(tmp_path)
    (tmp_path / "x-de-test.csv").write_text("")
    several = "several files of the split test: x-de-test.csv, x-en-test.csv; name the one to ask"
    with pytest.raises(ValueError, match=several):
        splits_of(tmp_path)
    assert set(splits_of(tmp_path / "x-en-test.csv")) == {"train", "dev", "test"}
    with pytest.raises(ValueError, match="does not exist"):
        splits_of(tmp_path / "none.csv")


def test_only_one_kind_of_thing_is_compared(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("a,b,1\nc,d,2\n")
    with pytest.raises(ValueError, match="one of"):
        compare("docs", recipes="wordllama", pairs=file)
    with pytest.raises(ValueError, match="source is missing"):
        compare(recipes="wordllama")
    with pytest.raises(ValueError, match="no split dev"):
        compare(recipes="wordllama", pairs=file, split="dev")
    with pytest.raises(ValueError, match="split must be"):
        compare(recipes="wordllama", pairs=file, split="all")
    for wrong in ({"questions": file}, {"runs": tmp_path}, {"measure": "map"}, {"keep": "best", "out": tmp_path}):
        with pytest.raises(ValueError, match="is of documents, and pairs and labels have none"):
            compare(recipes="wordllama", pairs=file, **wrong)
    with pytest.raises(ValueError, match="a source of documents has neither"):
        compare([{"id": "a", "text": "b"}], recipes="wordllama", split="dev")
