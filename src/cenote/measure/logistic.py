"""Logistic regression: the plain classifier that tells how much of a class a vector holds.

    min over W, c  of  mean_i [ log sum_k exp(W_k x_i + c_k) − (W_y x_i + c_y) ] + |W|² / (2 C n)

Solved by L-BFGS. C is picked on a part of the training texts that is held out, the same part for every system.
"""

from __future__ import annotations

import numpy as np

from cenote.arrays import Float32, Int64
from cenote.measure.task import Float64

STRENGTHS = (1.0, 10.0, 100.0, 1000.0)
"""C that are tried: vectors have unit length, which wants weak regularisation."""
_HELD_OUT = 0.2
_ITERATIONS = 200


class Logistic:
    """A linear classifier. weights: (K, d); bias: (K,); strength: the C that was used."""

    def __init__(self, weights: Float64, bias: Float64, strength: float) -> None:
        self.weights, self.bias, self.strength = weights, bias, strength

    @classmethod
    def fit(cls, x: Float32, y: Int64, strength: float) -> Logistic:
        """Fit x (n, d) and classes y (n,), numbered from 0, with one C.

        Raises ValueError for fewer than two classes.
        """
        from scipy.optimize import minimize

        classes, (rows, width) = int(y.max(initial=-1)) + 1, x.shape
        if classes < 2:
            raise ValueError("y holds one class; at least two are needed to tell apart")
        wide = np.concatenate([x, np.ones((rows, 1), x.dtype)], axis=1).astype(np.float64)
        truth = np.zeros((rows, classes))
        truth[np.arange(rows), y] = 1
        decay = np.full((classes, width + 1), 1 / (strength * rows))
        decay[:, -1] = 0

        def loss(flat: Float64) -> tuple[float, Float64]:
            w = flat.reshape(classes, width + 1)
            scores = wide @ w.T
            scores -= scores.max(axis=1, keepdims=True)
            log_sum = np.log(np.exp(scores).sum(axis=1, keepdims=True))
            slope = (np.exp(scores - log_sum) - truth).T @ wide / rows + decay * w
            return float((log_sum[:, 0] - scores[truth > 0]).mean() + (decay * w * w).sum() / 2), slope.ravel()

        found = minimize(loss, np.zeros(classes * (width + 1)), jac=True, method="L-BFGS-B",
                         options={"maxiter": _ITERATIONS})  # fmt: skip
        w = found.x.reshape(classes, width + 1)
        return cls(w[:, :-1], w[:, -1], strength)

    @classmethod
    def tuned(cls, x: Float32, y: Int64, seed: int = 0) -> Logistic:
        """Fit with the C that classifies a held-out part best, of equals the smallest."""
        order = np.random.default_rng(seed).permutation(len(x))
        held = order[: max(1, int(_HELD_OUT * len(x)))]
        rest = order[len(held) :]
        if len(np.unique(y[rest])) < 2:
            return cls.fit(x, y, STRENGTHS[0])
        right = [float((cls.fit(x[rest], y[rest], c).predict(x[held]) == y[held]).mean()) for c in STRENGTHS]
        return cls.fit(x, y, STRENGTHS[int(np.argmax(right))])

    def predict(self, x: Float32) -> Int64:
        """Return the class of each row."""
        return np.asarray((x @ self.weights.T + self.bias).argmax(axis=1), np.int64)
