"""Which of a ledger's ended deliveries are kept in memory: the newest of all, and of each room that somebody has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator


class Ended:
    """The ids of what is over. `keep` in all are kept, and `keep_per_room` more of a room for as long as it is held:
    whoever talks there may ask what was found, however busy other rooms are.

    Raises ValueError naming the field that is wrong.
    """

    def __init__(self, keep: int, keep_per_room: int) -> None:
        for name, value in (("keep", keep), ("keep_per_room", keep_per_room)):
            if not isinstance(value, int) or isinstance(value, bool) or value < 0:
                raise ValueError(f"{name}: {value!r} is no whole number, 0 or more")
        self._keep = keep
        self._per_room = keep_per_room
        self._newest: dict[str, dict[str, None]] = {}
        """By held room, in order of their end."""
        self._rest: dict[str, None] = {}

    def hold(self, room: str, ids: Iterable[str]) -> None:
        """Somebody has the room, in which `ids` are over, in this order."""
        self.let_go(room)
        self._newest[room] = {}
        for id in ids:
            self._rest.pop(id, None)
            self.add(room, id)

    def let_go(self, room: str) -> None:
        """Nobody has the room any more."""
        self._rest.update(self._newest.pop(room, {}))

    def add(self, room: str, id: str) -> None:
        """This one is over."""
        newest = self._newest.get(room)
        if newest is None:
            self._rest[id] = None
            return
        newest[id] = None
        if len(newest) > self._per_room:
            self._rest[oldest := next(iter(newest))] = None
            del newest[oldest]

    def remove(self, room: str, id: str) -> None:
        """It is not over any more, or is gone."""
        self._rest.pop(id, None)
        self._newest.get(room, {}).pop(id, None)

    @property
    def surplus(self) -> int:
        """How many there are too many."""
        return max(0, len(self._rest) - self._keep)

    def drop(self, most: int) -> Iterator[str]:
        """The ids that are too many, oldest first and `most` of them; they are not kept any more."""
        for _ in range(min(most, self.surplus)):
            del self._rest[oldest := next(iter(self._rest))]
            yield oldest
