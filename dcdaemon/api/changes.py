"""Lets streams sleep until some job changes, however many there are."""

import asyncio

from dcdaemon.core.job import Job


class Changes:
    """A bell that the scheduler's thread rings and any number of coroutines wait for."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiters: set[asyncio.Future[None]] = set()
        #: How often it has rung; of two rings at once one may go uncounted, never both.
        self.rings = 0
        self.closing = False

    def bind(self, loop: asyncio.AbstractEventLoop) -> None:
        """Name the loop the waiting coroutines live on."""
        self._loop = loop

    def close(self) -> None:
        """Wake everybody for the last time, from any thread: the daemon stops."""
        self.closing = True
        self._call()

    def __call__(self, _: Job) -> None:
        """Ring, from any thread."""
        self._call()

    def _call(self) -> None:
        self.rings += 1  # before anyone is looked for: who lines up later sees it
        loop = self._loop
        if loop is not None and self._waiters and not loop.is_closed():
            loop.call_soon_threadsafe(self._ring)

    def _ring(self) -> None:
        waiters, self._waiters = self._waiters, set()
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def next(self, heard: int, timeout_s: float) -> None:
        """Return at the next ring after `heard` many, or after the timeout; a ring in between is not missed."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            if self.rings == heard:
                await asyncio.wait_for(waiter, timeout_s)
        except TimeoutError:
            pass
        finally:
            self._waiters.discard(waiter)
