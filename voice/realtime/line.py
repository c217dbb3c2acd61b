"""A Line: something that a model is to say word for word, from when it is asked until it begins, or refuses."""

from __future__ import annotations

import asyncio

from voice.realtime.take import Take


class Line:
    """`begun` gives the take in which it is spoken, or None: it was refused. Raises what became of the session."""

    def __init__(self) -> None:
        self._begun: asyncio.Future[Take | None] = asyncio.get_running_loop().create_future()
        self.given_up = False
        """Nobody waits for it any more."""

    async def begun(self) -> Take | None:
        """The take in which it is spoken; None: it was refused."""
        try:
            return await self._begun
        except asyncio.CancelledError:
            self.given_up = True
            raise

    def begin(self, take: Take) -> None:
        """The model begins to say it."""
        if self._begun.done():
            self.given_up = True
        else:
            self._begun.set_result(take)

    def refuse(self) -> None:
        """The model does not say it: somebody was speaking."""
        if not self._begun.done():
            self._begun.set_result(None)

    def lose(self, error: Exception) -> None:
        """The session ended before."""
        if not self._begun.done():
            self._begun.set_exception(error)
            self._begun.exception()  # whoever asked may have gone
