"""A class token, and more so one beside a distillation token, verifies speakers better than a mean over time.

Mingote, Miguel, Ortega & Lleida, "Class token and knowledge distillation for multi-head self-attention speaker
verification systems" (2111.03842). There RSR2015 and DeepMine, which are licensed; here four speakers of ten spoken
digits, 8 kHz: a trial is right where speaker and digit are the same. Two layers of attention on mel bands; all speakers
are seen in training. Sixteen seeds, set beforehand: the spread of five asked for about fifteen.
"""

from __future__ import annotations

import io
import tarfile
import wave
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cenote.claims.finding import Finding
from cenote.claims.training import (
    Float64,
    Runs,
    Trial,
    differences,
    fit,
    needed,
    scores,
    shows,
    spread,
    together,
    tuned,
    word,
)
from cenote.pool.class_token import ClassToken
from cenote.pool.distillation_token import DistillationToken, distillation_token_loss
from cenote.pool.mean import Mean
from cenote.pool.memory_attention import MemoryAttention

DATA = "fsdd, 40 pairs of speaker and digit, 10 / 5 / 10 recordings each"
SPEAKERS, SPLIT = ("jackson", "nicolas", "theo", "yweweler"), (10, 5, 10)
RATES, SEEDS, STEPS, BATCH = (3e-3, 1e-2), 16, 200, 40
BANDS, WIDTH, HEADS, MEMORY, LAYERS = 24, 48, 4, 16, 2
FRAME, HOP, RATE = 256, 160, 8000
"""Samples of a frame, 32 ms, samples between frames, 20 ms, and samples a second."""
METHODS = ("mean", "class token", "class token of 20 candidates", "class and distillation token")


class Speech(NamedTuple):
    """Mel bands x (B, N, 24), mask (B, N), and which pair of speaker and digit each is (B,)."""

    x: Tensor
    mask: Tensor
    labels: Tensor


def recordings(data: Path) -> list[Speech]:
    """Return train, dev and test: other recordings of the same pairs."""
    found: list[list[tuple[Float64, int]]] = [[], [], []]
    for speaker, name in enumerate(SPEAKERS):
        with tarfile.open(data / "fsdd" / f"{name}.tar.gz") as archive:
            for member in sorted(archive.getmembers(), key=lambda one: one.name):
                digit, _, index = Path(member.name).stem.split("_") if member.name.endswith(".wav") else ("", "", "99")
                part = int(np.searchsorted(np.cumsum(SPLIT), int(index), side="right"))
                opened = archive.extractfile(member) if part < len(found) else None
                if opened is not None:
                    found[part].append((mel_bands(_samples(opened.read())), 10 * speaker + int(digit)))
    return [_padded(part) for part in found]


def mel_bands(samples: Float64) -> Float64:
    """Return the logarithms of the power in 24 mel bands, (frames, 24), each band with mean 0 and spread 1."""
    starts = np.arange(0, max(len(samples) - FRAME, 0) + 1, HOP)
    frames = np.pad(samples, (0, FRAME))[starts[:, None] + np.arange(FRAME)] * np.hanning(FRAME)
    power = np.abs(np.fft.rfft(frames)) ** 2
    bins = np.fft.rfftfreq(FRAME, 1 / RATE)
    # the mel scale of O'Shaughnessy (1987)
    edges = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + RATE / 2 / 700), BANDS + 2) / 2595) - 1)
    rising = (bins[:, None] - edges[:-2]) / np.diff(edges)[:-1]
    falling = (edges[2:] - bins[:, None]) / np.diff(edges)[1:]
    logs = np.log(power @ np.clip(np.minimum(rising, falling), 0, None) + 1e-6)
    normed: Float64 = (logs - logs.mean(0)) / (logs.std(0) + 1e-3)
    return normed


def _samples(raw: bytes) -> Float64:
    with wave.open(io.BytesIO(raw)) as sound:
        return np.frombuffer(sound.readframes(sound.getnframes()), "<i2").astype(np.float64) / 2**15


def _padded(part: list[tuple[Float64, int]]) -> Speech:
    x = torch.zeros(len(part), max(len(bands) for bands, _ in part), BANDS)
    mask = torch.zeros(x.shape[:2], dtype=torch.bool)
    for row, (bands, _) in enumerate(part):
        x[row, : len(bands)], mask[row, : len(bands)] = torch.from_numpy(bands), True
    return Speech(x, mask, torch.tensor([label for _, label in part]))


class Verifier(nn.Module):
    """Mel bands (B, N, 24) -> embeddings (B, 48) and logits, by one of the methods."""

    def __init__(self, method: str, classes: int = 40) -> None:
        super().__init__()
        self.front = nn.Linear(BANDS, WIDTH)
        self.attentions = nn.ModuleList(MemoryAttention(WIDTH, HEADS, memory=MEMORY) for _ in range(LAYERS))
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(LAYERS + 1))
        self.mean = Mean() if method == "mean" else None
        self.tokens: DistillationToken | ClassToken | None = None
        if method == METHODS[3]:
            self.tokens = DistillationToken(WIDTH, classes, embedding="mean")
        elif self.mean is None:
            self.tokens = ClassToken(WIDTH, 20 if method == METHODS[2] else 1)
        self.classify = nn.Linear(WIDTH, classes)

    def states(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the layers make of frames and tokens, and their mask."""
        x = self.front(x) + _positions(x.shape[1])
        if self.tokens is not None:
            x, mask = self.tokens.attach(x, mask)
        for norm, attention in zip(self.norms, self.attentions, strict=False):
            x = x + attention(norm(x), mask)
        normed: Tensor = self.norms[-1](x)
        return normed, mask

    def embed(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return the embeddings."""
        states, mask = self.states(x, mask)
        if self.mean is not None:
            pooled: Tensor = self.mean(states, mask)
            return pooled
        tokens = self.tokens
        assert tokens is not None
        return tokens.embed(states) if isinstance(tokens, DistillationToken) else tokens.read(states)


def _positions(frames: int) -> Tensor:
    # sines and cosines as in the first transformer
    angles = torch.arange(frames)[:, None] / 10000 ** (torch.arange(0, WIDTH, 2) / WIDTH)
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(1)


def equal_error_rate(embeddings: Tensor, labels: Tensor) -> float:
    """Return the rate at which cosines of equal and of different pairs are told apart wrongly equally often."""
    unit = F.normalize(embeddings, dim=1)
    rows, columns = torch.triu_indices(len(labels), len(labels), 1)
    cosines, same = (unit @ unit.T)[rows, columns], labels[rows] == labels[columns]
    order = cosines.argsort(descending=True)
    accepted = same[order].double()
    missed = 1 - accepted.cumsum(0) / accepted.sum()
    alarms = (1 - accepted).cumsum(0) / (1 - accepted).sum()
    at = int((missed - alarms).abs().argmin())
    return float((missed[at] + alarms[at]) / 2)


def check(data: Path) -> Finding:
    """Compare a mean over time, a class token, one drawn from candidates, and one beside a distillation token."""
    parts = recordings(data)
    runs: dict[str, Runs] = {}
    teachers: dict[tuple[int, float], Tensor] = {}
    for method in METHODS:
        rate = runs["class token"].rate if method == METHODS[3] else None
        runs[method] = tuned(partial(trial, parts, method, teachers, rate), RATES, SEEDS, sweep=3)
    beside = [one for name in METHODS[1:] for one in differences(runs, name, "mean", DATA, "less EER")]
    beside += differences(runs, METHODS[3], METHODS[1], DATA, "less EER")
    shown = shows(beside[:1]), shows(beside[3:])
    return Finding(
        claim="A class token that goes through self-attention verifies speakers with fewer errors than the mean over "
        "frames, and a distillation token beside it with fewer still.",
        holds=together(shown),
        verdict="Equal error rates are "
        f"{', '.join(f'{-one.scores.mean():.4f} ({name})' for name, one in runs.items())}. "
        f"That the class token errs less than the mean {word(shown[0])}: {spread(beside[0])}. With candidates it is "
        f"{spread(beside[1])}, beside a distillation token {spread(beside[2])}; that the latter errs less than the "
        f"class token alone {word(shown[1])}: {spread(beside[3])}.",
        baseline="the mean over frames in the same network",
        seeds=SEEDS,
        note=needed(together(shown), [beside[0], beside[3]], SEEDS),
        figures=(*scores(runs, DATA, "negative EER"), *beside),
    )


def trial(
    parts: list[Speech],
    method: str,
    teachers: dict[tuple[int, float], Tensor],
    taught_by: float | None,
    seed: int,
    rate: float,
) -> Trial:
    """Train to tell the 40 pairs apart, verify test recordings against each other; the score is the negative EER.

    teachers: what the networks with a class token say of the training data, kept by seed and rate for those they
    teach. taught_by: the teacher's rate.
    """
    train, dev, test = parts
    torch.manual_seed(seed)
    model = Verifier(method)

    teacher = teachers[seed, taught_by] if taught_by is not None else torch.zeros(0)

    def loss(rows: Tensor) -> Tensor:
        x, mask, labels = (each[rows] for each in train)
        if not isinstance(model.tokens, DistillationToken):
            return F.cross_entropy(model.classify(model.embed(x, mask)), labels)
        of_class, of_distillation = model.tokens.logits(model.states(x, mask)[0])
        return distillation_token_loss(of_class, of_distillation, labels, teacher[rows])

    def score(part: Speech) -> float:
        return -equal_error_rate(model.embed(part.x, part.mask), part.labels)

    best = fit(
        model, loss, lambda: score(dev), len(train.labels), rate=rate, steps=STEPS, batch=BATCH, seed=seed, checks=4
    )
    with torch.inference_mode():
        if method == "class token":
            teachers[seed, rate] = model.classify(model.embed(train.x, train.mask)).clone()
        return Trial(best, score(test))
