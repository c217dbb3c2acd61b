"""When a delivery may be spoken: Immediate, WaitForIdle, Queued, and yours. Pure policy, no state, no clock.

A strategy has a written form, so that a delivery keeps its own over a restart; one that is not known any more is an
error, never another strategy.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, is_dataclass
from typing import Any, ClassVar

from delivery.ledger import Delivery
from voice.floor import FloorState, FloorView

LONGEST = 24 * 3600.0
"""No wait of a strategy or delivery may be set longer than a day (seconds)."""
LONGEST_SEPARATOR = 100
"""Most characters between two merged texts: it is said each time."""


class Strategy:
    """Subclass as a frozen dataclass with a `name` of your own; its fields must be JSON.

    A subclass is known by its name from the moment it is defined; two classes of one name are an error. The process
    that has the room must have defined it too: elsewhere its deliveries are set aside (`dead`), never spoken by another
    strategy. `when` is asked again and again while the room waits: it must be quick, and must not change anything. If
    it raises, or returns what is no time, its delivery is set aside and the others go on.

    >>> @dataclass(frozen=True)
    ... class Unhurried(Strategy):
    ...     '''The longer it takes to say, the longer the silence it waits for.'''
    ...
    ...     name: ClassVar[str] = "unhurried"
    ...     buffer: float = 0.5
    ...     per_word: float = 0.25
    ...
    ...     def when(self, delivery: Delivery, floor: FloorView, now: float) -> float | None:
    ...         return idle_since(floor, self.buffer + self.per_word * len(delivery.content.split()))
    >>> resolve("unhurried").written()
    {'name': 'unhurried', 'buffer': 0.5, 'per_word': 0.25}
    >>> silent = FloorView(FloorState.OPEN, None, since=10.0, quiet_since=10.0)
    >>> Unhurried().when(Delivery("d1", "lobby", "The boat is here.", {}), silent, now=10.0)
    11.5

    Given to `Runtime(delivery=...)`, to `create_room(delivery=...)` or to `deliver(strategy=...)`, the nearest counts.
    """

    name: ClassVar[str]
    merges: ClassVar[bool] = False
    """Everything of the room that is due at the same time goes out as one message."""
    talks_over: ClassVar[bool] = False
    """It may be spoken over the caller, and cuts what the agent is saying."""
    impartial: ClassVar[bool] = False
    """`when` looks at the floor and the time only: deliveries of equal strategies are asked for once, all together.

    It is False again in a subclass that has a `when` of its own and does not say so itself.
    """
    separator: str = " "
    """What stands between merged texts."""
    max_wait: float | None = 30.0
    """Seconds after which it asks for the floor at the end of a caller's turn (None: never)."""

    _known: ClassVar[dict[str, type[Strategy]]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        name = cls.__dict__.get("name")
        if not isinstance(name, str) or not name:
            raise TypeError(f"{cls.__name__}: a strategy needs a class attribute `name`, a non-empty string")
        known = Strategy._known.get(name)
        if known is not None and not _same_class(known, cls):
            raise TypeError(
                f"{cls.__name__}: the strategy name {name!r} is taken by {known.__module__}.{known.__qualname__}"
            )
        Strategy._known[name] = cls
        nearest = next(c for c in cls.__mro__ if "when" in c.__dict__ or "impartial" in c.__dict__)
        if "impartial" not in nearest.__dict__:
            cls.impartial = False

    def when(self, delivery: Delivery, floor: FloorView, now: float) -> float | None:
        """The loop time from which `delivery` may be spoken if the floor stays as it is; None: not on this floor."""
        raise NotImplementedError

    def written(self) -> dict[str, Any]:
        """Its name and parameters as JSON. Raises TypeError when it has parameters that could not be read back."""
        parameters: dict[str, Any] = asdict(self) if is_dataclass(self) else {}
        if not parameters and getattr(self, "__dict__", None):
            raise TypeError(f"{type(self).__name__} has parameters: make it a frozen dataclass, so that they are kept")
        return {"name": self.name, **parameters}


@dataclass(frozen=True)
class Immediate(Strategy):
    """Now: cuts the agent and may talk over the caller; waits only for somebody who hears."""

    name: ClassVar[str] = "immediate"
    talks_over: ClassVar[bool] = True
    impartial: ClassVar[bool] = True

    def when(self, delivery: Delivery, floor: FloorView, now: float) -> float | None:
        """At once, unless nobody hears."""
        return None if floor.state is FloorState.EMPTY else now


@dataclass(frozen=True)
class WaitForIdle(Strategy):
    """Once the floor has been open for `buffer` seconds without a break.

    What has waited `max_wait` seconds is told at the next end of a caller's turn, after an opener that asks for the
    floor, and before the reply if that has not begun (0: at the first; None: never). The answer comes a little later
    then, but no talk is so dense that a result never comes.
    """

    name: ClassVar[str] = "wait_for_idle"
    impartial: ClassVar[bool] = True
    buffer: float = 1.0
    max_wait: float | None = 30.0

    def __post_init__(self) -> None:
        seconds("buffer", self.buffer, required=True)
        seconds("max_wait", self.max_wait)

    def when(self, delivery: Delivery, floor: FloorView, now: float) -> float | None:
        """`buffer` seconds after everything fell silent, and not before a pending question is over."""
        return idle_since(floor, self.buffer)


@dataclass(frozen=True)
class Queued(Strategy):
    """Like `WaitForIdle`, but all that is ready for the room by then goes out as one message."""

    name: ClassVar[str] = "queued"
    merges: ClassVar[bool] = True
    impartial: ClassVar[bool] = True
    buffer: float = 1.0
    separator: str = " "
    max_wait: float | None = 30.0

    def __post_init__(self) -> None:
        separator(self.separator)
        seconds("buffer", self.buffer, required=True)
        seconds("max_wait", self.max_wait)

    def when(self, delivery: Delivery, floor: FloorView, now: float) -> float | None:
        """`buffer` seconds after everything fell silent, and not before a pending question is over."""
        return idle_since(floor, self.buffer)


def idle_since(floor: FloorView, buffer: float) -> float | None:
    """When the floor will have been open for `buffer` seconds (loop time); None while it is not open."""
    if not floor.open or floor.quiet_since is None:
        return None
    return max(floor.since, floor.quiet_since + buffer)


def seconds(field: str, value: float | None, *, required: bool = False) -> None:
    """Check a length of time: a finite number from 0 to a day, or None. Raises ValueError naming `field`."""
    if value is None and not required:
        return
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if value is None or not number or (isinstance(value, float) and not math.isfinite(value)):
        raise ValueError(f"{field}: {value!r} is not a number of seconds")
    if not 0 <= value <= LONGEST:
        raise ValueError(f"{field}: {value!r} s is out of range; give 0 to {LONGEST:.0f} seconds")


def separator(text: str) -> None:
    """Check what is to stand between two texts: short, and nothing that cannot be said. Raises ValueError."""
    if not isinstance(text, str):
        raise ValueError(f"separator: {text!r} is not text")
    if len(text) > LONGEST_SEPARATOR:
        raise ValueError(f"separator: {len(text)} characters are too many; give at most {LONGEST_SEPARATOR}")
    if not "".join(text.split()).isprintable():
        raise ValueError(f"separator: {text!r} holds control characters; remove them")


def resolve(strategy: Strategy | str) -> Strategy:
    """A strategy from itself or from its name.

    Raises ValueError listing the known names, and for one of a user's own that could not be kept; TypeError for one
    whose parameters would be lost.
    """
    if isinstance(strategy, Strategy):
        _check(strategy)
        return strategy
    if not isinstance(strategy, str):
        raise ValueError(f"strategy: {strategy!r} is neither a Strategy nor the name of one")
    return read({"name": strategy})


def _check(strategy: Strategy) -> None:
    """Raises ValueError unless it is itself again when it was written down and read, as it will be."""
    seconds("max_wait", strategy.max_wait)
    separator(strategy.separator)
    try:
        read(json.loads(json.dumps(strategy.written(), allow_nan=False)))
    except ValueError as error:
        raise ValueError(f"strategy {strategy.name!r} cannot be kept over a restart: {error}") from None
    except TypeError as error:
        raise TypeError(f"strategy {strategy.name!r} cannot be kept over a restart: {error}") from None


def _same_class(a: type, b: type) -> bool:
    """Whether they are one class, defined twice: its module was loaded again, or also runs as the main program."""
    modules = {a.__module__, b.__module__}
    return a.__qualname__ == b.__qualname__ and (len(modules) == 1 or "__main__" in modules)


def read(written: Mapping[str, Any]) -> Strategy:
    """A strategy from its written form. Raises ValueError when its name or a parameter is not known."""
    if not isinstance(written, Mapping):
        raise ValueError(f"strategy: {written!r} is not its written form, a mapping with its name and parameters")
    params = dict(written)
    name = params.pop("name", None)
    cls = Strategy._known.get(name) if isinstance(name, str) else None
    if cls is None:
        raise ValueError(f"strategy: {name!r} is not known; known are {', '.join(sorted(Strategy._known))}")
    try:
        return cls(**params)
    except TypeError as error:
        raise ValueError(f"strategy {name!r}: {error}") from None
