"""A straight line through many traits, learned one example after the other, that forgets old ones."""

from collections.abc import Sequence

#: Learned weights are worked out anew after so many examples.
SOLVE_EVERY = 8


class Line:
    """Least squares with a prior: as if each weight had been seen with this much certainty beforehand.

    The prior never fades, so that traits which do not vary here cannot run away. An example costs the same, however
    many came before.
    """

    def __init__(self, weights: Sequence[float], certainty: Sequence[float], memory: float) -> None:
        """Begin with these weights; an example counts 1/e after `memory` later ones."""
        self.weights = list(weights)
        self._prior, self._certainty = tuple(weights), tuple(certainty)
        self._fade = 1.0 - 1.0 / memory
        size = range(len(weights))
        self._squares = [[0.0 for _ in size] for _ in size]
        self._products = [0.0 for _ in size]
        self._unsolved = 0

    def at(self, traits: Sequence[float]) -> float:
        """Return the value that is expected with these traits."""
        return sum(weight * trait for weight, trait in zip(self.weights, traits, strict=True))

    def learn(self, traits: Sequence[float], value: float) -> None:
        """Take in an example."""
        fade = self._fade
        for trait, row in zip(traits, self._squares, strict=True):
            row[:] = [fade * old + trait * other for old, other in zip(row, traits, strict=True)]
        self._products = [fade * old + trait * value for old, trait in zip(self._products, traits, strict=True)]
        self._unsolved += 1
        if self._unsolved >= SOLVE_EVERY:
            self._unsolved = 0
            self._solve()

    def _solve(self) -> None:
        rows = [[*squares, product] for squares, product in zip(self._squares, self._products, strict=True)]
        for place, (weight, certainty) in enumerate(zip(self._prior, self._certainty, strict=True)):
            rows[place][place] += certainty
            rows[place][-1] += certainty * weight
        self.weights = solved(rows)


def solved(rows: list[list[float]]) -> list[float]:
    """Return what solves these equations, each with its right-hand side last; symmetric and positive definite ones.

    Plain elimination: such equations need no search for a pivot.
    """
    size = len(rows)
    for place, pivot in enumerate(rows):
        for row in rows[place + 1 :]:
            factor = row[place] / pivot[place]
            if factor:
                row[place:] = [value - factor * above for value, above in zip(row[place:], pivot[place:], strict=True)]
    found = [0.0] * size
    for place in reversed(range(size)):
        row = rows[place]
        known = sum(row[other] * found[other] for other in range(place + 1, size))
        found[place] = (row[size] - known) / row[place]
    return found
