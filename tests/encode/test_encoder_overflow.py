"""Nothing is cut silently: what a window cuts is counted, as often as it stands in the input."""

from pathlib import Path

import pytest
from tiny_models import TEXTS, WINDOW, save

from cenote.encode import Encoder, Encodings, Overflow

LONG = TEXTS[6]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("overflow")
    save(path)
    return path / "saved"


@pytest.fixture
def encoder(folder: Path) -> Encoder:
    return Encoder(str(folder), dtype="fp32", device="cpu")


def cut(encoder: Encoder) -> int:
    return int(encoder.lengths([LONG])[0]) - WINDOW


def test_a_text_that_stands_three_times_counts_three_times(encoder: Encoder) -> None:
    encoder.encode([LONG, "a", LONG, "a", LONG])
    short = int(encoder.lengths(["a"])[0])
    expected = Overflow(texts=5, tokens=3 * WINDOW + 2 * short, cut_texts=3, cut_tokens=3 * cut(encoder), empty_texts=0)
    assert encoder.report == expected


def test_states_count_as_encodings_do(encoder: Encoder) -> None:
    list(encoder.states([LONG, "a", LONG]))
    assert (encoder.report.texts, encoder.report.cut_texts, encoder.report.cut_tokens) == (3, 2, 2 * cut(encoder))


def test_counts_add_up_over_calls_until_they_are_reset(encoder: Encoder) -> None:
    encoder.encode([LONG])
    encoder.encode([LONG])
    assert encoder.report.cut_texts == 2
    encoder.report.reset()
    assert encoder.report == Overflow()


def test_what_was_lost_is_one_sentence(encoder: Encoder) -> None:
    encoder.encode(["a"])
    assert encoder.report.sentence(encoder.max_length) is None
    encoder.report.reset()
    encoder.encode([LONG, LONG])
    lost = 2 * cut(encoder)
    share = 100 * lost / (lost + 2 * WINDOW)
    sentence = encoder.report.sentence(encoder.max_length)
    assert sentence is not None
    assert sentence.startswith(f"{lost:,} tokens ({share:.1f} %) of 2 texts lie beyond the model's window of {WINDOW}")


def test_an_encoder_that_refuses_names_the_text(folder: Path) -> None:
    strict = Encoder(str(folder), dtype="fp32", device="cpu", overflow="error")
    strict.encode(["a", "b", "a"])
    for texts, number in ((["a", LONG], 1), (["a", "a", "a", LONG, LONG], 3)):
        with pytest.raises(ValueError, match=rf"text {number} is \d+ tokens longer than the window of {WINDOW}"):
            strict.encode(texts)
        with pytest.raises(ValueError, match=f"text {number} is"):
            list(strict.states(texts))


def test_a_text_is_named_by_its_number_over_windows(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cenote.encode.windows._WINDOW", 4)
    strict = Encoder(str(folder), dtype="fp32", device="cpu", overflow="error")
    texts = ["a"] * 9 + ["b", LONG]
    with pytest.raises(ValueError, match="text 10 is"):
        strict.encode(texts)
    with pytest.raises(ValueError, match="text 10 is"):
        list(strict.states(texts))


@pytest.mark.parametrize("prompt", [None, "question: "])
def test_texts_without_a_token_of_their_own_are_counted_and_told(folder: Path, prompt: str | None) -> None:
    prompts = {} if prompt is None else {"document": prompt}
    encoder = Encoder(str(folder), dtype="fp32", device="cpu", prompts=prompts)
    encoder.encode(["", "a", "  \n", LONG, ""])
    assert encoder.report.empty_texts == 3
    assert "3 texts have no token of their own; their vectors say nothing of them" in str(encoder.report.sentence(None))


def test_kept_encodings_count_as_computed_ones_do(encoder: Encoder, tmp_path: Path) -> None:
    texts = [LONG, "a", LONG, "", "b", "a", ""]
    encoder.encode(texts)
    expected = Overflow(**vars(encoder.report))
    kept = Encodings(tmp_path)
    for _ in range(2):
        encoder.report.reset()
        kept.encode(encoder, [None], texts, "document")
        assert encoder.report == expected


def test_an_encoder_that_refuses_also_refuses_what_is_kept(encoder: Encoder, folder: Path, tmp_path: Path) -> None:
    kept = Encodings(tmp_path)
    kept.encode(encoder, [None], [LONG], "document")
    strict = Encoder(str(folder), dtype="fp32", device="cpu", overflow="error")
    with pytest.raises(ValueError, match="longer than the window"):
        kept.encode(strict, [None], [LONG], "document")
