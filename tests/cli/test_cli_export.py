"""cenote export: the model of a recipe or a collection gives the vectors that are compared."""

from pathlib import Path

import numpy as np
import pytest

from cenote.cli.main import main
from cenote.collection import create
from cenote.encode import Encoder

pytest.importorskip("wordllama")
ROWS = [
    {"id": str(n), "text": f"text number {n} about {word}"}
    for n, word in enumerate(["tea", "oil", "ice", "sea", "fog"])
]


def test_the_model_of_a_collection_gives_the_vectors_it_compares(tmp_path: Path) -> None:
    with create(tmp_path / "docs", ROWS, "wordllama | rotate | pca 3 | int8 | flat") as made:
        expected = made.chain.vectors(["green tea", "the sea"], "document")
    assert main(["export", "model", str(tmp_path / "docs"), "--out", str(tmp_path / "model"), "--json"]) == 0
    np.testing.assert_allclose(Encoder(str(tmp_path / "model")).encode(["green tea", "the sea"]), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("recipe", "reason"),
    [
        ("wordllama | pca 3", "learns from documents"),
        ("(bm25) + (wordllama) | rrf", "fuses several legs"),
        ("bm25", "has no model"),
        ("wordllama | max", "another pooling"),
        ("wordlama", "wordllama"),
    ],
)
def test_what_is_no_model_is_refused(
    recipe: str, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", "model", recipe, "--out", str(tmp_path / "model")]) == 2
    assert reason in capsys.readouterr().err
    assert not (tmp_path / "model").exists()


def test_a_graph_is_written_for_onnxruntime(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    assert main(["export", "onnx", "wordllama | truncate 64", "--out", str(tmp_path / "graph")]) == 0
    assert {"model.onnx", "tokenizer.json", "config.json", "README.md"} <= {
        p.name for p in (tmp_path / "graph").iterdir()
    }


def test_a_model_is_written_again_where_that_is_asked_for(tmp_path: Path) -> None:
    line = ["export", "model", "wordllama | truncate 64", "--out", str(tmp_path / "new" / "model")]
    assert main(line) == 0
    assert main(line) == 2
    assert main([*line, "--replace"]) == 0
    assert Encoder(str(tmp_path / "new" / "model")).dim == 64
