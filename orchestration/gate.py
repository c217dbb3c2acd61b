"""The seam between the browser server and whoever owns the rooms: may this caller come in, and who is it?"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from voice.channel import Caller
from voice.leg import Leg


class Refused(Exception):  # noqa: N818 - it is an answer, not a failure
    """The caller may not come in. `code` is for programs (name_taken, unknown_room, bad_token, draining, full, ...);
    `message` is shown to the caller and says what to do."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Moved(Exception):  # noqa: N818 - it is an answer, not a failure
    """The room is open in another process: the caller is to go to `address`, where `token` proves who they are."""

    def __init__(self, address: str, token: str) -> None:
        super().__init__(f"the room is open at {address}")
        self.address = address
        self.token = token


@dataclass(frozen=True, slots=True)
class Admission:
    """A caller may come in. `token` proves later that it is the same caller.

    `serve(leg)` puts the leg into the room and returns when it has ended (`leg.hung_up` then says whether for good);
    cancelled, it takes the leg out first. It is not called for a page that was gone before its welcome.
    `snapshot()` is the room's panel as this caller may see it.
    """

    caller: Caller
    token: str
    serve: Callable[[Leg], Awaitable[None]]
    snapshot: Callable[[], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Phrase:
    """Something a caller can say, and what comes of it."""

    say: str
    does: str = ""


@dataclass(frozen=True, slots=True)
class Help:
    """What the page tells callers about the agents, and with which of them they talk. `scripted`: there is no language
    model behind them, and the page says so."""

    agents: str
    scripted: bool = False
    note: str = ""
    phrases: tuple[Phrase, ...] = ()


class Gate(Protocol):
    """Whoever owns the rooms."""

    async def admit(self, room: str, name: str, token: str | None) -> Admission:
        """Let a caller into `room` under `name`; raises Refused, or Moved when another process has the room.

        A `token` that an earlier admission to this room gave makes it the same caller, also while that one's old
        connection has not ended yet (the server ends it). A name in use without its token is refused (`name_taken`).
        """
        ...

    def help(self) -> Help:
        """What the page tells callers about the agent."""
        ...
