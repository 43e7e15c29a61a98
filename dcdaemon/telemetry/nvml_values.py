"""The values of one GPU in the order in which they are written to the parent; nonsense never gets in."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence


class Belief:
    """Between which values something can be meant, in the sample's unit."""

    __slots__ = ("low", "top")

    def __init__(self, top: float, low: float = 0) -> None:
        self.top, self.low = top, low


class Values:
    """One place per name; None is unknown. What no GPU can mean is dropped, and told once per burst."""

    def __init__(self, beliefs: Mapping[str, Belief]) -> None:
        self.names = tuple(beliefs)
        self.now: list[float | None] = [None] * len(beliefs)
        self._told: list[float | None] = [None] * len(beliefs)
        self._place = {name: place for place, name in enumerate(self.names)}
        self._beliefs = tuple(beliefs.values())
        self._odd: set[int] = set()
        self._news: list[tuple[str, float]] = []

    def place(self, name: str) -> int:
        """Return where a name's value stands."""
        return self._place[name]

    def of(self, name: str) -> float | None:
        """Return a value by name."""
        return self.now[self._place[name]]

    def put(self, place: int, value: float | None) -> None:
        """Take in what a GPU said; None when it could not tell."""
        if value is None:
            self.now[place] = None
            return
        belief = self._beliefs[place]
        # Written so that a NaN is no possible value either.
        if belief.low <= value <= belief.top:
            self.now[place] = value
            if self._odd:
                self._odd.discard(place)
            return
        self.now[place] = None
        if place not in self._odd:
            self._odd.add(place)
            self._news.append((self.names[place], value))

    def blank(self, places: Sequence[int]) -> None:
        """Know these no longer."""
        for place in places:
            self.now[place] = None

    def take_changes(self, since_place: int) -> list[float | None]:
        """Return place and value, by turns, of what has changed from this place on since the last call."""
        changes: list[float | None] = []
        if self.now[since_place:] != self._told[since_place:]:
            for place in range(since_place, len(self.now)):
                if self.now[place] != self._told[place]:
                    changes += (place, self.now[place])
            self._told = self.now.copy()
        return changes

    def take_odd(self) -> list[tuple[str, float]]:
        """Return the values that began to be nonsense since the last call."""
        news, self._news = self._news, []
        return news


class Asker(ABC):
    """Something that is asked of a GPU every so often."""

    def __init__(self, every_s: float) -> None:
        self.every_s, self.due_s = every_s, 0.0

    @abstractmethod
    def ask(self, now_s: float) -> bool:
        """Ask, and put the answers into their places; return False when it has to be asked again soon.

        Raise GpuLost or NoDriver when they apply.
        """

    @property
    def over(self) -> bool:
        """Whether there is nothing left that this GPU supports."""
        return False
