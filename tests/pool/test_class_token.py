"""Class and distillation tokens: what stands before the tokens, what is read, and what it is trained on."""

import pytest
import torch
from torch import Tensor, nn

from cenote.pool.class_token import ClassToken, ClassTokenPool
from cenote.pool.distillation_token import DistillationToken, distillation_token_loss
from cenote.pool.memory_attention import MemoryAttention

WIDTH = 8


def drawn(rows: int = 5, tokens: int = 6, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, tokens, WIDTH, generator=generator)
    return x, torch.arange(tokens) < torch.randint(1, tokens + 1, (rows, 1), generator=generator)


def test_an_encoder_that_attends_to_nothing_gives_the_token_itself() -> None:
    torch.manual_seed(0)
    token, (x, mask) = ClassToken(WIDTH), drawn()
    longer, kept = token.attach(x, mask)
    assert torch.equal(token.read(longer), token.token.expand(5, -1))
    assert torch.equal(longer[:, 1:], x)
    assert torch.equal(kept, torch.cat([torch.ones(5, 1, dtype=torch.bool), mask], 1))


def test_one_candidate_is_the_same_while_training_and_after() -> None:
    token, (x, mask) = ClassToken(WIDTH), drawn()
    trained = token.train().attach(x, mask)[0]
    assert torch.equal(trained, token.eval().attach(x, mask)[0])


def test_each_candidate_is_drawn_as_often_row_by_row() -> None:
    torch.manual_seed(0)
    token, rows = ClassToken(WIDTH, 5), 4000
    drawn_tokens = token.attach(torch.zeros(rows, 1, WIDTH), torch.ones(rows, 1, dtype=torch.bool))[0][:, 0]
    times = (drawn_tokens[:, None] == token.token).all(2).sum(0)
    assert times.sum() == rows
    # chi-square of 4 degrees of freedom: above 23.5 once in 10,000 seeds
    assert ((times - rows / 5) ** 2 / (rows / 5)).sum() < 23.5


def test_at_inference_the_candidates_are_averaged() -> None:
    torch.manual_seed(0)
    token, (x, mask) = ClassToken(WIDTH, 5).eval(), drawn()
    torch.testing.assert_close(token.read(token.attach(x, mask)[0]), token.token.mean(0).expand(5, -1))


@pytest.mark.parametrize("training", [True, False])
def test_candidates_that_are_equal_are_one_token(training: bool) -> None:
    torch.manual_seed(0)
    one, (x, mask) = ClassTokenPool(WIDTH), drawn()
    several = ClassTokenPool(WIDTH, candidates=4).train(training)
    weights = one.state_dict()
    several.load_state_dict(weights | {"token.token": weights["token.token"].expand(4, -1)})
    torch.testing.assert_close(several(x, mask), one(x, mask))


def test_every_candidate_learns() -> None:
    torch.manual_seed(0)
    pooler, (x, mask) = ClassTokenPool(WIDTH, candidates=3), drawn(60)
    pooler(x, mask).square().sum().backward()
    assert pooler.token.token.grad is not None
    assert (pooler.token.token.grad != 0).any(1).all()


def test_the_pooler_is_its_equation() -> None:
    torch.manual_seed(0)
    pooler, (x, mask) = ClassTokenPool(WIDTH, 2, 2, memory=3), drawn()
    for row, kept, found in zip(x, mask, pooler(x, mask), strict=True):
        z = torch.cat([pooler.token.token, row[kept]])[None]
        for norm, attention in zip(list(pooler.norms)[:2], pooler.attentions, strict=True):
            z = z + attention(norm(z), torch.ones(z.shape[:2], dtype=torch.bool))
        torch.testing.assert_close(found, pooler.norms[2](z[0, 0]))


@pytest.mark.parametrize("heads", [1, 4])
def test_attention_without_a_memory_is_that_of_torch(heads: int) -> None:
    torch.manual_seed(0)
    ours, peer = MemoryAttention(WIDTH, heads), nn.MultiheadAttention(WIDTH, heads, batch_first=True)
    with torch.no_grad():
        peer.in_proj_weight.copy_(ours.queries_keys_values.weight)
        peer.in_proj_bias.copy_(ours.queries_keys_values.bias)
        peer.out_proj.weight.copy_(ours.output.weight)
        peer.out_proj.bias.copy_(ours.output.bias)
    x, mask = drawn()
    expected = peer(x, x, x, key_padding_mask=~mask)[0]
    torch.testing.assert_close(ours(x, mask)[mask], expected[mask], rtol=1e-5, atol=1e-6)


def test_a_memory_is_attended_to_as_its_equation_says_and_never_masked() -> None:
    torch.manual_seed(0)
    ours, (x, mask) = MemoryAttention(WIDTH, 2, memory=3), drawn()
    found = ours(x, mask)
    for row, kept, answers in zip(x, mask, found, strict=True):
        q, k, v = ours.queries_keys_values(row[kept]).view(-1, 3, 2, 4).unbind(1)
        heads = []
        for head in range(2):
            keys = torch.cat([k[:, head], ours.memory_keys[head]])
            values = torch.cat([v[:, head], ours.memory_values[head]])
            heads.append((q[:, head] @ keys.T / 2).softmax(1) @ values)
        torch.testing.assert_close(answers[kept], ours.output(torch.cat(heads, 1)), rtol=1e-5, atol=1e-6)
    with torch.no_grad():
        ours.memory_values += 1
    assert not torch.isclose(ours(x, mask), found).all(2).any()


def logits(seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    of_class, of_distillation, teacher = torch.randn(3, 6, 4, generator=generator).unbind(0)
    return of_class, of_distillation, torch.randint(4, (6,), generator=generator), teacher


def test_the_loss_is_its_equation() -> None:
    of_class, of_distillation, labels, teacher = logits()
    p, q = (teacher / 3).softmax(1), (of_distillation / 3).softmax(1)
    divergence = (p * (p / q).log()).sum(1).mean()
    entropy = -of_class.softmax(1)[torch.arange(6), labels].log().mean()
    found = distillation_token_loss(of_class, of_distillation, labels, teacher, alpha=0.3, temperature=3)
    torch.testing.assert_close(found, 0.7 * entropy + 0.3 * 9 * divergence)


def test_without_a_teacher_it_is_cross_entropy() -> None:
    of_class, of_distillation, labels, teacher = logits()
    found = distillation_token_loss(of_class, of_distillation, labels, teacher, alpha=0)
    torch.testing.assert_close(found, nn.functional.cross_entropy(of_class, labels))


def test_a_student_that_says_what_the_teacher_says_has_nothing_to_learn_and_the_teacher_never_does() -> None:
    of_class, _, labels, teacher = logits()
    student, teacher = teacher.clone().requires_grad_(), teacher.requires_grad_()
    distillation_token_loss(of_class, student, labels, teacher, alpha=1, temperature=2).backward()
    assert student.grad is not None
    assert student.grad.abs().max() < 1e-7
    assert teacher.grad is None


def test_the_two_tokens_stand_in_front_and_are_read_where_they_stand() -> None:
    torch.manual_seed(0)
    both, (x, mask) = DistillationToken(WIDTH, 4), drawn()
    longer, kept = both.attach(x, mask)
    of_class, of_distillation = both.read(longer)
    assert torch.equal(of_class, both.class_token.token.expand(5, -1))
    assert torch.equal(of_distillation, both.distillation_token.token.expand(5, -1))
    assert torch.equal(longer[:, 2:], x)
    assert torch.equal(kept.sum(1), mask.sum(1) + 2)
    found = both.logits(longer)
    torch.testing.assert_close(found, (both.class_head(of_class), both.distillation_head(of_distillation)))


def test_the_embedding_is_made_of_the_states_that_are_asked_for() -> None:
    states = torch.randn(5, 7, WIDTH, generator=torch.Generator().manual_seed(0))
    made = {each: DistillationToken(WIDTH, 4, embedding=each) for each in ("class", "mean", "concat")}  # type: ignore[arg-type]
    assert torch.equal(made["class"].embed(states), states[:, 0])
    torch.testing.assert_close(made["mean"].embed(states), states[:, :2].mean(1))
    assert torch.equal(made["concat"].embed(states), torch.cat([states[:, 0], states[:, 1]], 1))


def test_a_student_learns_the_label_with_one_token_and_the_teacher_with_the_other() -> None:
    """Labels and teacher disagree, so that each token can be right only about its own."""
    torch.manual_seed(0)
    x, labels = torch.randn(64, 5, WIDTH), torch.arange(64) % 2
    x[:, 2, 0] += 4 * labels - 2
    x[:, 3, 1] += 4 * (torch.arange(64) // 2 % 2) - 2
    teacher = 6 * nn.functional.one_hot(torch.arange(64) // 2 % 2, 2).float()
    tokens, attention = DistillationToken(WIDTH, 2), MemoryAttention(WIDTH, 2, memory=2)
    mask = torch.ones(64, 5, dtype=torch.bool)
    optimiser = torch.optim.Adam([*tokens.parameters(), *attention.parameters()], 0.02)
    for _ in range(80):
        z, kept = tokens.attach(x, mask)
        loss = distillation_token_loss(*tokens.logits(z + attention(z, kept)), labels, teacher)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    z, kept = tokens.attach(x, mask)
    of_class, of_distillation = tokens.logits(z + attention(z, kept))
    assert (of_class.argmax(1) == labels).float().mean() > 0.9
    assert (of_distillation.argmax(1) == teacher.argmax(1)).float().mean() > 0.9


def test_bad_arguments_are_refused_in_words() -> None:
    x, mask = drawn(2, 6)
    with pytest.raises(ValueError, match="candidates must be at least 1, not 0"):
        ClassToken(WIDTH, 0)
    with pytest.raises(ValueError, match="6 tokens and the class token exceed the 6 positions of the encoder"):
        ClassToken(WIDTH, window=6).attach(x, mask)
    assert ClassToken(WIDTH, window=7).attach(x, mask)[0].shape[1] == 7
    with pytest.raises(ValueError, match="exceed the 7 positions"):
        DistillationToken(WIDTH, 2, window=7).attach(x, mask)
    assert DistillationToken(WIDTH, 2, window=8).attach(x, mask)[0].shape[1] == 8
    with pytest.raises(ValueError, match="layers must be at least 1"):
        ClassTokenPool(WIDTH, 0)
    with pytest.raises(ValueError, match="heads must divide dim=8, which 3 does not"):
        MemoryAttention(WIDTH, 3)
    with pytest.raises(ValueError, match="memory must not be below 0"):
        MemoryAttention(WIDTH, 2, memory=-1)
    with pytest.raises(ValueError, match="embedding must be class, mean or concat"):
        DistillationToken(WIDTH, 2, embedding="both")  # type: ignore[arg-type]
    of_class, of_distillation, labels, teacher = logits()
    for alpha in (-0.1, 1.1):
        with pytest.raises(ValueError, match=r"alpha must lie in \[0, 1\]"):
            distillation_token_loss(of_class, of_distillation, labels, teacher, alpha=alpha)
    with pytest.raises(ValueError, match="temperature must be above 0"):
        distillation_token_loss(of_class, of_distillation, labels, teacher, temperature=0)
    with pytest.raises(ValueError, match="student and teacher must know the same classes"):
        distillation_token_loss(of_class, of_distillation, labels, teacher[:, :3])
