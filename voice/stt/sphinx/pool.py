"""A pool of decoders: one to whoever speaks, and none to whoever is silent, so a caller at rest costs nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable

from voice.stt.sphinx.decoder import Decoder


class Seat:
    """A place at a decoder. The decoder is made when it is first used, which is slow: not in the event loop."""

    def __init__(self, pool: Pool, make: Callable[[], Decoder]) -> None:
        self._pool = pool
        self._make = make
        self._decoder: Decoder | None = None
        self.grammar = ""
        """The key of the grammar it decoded last."""

    @property
    def decoder(self) -> Decoder:
        """The decoder itself."""
        if self._decoder is None:
            self._decoder = self._make()
        return self._decoder

    def leave(self) -> None:
        """Give it back."""
        self._pool._give_back(self)

    def scrap(self) -> None:
        """The decoder failed: close it, so that the next one who sits here gets a new one. It must be at rest."""
        broken, self._decoder, self.grammar = self._decoder, None, ""
        if broken:
            broken.close()


class Pool:
    """At most `size` seats. May be used from any thread; nothing here blocks."""

    def __init__(self, size: int, make: Callable[[], Decoder]) -> None:
        self._make = make
        self._free: list[Seat] = []
        self._unmade = size
        self._waiting: list[Callable[[], None]] = []
        self._lock = threading.Lock()

    def take(self, grammar: str, wake: Callable[[], None]) -> Seat | None:
        """A free seat, best one that knows the grammar; or None, and `wake` is called when it is worth asking again."""
        with self._lock:
            if self._free:
                seat = next((each for each in self._free if each.grammar == grammar), self._free[-1])
                self._free.remove(seat)
                return seat
            if self._unmade:
                self._unmade -= 1
                return Seat(self, self._make)
            self._waiting.append(wake)
            return None

    def _give_back(self, seat: Seat) -> None:
        with self._lock:
            self._free.append(seat)
            waiting, self._waiting = self._waiting, []
        for wake in waiting:
            wake()
