"""Classes: how well a linear classifier on the vectors tells the classes of texts apart. The measure is accuracy."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from cenote.measure.annotated import Labelled
from cenote.measure.logistic import Logistic
from cenote.measure.task import Float64, Listener, Progress, Records, Vectorial, mean


class ClassesTask:
    """Labelled texts to learn from, and others to classify. A unit is one of the latter: 1 where it is right.

    Raises ValueError for fewer than two classes to learn, for as many as there are texts, and for a class to classify
    that no text to learn from has.
    """

    measures: Sequence[str] = ("accuracy",)
    statistic: Callable[[Float64], float] = staticmethod(mean)
    unit_name = "text"

    def __init__(self, train: Sequence[Labelled], test: Sequence[Labelled], seed: int = 0) -> None:
        self.train, self.test, self.seed = list(train), list(test), seed
        self.classes = sorted({one.label for one in self.train})
        if len(self.classes) < 2:
            raise ValueError("the texts to learn from have one class; at least two are expected")
        if len(self.classes) == len(self.train):
            reason = f"each of the {len(self.train)} texts to learn from has a class of its own"
            raise ValueError(f"{reason}; give classes of several texts, or name the right columns")
        if unknown := sorted({one.label for one in self.test} - set(self.classes)):
            known = ", ".join(self.classes[:10]) + ", …" * (len(self.classes) > 10)
            hint = "add such texts to learn from, or leave those that have it out"
            raise ValueError(f"no text to learn from has the class {unknown[0]!r} (they have {known}); {hint}")

    @property
    def units(self) -> list[str]:
        """The texts to classify, numbered from 1."""
        return [str(n) for n in range(1, len(self.test) + 1)]

    @property
    def queries(self) -> list[str]:
        """The texts to classify."""
        return [one.text for one in self.test]

    @property
    def sample(self) -> list[str]:
        """Texts that a stage may learn from: those to learn from."""
        return [one.text for one in self.train]

    @property
    def texts(self) -> list[str]:
        """Those to learn from, and those to classify."""
        return [one.text for one in (*self.train, *self.test)]

    def describe(self, unit: str) -> str:
        """Return the text and its class."""
        one = self.test[int(unit) - 1]
        return f"{one.text} ({one.label})"

    def score(
        self, system: Vectorial, *, listener: Listener | None = None, progress: Progress | None = None
    ) -> Records:
        """Fit the classifier on the vectors to learn from, and return {"accuracy": (n,)}."""
        number = {label: n for n, label in enumerate(self.classes)}
        x = system.vectors(self.texts)
        if progress is not None:
            progress(len(self.test))
        learnt, asked = x[: len(self.train)], x[len(self.train) :]
        model = Logistic.tuned(learnt, np.array([number[one.label] for one in self.train], np.int64), self.seed)
        truth = np.array([number[one.label] for one in self.test], np.int64)
        return Records(tuple(self.units), {"accuracy": (model.predict(asked) == truth).astype(np.float64)})
