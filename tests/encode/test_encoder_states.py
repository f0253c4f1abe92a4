"""States: every token once, packed, and each knows its characters."""

from collections.abc import Collection
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
import transformers
from tiny_models import KINDS, TEXTS, save

from cenote.encode import Encoder, States

Role = Literal["query", "document"]
PROMPT = "quick box: "


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("states")
    save(path, prompts={"query": PROMPT}, include_prompt=False)
    return path


@pytest.fixture(scope="module")
def encoder(folder: Path) -> Encoder:
    return Encoder(str(folder / "saved"), dtype="fp32", device="cpu", batch_tokens=60)


def one(encoder: Encoder, text: str, role: Role = "document", layers: Collection[int] | None = None) -> States:
    (states,) = encoder.states([text], role, layers)
    return states


def test_every_text_is_in_one_batch(encoder: Encoder) -> None:
    batches = list(encoder.states(TEXTS * 3))
    assert len(batches) > 3
    rows = np.concatenate([states.rows for states in batches])
    np.testing.assert_array_equal(np.sort(rows), np.arange(3 * len(TEXTS)))
    assert all(len(states) == len(states.rows) == len(states.offsets) - 1 for states in batches)


def test_a_batch_of_several_texts_keeps_to_its_budget(encoder: Encoder) -> None:
    assert all(int(states.offsets[-1]) <= 60 or len(states) == 1 for states in encoder.states(TEXTS * 3))


def test_states_of_a_text_are_the_same_in_any_batch(encoder: Encoder) -> None:
    for states in encoder.states(TEXTS * 2):
        for i, row in enumerate(states.rows):
            alone = one(encoder, (TEXTS * 2)[row])
            part = states.layers[states.last][states.offsets[i] : states.offsets[i + 1]]
            torch.testing.assert_close(part, alone.layers[alone.last], atol=1e-5, rtol=0)


def test_packed_and_padded_hold_the_same(encoder: Encoder) -> None:
    for states in encoder.states(TEXTS):
        x, mask = states.padded()
        packed, offsets = states.kept()
        assert x.shape[:2] == mask.shape
        torch.testing.assert_close(x[mask], packed, atol=0, rtol=0)
        assert mask.sum(1).tolist() == offsets.diff().tolist()
        beyond = torch.arange(x.shape[1])[None, :] >= states.offsets.diff()[:, None]
        assert not x[beyond].any()


@pytest.mark.parametrize("kind", ["bert", "distilbert", "modernbert"])
def test_layers_are_those_of_transformers(kind: str, tmp_path: Path) -> None:
    save(tmp_path, kind)
    encoder = Encoder(str(tmp_path / "saved"), dtype="fp32", device="cpu")
    model = transformers.AutoModel.from_pretrained(tmp_path / "raw").eval()
    ids = KINDS[kind][1]()(TEXTS[0], return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        hidden = model(input_ids=ids, output_hidden_states=True)
    states = one(encoder, TEXTS[0], layers=[0, 1, -1])
    assert sorted(states.layers) == [0, 1, 2]
    for layer in (0, 1):
        torch.testing.assert_close(states.layers[layer], hidden.hidden_states[layer][0], atol=1e-5, rtol=0)
    torch.testing.assert_close(states.layers[2], hidden.last_hidden_state[0], atol=1e-5, rtol=0)


def test_spans_give_the_characters_of_the_text(encoder: Encoder) -> None:
    text = "The QUICK brown fox, jumps!"
    states = one(encoder, text)
    words = [text[a:b] for a, b in states.spans[~states.special].tolist()]
    assert "".join(words) == text.replace(" ", "")
    assert (states.spans[states.special] == -1).all()
    assert states.special.tolist() == [True, *[False] * len(words), True]


def test_spans_count_from_the_text_also_behind_a_prompt(encoder: Encoder) -> None:
    text = "The QUICK brown fox, jumps!"
    plain, prompted = one(encoder, text), one(encoder, text, "query")
    (prompt,) = encoder.token_spans([PROMPT])
    behind = torch.cat([torch.tensor([0]), torch.arange(1 + len(prompt), len(prompted.spans))])
    assert prompted.spans[behind].tolist() == plain.spans.tolist()
    assert (prompted.spans[: 1 + len(prompt)] == -1).all()


def test_keep_leaves_out_what_the_models_pooling_leaves_out(encoder: Encoder) -> None:
    assert one(encoder, "the quick fox").keep.all()
    (prompt,) = encoder.token_spans([PROMPT])
    keep = one(encoder, "the quick fox", "query").keep
    assert not keep[: 1 + len(prompt)].any()
    assert keep[1 + len(prompt) :].all()


def test_a_cut_text_keeps_its_first_tokens_and_its_specials(folder: Path) -> None:
    short = Encoder(str(folder / "saved"), dtype="fp32", device="cpu", max_length=6)
    whole = Encoder(str(folder / "saved"), dtype="fp32", device="cpu")
    cut = one(short, TEXTS[0])
    assert cut.special.tolist() == [True, False, False, False, False, True]
    assert cut.spans[:5].tolist() == one(whole, TEXTS[0]).spans[:5].tolist()


def test_token_spans_cover_a_text_uncut(encoder: Encoder) -> None:
    assert encoder.max_length is not None
    for text, spans in zip(TEXTS, encoder.token_spans(TEXTS), strict=True):
        assert spans.shape == (len(spans), 2)
        assert "".join(text[a:b] for a, b in spans.tolist()) == "".join(text.split())
    assert max(map(len, encoder.token_spans(TEXTS))) > encoder.max_length


def test_lengths_are_the_tokens_that_are_read(folder: Path) -> None:
    roomy = Encoder(str(folder / "raw"), dtype="fp32", device="cpu", prompts={"query": PROMPT})
    texts = [text for text in TEXTS if len(text) < 60]
    for role in ("document", "query"):
        expected = [len(one(roomy, text, role).special) for text in texts]  # type: ignore[arg-type]
        assert roomy.lengths(texts, role).tolist() == expected  # type: ignore[arg-type]


def test_overhead_is_what_a_role_adds_to_a_text(encoder: Encoder) -> None:
    (spans,) = encoder.token_spans(["brown fox"])
    for role in ("document", "query"):
        assert encoder.lengths(["brown fox"], role)[0] == len(spans) + encoder.overhead(role)  # type: ignore[arg-type]


@pytest.mark.parametrize("layers", [[], [3], [-4], [0, 9]])
def test_a_layer_the_model_has_not_is_refused(layers: list[int], encoder: Encoder) -> None:
    with pytest.raises(ValueError, match="layers must lie between 0 and 2"):
        list(encoder.states(["a"], layers=layers))


def test_one_string_is_not_taken_for_its_letters(encoder: Encoder) -> None:
    with pytest.raises(TypeError, match="list of strings"):
        list(encoder.states("text"))


def test_no_text_gives_no_batch(encoder: Encoder) -> None:
    assert list(encoder.states([])) == []
