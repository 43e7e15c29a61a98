"""Counts those who knock without a good token, by address, and says when that is worth a line in the log."""

import threading
from collections import OrderedDict

#: So many addresses are remembered; the one that was quiet for longest is forgotten.
_ADDRESSES = 1024
_TELL_EVERY_S = 60.0


class Attempts:
    """Refused callers since the start.

    Nobody is shut out for it: 256 bits are not guessed, and behind one address there may be many people.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_address: OrderedDict[str, tuple[float, int]] = OrderedDict()
        self.refused = 0

    def count(self, address: str, now: float) -> int | None:
        """Count one; return how many to tell of: at the first and then once a minute and address, else None."""
        with self._lock:
            self.refused += 1
            told_at, silent = self._by_address.pop(address, (-_TELL_EVERY_S, 0))
            due = now - told_at >= _TELL_EVERY_S
            self._by_address[address] = (now, 0) if due else (told_at, silent + 1)
            if len(self._by_address) > _ADDRESSES:
                self._by_address.popitem(last=False)
        return silent + 1 if due else None
