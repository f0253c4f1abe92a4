"""The plain poolers equal sentence-transformers' Pooling, and what their equations say."""

import numpy as np
import pytest
import torch
from sentence_transformers.sentence_transformer.modules import Pooling

from cenote import registry
from cenote.pool import Cls, Last, Max, Mean, Pooler, Sqrt, Sum, Weighted

MODES = [
    ("cls", "cls"),
    ("max", "max"),
    ("mean", "mean"),
    ("sqrt", "mean_sqrt_len_tokens"),
    ("weighted", "weightedmean"),
    ("last", "lasttoken"),
]


@pytest.mark.parametrize(("word", "mode"), MODES)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_it_equals_the_mode_of_sentence_transformers(word: str, mode: str, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(9, 17, 32, generator=generator)
    mask = torch.arange(17) < torch.randint(1, 18, (9, 1), generator=generator)
    peer = Pooling(32, mode)({"token_embeddings": x, "attention_mask": mask.long()})["sentence_embedding"]
    torch.testing.assert_close(registry.make(word, ("pool",))(x, mask), peer, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("pooler", "expected"),
    [
        (Cls(), lambda rows: rows[0]),
        (Last(), lambda rows: rows[-1]),
        (Max(), lambda rows: rows.max(axis=0)),
        (Mean(), lambda rows: rows.mean(axis=0)),
        (Sum(), lambda rows: rows.sum(axis=0)),
        (Sqrt(), lambda rows: rows.sum(axis=0) / np.sqrt(len(rows))),
        (Weighted(), lambda rows: np.average(rows, axis=0, weights=np.arange(1, len(rows) + 1))),
    ],
)
def test_it_equals_its_equation_over_the_kept_tokens_wherever_the_gaps_are(pooler: Pooler, expected: object) -> None:
    generator = np.random.default_rng(0)
    x, mask = generator.normal(size=(20, 9, 4)), generator.random((20, 9)) < 0.5
    mask[:, 4] = True
    wanted = np.stack([expected(row[kept]) for row, kept in zip(x, mask, strict=True)])  # type: ignore[operator]
    np.testing.assert_allclose(pooler(torch.from_numpy(x), torch.from_numpy(mask)).numpy(), wanted, atol=1e-12)


@pytest.mark.parametrize("pooler", [Cls(), Last(), Weighted()])
def test_the_side_of_the_padding_does_not_matter(pooler: Pooler) -> None:
    x = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0))
    left = torch.nn.functional.pad(x, (0, 0, 4, 0), value=torch.nan)
    right = torch.nn.functional.pad(x, (0, 0, 0, 4), value=torch.nan)
    on_the_left, on_the_right = torch.arange(9) >= 4, torch.arange(9) < 5
    assert torch.equal(pooler(left, on_the_left.expand(2, 9)), pooler(right, on_the_right.expand(2, 9)))


def test_a_greatest_value_may_be_negative() -> None:
    x = torch.tensor([[[-3.0], [-1.0], [5.0]]])
    mask = torch.tensor([[True, True, False]])
    assert Max()(x, mask).item() == -1
    assert Max().forward_packed(x[mask], torch.tensor([0, 2])).item() == -1


def test_a_broken_token_that_is_kept_shows() -> None:
    x = torch.zeros(1, 3, 2)
    x[0, 1, 0] = torch.nan
    for pooler in (Mean(), Max(), Sum()):
        assert pooler(x).isnan().tolist() == [[True, False]]
        assert pooler.forward_packed(x[0], torch.tensor([0, 3])).isnan().tolist() == [[True, False]]
