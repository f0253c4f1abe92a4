"""Batches hold every text once, longest first, and no more tokens or texts than they may."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cenote import Encoder
from cenote.encode.batches import LEAST_TOKENS, batches


@given(
    st.lists(st.integers(1, 500), max_size=60), st.integers(1, 900), st.none() | st.integers(1, 9), st.integers(1, 8)
)
def test_every_text_is_in_one_batch_within_its_budget(
    lengths: list[int], tokens: int, texts: int | None, share: int
) -> None:
    found = list(batches(lengths, tokens, texts, share))
    assert sorted(row for batch in found for row in batch) == list(range(len(lengths)))
    ordered = [lengths[row] for batch in found for row in batch]
    assert ordered == sorted(lengths, reverse=True)
    for batch in found:
        assert len(batch) == 1 or sum(lengths[row] for row in batch) <= tokens
        assert texts is None or len(batch) <= texts


def test_the_last_batches_are_small_where_threads_share_them() -> None:
    sizes = [len(batch) * 10 for batch in batches([10] * 1000, 4000, None, 4)]
    assert sizes[0] > sizes[-1]
    assert max(sizes) <= 10_000 // 4
    assert all(size >= LEAST_TOKENS - 10 for size in sizes[:-1])


def test_the_number_of_texts_in_a_batch_changes_no_vector() -> None:
    pytest.importorskip("wordllama")
    encoder, texts = Encoder("wordllama"), ["rain", "bread and glass", "", "copper"]
    assert (encoder.encode(texts, batch_size=1) == encoder.encode(texts)).all()
    with pytest.raises(ValueError, match="batch_size must be at least 1, not 0"):
        encoder.encode(texts, batch_size=0)
