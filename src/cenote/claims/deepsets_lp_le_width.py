"""Sums of powers or exponentials tell sets apart with a width that grows as a polynomial, not exponentially.

Wang, Yang, Li, Wang & Li, "Polynomial width is sufficient for set representation with high-dimensional features"
(2307.04001), where it is proved for every set. Here a search for another set of the same vector, by Gauss and Newton
with damping, from sets of atoms of BZR and from the same coordinates put together otherwise: the width counted is the
least at which the search finds none. It is evidence that this width is enough, and no proof.
"""

from __future__ import annotations

from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.func import jacfwd, vmap

from cenote.claims.finding import Finding
from cenote.claims.gnp_learned_l_p_pooling import molecules
from cenote.claims.training import Float64, figure, one_thread, over_seeds
from cenote.pool.element_sum import ElementSum
from cenote.pool.le import LE
from cenote.pool.lp import LP, width_bounds

DATA = "bzr, atoms of 405 molecules"
SIZES, DIMS, SEEDS = (2, 3, 4, 5), (1, 2, 3), 3
SETS, STARTS, STEPS = 6, 12, 40
APART, EQUAL = 0.05, 1e-9
"""How far two sets of numbers in [-1, 1] are apart to be two, and how near their vectors are to be one."""


class Powers(ElementSum):
    """The powers 1..N of each coordinate alone, the baseline: it cannot say which coordinates belong together."""

    def __init__(self, dim: int, size: int) -> None:
        super().__init__(dim)
        self.size = size

    def embed(self, x: Tensor) -> Tensor:
        """Return the powers of every coordinate."""
        return torch.stack([x**power for power in range(1, self.size + 1)], -1).flatten(-2)


@one_thread()
def check(data: Path) -> Finding:
    """Find the least widths over sizes and dimensions, and how they grow."""
    atoms = torch.cat(molecules(data)).double()
    atoms = 2 * atoms / atoms.amax(0) - 1
    cells = list(product(SIZES, DIMS))
    least = {
        name: np.array([[least_width(name, atoms, *cell, seed) for cell in cells] for seed in range(SEEDS)], float)
        for name in ("LP", "LE")
    }
    marginal = [
        np.mean([_collides(Powers(d, n), atoms, n, d, seed) for seed in range(SEEDS)]) for n, d in cells if d > 1
    ]
    bound = {"LP": "lp_upper", "LE": "le_upper"}
    below = {
        name: bool(np.all(found <= [width_bounds(n, d)[bound[name]] for n, d in cells]))
        for name, found in least.items()
    }
    slopes = {name: np.array([growth(row, cells) for row in found]) for name, found in least.items()}
    means = {name: slope.mean(0) for name, slope in slopes.items()}
    shown = all(below.values()) and all(slope[:, 0].max() <= 5 and slope[:, 1].max() <= 2 for slope in slopes.values())
    most = (least["LP"] / [width_bounds(n, d)["lp_lower"] for n, d in cells]).max()
    figures = [
        *(
            figure(f"growth of {name}, power of {of}", DATA, over_seeds(slopes[name][:, axis]), 3)
            for name in slopes
            for axis, of in enumerate(("N", "D"))
        ),
        *(
            figure(f"least width of {name} for {n} atoms of {d} coordinates", DATA, over_seeds(found[:, cell]), 2)
            for name, found in least.items()
            for cell, (n, d) in enumerate(cells)
        ),
    ]
    return Finding(
        claim="To tell all sets of N vectors of D numbers apart, sums of powers of linear maps need a width of no more "
        "than the order N^5 D^2, at least N (D + 1), and sums of exponentials one of N^4 D^2.",
        holds=shown,
        verdict="The least width at which no second set is found grows as "
        f"N^{means['LP'][0]:.2f} D^{means['LP'][1]:.2f} for powers, never above {most:.2f} N (D + 1), and as "
        f"N^{means['LE'][0]:.2f} D^{means['LE'][1]:.2f} for exponentials, "
        f"{'far below' if shown else 'not everywhere below'} the bounds; powers of single coordinates are the same for "
        f"another set in {100 * np.mean(marginal):.0f} % of the cases of more than one dimension.",
        baseline="powers of each coordinate alone",
        seeds=SEEDS,
        figures=tuple(figures),
    )


def least_width(name: str, atoms: Tensor, size: int, dim: int, seed: int) -> int:
    """Return the least width from N D up at which the search finds no second set."""
    steps = range(dim, 100) if name == "LP" else range(size * dim, 100)
    make = partial(LP, dim, size, seed=seed) if name == "LP" else partial(LE, dim, seed=seed)
    poolers = (make(step) for step in steps)
    found = next(pooler for pooler in poolers if not _collides(pooler, atoms, size, dim, seed))
    return found.out_dim(dim)


def growth(widths: Float64, cells: list[tuple[int, int]]) -> Float64:
    """Return the powers of N and D in the law that fits the logarithms of the widths best."""
    logs = np.array([[np.log(n), np.log(d), 1] for n, d in cells])
    found: Float64 = np.linalg.lstsq(logs, np.log(widths), rcond=None)[0][:2]
    return found


def _collides(pooler: ElementSum, atoms: Tensor, size: int, dim: int, seed: int) -> bool:
    random = np.random.default_rng(seed)

    def draw() -> Tensor:
        return atoms[torch.from_numpy(random.permutation(len(atoms))[:size]), :dim]

    sets = torch.stack([draw() for _ in range(SETS)]).repeat_interleave(STARTS, 0)
    # every second start has the set's own coordinates, put together otherwise
    starts = torch.stack([_mixed(x, random) if row % 2 and dim > 1 else draw() for row, x in enumerate(sets)])
    return bool(collisions(pooler, sets, starts).any())


def _mixed(x: Tensor, random: np.random.Generator) -> Tensor:
    return torch.stack([column[torch.from_numpy(random.permutation(len(x)))] for column in x.T], 1)


def collisions(pooler: ElementSum, sets: Tensor, starts: Tensor) -> Tensor:
    """Search from starts (S, N, D) for sets of the same vector as sets (S, N, D); return bool (S,), where one is found.

    A step solves (J'J + damping) dx = J'(wanted - found); the damping falls where a step helped and grows where not.
    """

    def vector(flat: Tensor) -> Tensor:
        return pooler.embed(flat.view(sets.shape[1:])).sum(0)

    wanted, x = vmap(vector)(sets.flatten(1)), starts.flatten(1).clone()
    damping = torch.full((len(x), 1, 1), 1e-2, dtype=x.dtype)
    missed = wanted - vmap(vector)(x)
    for _ in range(STEPS):
        slope = vmap(jacfwd(vector))(x)
        square = slope.mT @ slope + damping * torch.eye(x.shape[1], dtype=x.dtype)
        tried = x + torch.linalg.solve(square, slope.mT @ missed[..., None])[..., 0]
        left = wanted - vmap(vector)(tried)
        better = left.square().sum(1) < missed.square().sum(1)
        x, missed = torch.where(better[:, None], tried, x), torch.where(better[:, None], left, missed)
        damping = torch.where(better[:, None, None], damping / 5, damping * 5).clamp(1e-15, 1e6)
    alike = missed.abs().amax(1) < EQUAL
    return alike & torch.tensor([_distance(a, b) > APART for a, b in zip(sets, x.view(sets.shape), strict=True)])


def _distance(first: Tensor, second: Tensor) -> float:
    apart = torch.cdist(first, second).numpy()
    pairs: float = apart[linear_sum_assignment(apart)].max()
    return pairs
