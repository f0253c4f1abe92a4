"""Poolers of a pair of mentions: the path in the tree is the shortest, and each part is the maximum it says."""

import gzip
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from cenote.pool.dependency import DependencyPool
from cenote.pool.dependency_path import dependency_path
from cenote.pool.entities import EntityPool
from cenote.pool.entity_sentence import EntitySentencePool
from cenote.pool.max import Max
from cenote.pool.mentions import Mentions
from cenote.pool.piecewise import PiecewisePool

nx = pytest.importorskip("networkx")
D = 4
POOLERS = [EntityPool, EntitySentencePool, PiecewisePool, DependencyPool]


def random_tree(words: int, seed: int, roots: int = 1) -> list[int]:
    """Heads of a random forest whose words are in no order."""
    draw = random.Random(seed)
    order = draw.sample(range(words), words)
    heads = [-1] * words
    for i, word in enumerate(order[roots:], start=roots):
        heads[word] = draw.choice(order[:i])
    return heads


def random_spans(words: int, seed: int) -> list[list[int]]:
    """Two mentions that share no word, in either order."""
    draw = random.Random(seed)
    a, b, c, d = sorted(draw.choices(range(words + 1), k=4))
    found = [[a, max(b, a + 1)], [max(c, b, a + 1), max(d, c + 1, b + 1, a + 2)]]
    if found[1][1] > words:
        found = [[0, 1], [words - 1, words]]
    return draw.sample(found, 2)


def by_networkx(heads: list[int], spans: list[list[int]], hops: int = 0) -> set[int]:
    """The same by a general shortest path, the roots joined by one more node."""
    graph = nx.Graph((word, "joint" if head < 0 else head) for word, head in enumerate(heads))
    own = [next(w for w in range(*span) if heads[w] not in range(*span)) for span in spans]
    path = nx.shortest_path(graph, *own)
    near = {word for step in path for word in nx.single_source_shortest_path_length(graph, step, cutoff=hops)}
    return (near - {"joint"}) | {word for span in spans for word in range(*span)}


def found(heads: list[int], spans: list[list[int]], hops: int = 0) -> set[int]:
    """The words of one row of `dependency_path`."""
    marked = dependency_path(torch.tensor([heads]), torch.tensor([spans]), hops)[0]
    return set(marked.nonzero().flatten().tolist())


@pytest.mark.parametrize("hops", [0, 1, 2, 5])
@pytest.mark.parametrize("roots", [1, 2, 4])
def test_the_path_is_the_shortest_that_networkx_finds_in_random_trees(hops: int, roots: int) -> None:
    for seed in range(30):
        words = 4 + seed
        heads, spans = random_tree(words, seed, roots), random_spans(words, seed)
        assert found(heads, spans, hops) == by_networkx(heads, spans, hops), (heads, spans)


def sentences() -> Iterator[list[int]]:
    """The heads of real sentences, annotated by people."""
    folder = Path(os.environ.get("CENOTE_DATA", "")) / "ud-english-lines"
    if not folder.is_dir():
        pytest.skip("CENOTE_DATA does not say where the trees are")
    heads: list[int] = []
    with gzip.open(folder / "en_lines-ud-test.conllu.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            cells = line.split("\t")
            if cells[0].isdigit():
                heads.append(int(cells[6]) - 1)
            elif not line.strip():
                yield heads
                heads = []


def test_the_path_is_the_shortest_that_networkx_finds_in_real_sentences() -> None:
    rows = [heads for heads in sentences() if len(heads) > 1][:300]
    spans = [random_spans(len(heads), seed) for seed, heads in enumerate(rows)]
    most = max(map(len, rows))
    padded = torch.tensor([heads + [-2] * (most - len(heads)) for heads in rows])
    for hops in (0, 1):
        marked = dependency_path(padded, torch.tensor(spans), hops)
        for row, heads, pair in zip(marked, rows, spans, strict=True):
            assert set(row.nonzero().flatten().tolist()) == by_networkx(heads, pair, hops)


def batch(seed: int = 0) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Six rows of 3 to 12 words in one to three tokens each, with a special token at each end and padding between."""
    draw = random.Random(seed)
    generator = torch.Generator().manual_seed(seed)
    words, heads, spans = [], [], []
    for row in range(6):
        count = 3 + draw.randrange(10)
        words.append([-1, *(w for w in range(count) for _ in range(draw.randint(1, 3))), -1])
        heads.append(random_tree(count, seed + row))
        spans.append(random_spans(count, seed + row))
    tokens, most = max(map(len, words)), max(map(len, heads))
    mask = torch.tensor([[True] * len(row) + [False] * (tokens - len(row)) for row in words])
    side = {
        "words": torch.tensor([row + [0] * (tokens - len(row)) for row in words]),
        "spans": torch.tensor(spans),
        "heads": torch.tensor([row + [-2] * (most - len(row)) for row in heads]),
    }
    x = torch.randn(6, tokens, D, generator=generator, dtype=torch.float64)
    return x.masked_fill(~mask[:, :, None], torch.nan), mask, side


def sides(pooler: Mentions, side: dict[str, Tensor]) -> dict[str, Tensor]:
    """The side inputs that a pooler takes."""
    return {name: side[name] for name in pooler.side}


def greatest(x: Tensor, words: Tensor, wanted: object) -> Tensor:
    """The maximum over the tokens whose word is wanted, zeros where there is none."""
    rows = [token for token, word in zip(x, words.tolist(), strict=True) if wanted(word)]  # type: ignore[operator]
    return torch.stack(rows).amax(0) if rows else x.new_zeros(D)


@pytest.mark.parametrize("kind", POOLERS)
@pytest.mark.parametrize("seed", [0, 10, 20])
def test_each_part_is_the_maximum_of_the_tokens_it_says(kind: type[Mentions], seed: int) -> None:
    x, mask, side = batch(seed)
    out = kind()(x, mask, side=sides(kind(), side))
    for i in range(6):
        kept, words = x[i][mask[i]], side["words"][i][mask[i]]
        (a, b), (c, d) = side["spans"][i].tolist()
        first, behind = min(a, c), max(b, d)
        heads = [head for head in side["heads"][i].tolist() if head >= -1]
        path = by_networkx(heads, side["spans"][i].tolist())
        wanted = {
            EntityPool: [],
            EntitySentencePool: [lambda w: True],
            PiecewisePool: [
                lambda w: 0 <= w < first,
                lambda w: min(b, d) <= w < max(a, c),
                lambda w: w >= behind,
            ],
            DependencyPool: [lambda w: w in path],
        }[kind]
        parts = [lambda w: a <= w < b, lambda w: c <= w < d, *wanted]
        torch.testing.assert_close(out[i], torch.cat([greatest(kept, words, part) for part in parts]))


def test_enough_hops_reach_the_whole_sentence() -> None:
    x, mask, side = batch()
    out = DependencyPool(hops=20)(x, mask, side=side)
    inside = mask & (side["words"] >= 0)
    torch.testing.assert_close(out[:, 2 * D :], Max()(x, inside))


@pytest.mark.parametrize("kind", POOLERS)
def test_swapped_mentions_swap_their_parts_and_no_other(kind: type[Mentions]) -> None:
    x, mask, side = batch()
    out = kind()(x, mask, side=sides(kind(), side))
    swapped = kind()(x, mask, side=sides(kind(), side | {"spans": side["spans"].flip(1)}))
    assert torch.equal(swapped, torch.cat([out[:, D : 2 * D], out[:, :D], out[:, 2 * D :]], 1))


def test_words_off_the_path_have_no_gradient() -> None:
    x, mask, side = batch()
    x = x.masked_fill(~mask[:, :, None], 0).requires_grad_()
    DependencyPool(hops=1)(x, mask, side=side)[:, 2 * D :].sum().backward()
    near = dependency_path(side["heads"], side["spans"], 1)
    on = near.gather(1, side["words"].clamp(min=0)) & mask & (side["words"] >= 0)
    assert x.grad is not None
    assert (x.grad[~on] == 0).all()
    assert (x.grad[on] != 0).any()
    assert (~on & mask).any()


def test_mentions_side_by_side_have_nothing_between_them() -> None:
    x = torch.randn(1, 5, D)
    side = {"words": torch.arange(5)[None], "spans": torch.tensor([[[2, 4], [1, 2]]])}
    out = PiecewisePool()(x, side=side).view(5, D)
    assert torch.equal(out[2], x[0, 0])
    assert (out[3] == 0).all()
    assert torch.equal(out[4], x[0, 4])


def test_mentions_may_overlap_where_that_is_said() -> None:
    x = torch.randn(1, 4, D)
    side = {"words": torch.arange(4)[None], "spans": torch.tensor([[[0, 3], [1, 2]]])}
    with pytest.raises(ValueError, match=r"the mentions of rows \[0\] overlap; make the pooler with overlap=True"):
        EntityPool()(x, side=side)
    out = PiecewisePool(overlap=True)(x, side=side).view(5, D)
    torch.testing.assert_close(out[:2], torch.stack([x[0, :3].amax(0), x[0, 1]]))
    assert (out[2:4] == 0).all()


def refused(pooler: Mentions, message: str, error: type[Exception] = ValueError, **changed: Tensor) -> None:
    """Both forms refuse a batch of two rows of four words with something changed."""
    x = torch.randn(2, 4, D)
    side = {
        "words": torch.arange(4).expand(2, 4),
        "spans": torch.tensor([[[0, 1], [2, 4]], [[3, 4], [1, 2]]]),
        "heads": torch.tensor([[-1, 0, 1, 2], [1, -1, 1, 1]]),
    } | changed
    with pytest.raises(error, match=message):
        pooler(x, side=sides(pooler, side))
    packed = sides(pooler, side)
    packed["words"] = packed["words"].flatten()
    with pytest.raises(error, match=message.replace("(2, 4)", "(8,)").replace(r"\(2, 4\)", r"\(8,\)")):
        pooler.forward_packed(x.flatten(0, 1), torch.tensor([0, 4, 8]), side=packed)


@pytest.mark.parametrize("kind", POOLERS)
@pytest.mark.parametrize("span", [[2, 2], [3, 2], [-1, 1]])
def test_a_mention_without_words_is_refused(kind: type[Mentions], span: list[int]) -> None:
    spans = torch.tensor([[[0, 1], [2, 4]], [[3, 4], span]])
    refused(kind(overlap=True), f"mention 1 of row 1 is empty, from word {span[0]} to before {span[1]}", spans=spans)


def test_a_mention_beyond_the_words_is_refused() -> None:
    spans = torch.tensor([[[0, 1], [4, 5]], [[3, 4], [1, 2]]])
    refused(EntityPool(), "no kept token of row 0 belongs to its mention 1; is it beyond", spans=spans)
    refused(DependencyPool(), "mention 1 of row 0 is from 4 to before 5, of 4 words", spans=spans)


def test_a_tree_that_runs_in_a_circle_is_refused_with_the_word() -> None:
    heads = torch.tensor([[-1, 0, 1, 2], [-1, 2, 3, 1]])
    refused(DependencyPool(), "from word 1 of row 1 no root is reached; they run in a circle", heads=heads)
    heads = torch.tensor([[-1, 0, 2, 2], [-1, 0, 0, 0]])
    refused(DependencyPool(), "from word 2 of row 0 no root is reached", heads=heads)


@pytest.mark.parametrize("head", [4, 9])
def test_a_head_that_is_no_word_is_refused_with_the_word(head: int) -> None:
    heads = torch.tensor([[-1, 0, 1, 2], [-1, 0, head, 0]])
    refused(DependencyPool(), f"word 2 of row 1 hangs from {head}, which is no word of it", heads=heads)


def test_a_head_behind_the_last_word_of_its_row_is_refused() -> None:
    heads = torch.tensor([[-1, 0, 1, 2], [3, -1, 1, -2]])
    refused(DependencyPool(), "word 0 of row 1 hangs from 3, which is no word of it", heads=heads, words=WORDS)


WORDS = torch.tensor([[0, 1, 2, 3], [0, 1, 2, 2]])


def test_a_token_of_a_word_the_tree_does_not_have_is_refused() -> None:
    heads = torch.tensor([[-1, 0, 1, 2], [-1, 0, 0, -2]])
    refused(DependencyPool(), "a token of row 1 is of word 3, but heads has 3 words", heads=heads)


def test_a_missing_tree_is_asked_for_by_name() -> None:
    side = {"words": torch.arange(4)[None], "spans": torch.tensor([[[0, 1], [2, 3]]])}
    with pytest.raises(ValueError, match="needs side={'heads': …}"):
        DependencyPool()(torch.randn(1, 4, D), side=side)


def test_side_inputs_of_another_shape_or_type_are_refused() -> None:
    refused(EntityPool(), "words must hold integers", TypeError, words=torch.zeros(2, 4))
    refused(EntityPool(), r"words must have shape \(2, 4\), not", words=torch.zeros(2, 3, dtype=torch.int64))
    refused(EntityPool(), r"spans must have shape \(2, 2, 2\), not", spans=torch.zeros(2, 2, dtype=torch.int64))
    refused(DependencyPool(), "heads must hold integers", TypeError, heads=torch.zeros(2, 4))
    refused(DependencyPool(), r"heads must have shape \(2, words\)", heads=torch.zeros(1, 4, dtype=torch.int64))


def test_hops_are_counted_from_nothing() -> None:
    with pytest.raises(ValueError, match="hops must be at least 0, not -1"):
        DependencyPool(hops=-1)
    with pytest.raises(ValueError, match="hops must be at least 0, not -1"):
        found([-1, 0], [[0, 1], [1, 2]], -1)
