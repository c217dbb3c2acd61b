"""Admission: the gate of a runtime's rooms. Whose name it is, which rooms there are, and a clear no otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from orchestration.gate import Admission, Help, Moved, Phrase, Refused
from orchestration.identity import NameTakenError, TooManyNamesError, valid_name
from orchestration.runtime import RoomElsewhereError, RoomError, Runtime, TooManyRoomsError
from orchestration.session import Session
from orchestration.speech import Closed
from voice.channel import Caller
from voice.clock import now
from voice.leg import Leg

SCRIPTED = "A script, no language model: it understands these sentences. Everything around it is real."
"""What people are told of agents that only play a script."""


@runtime_checkable
class Explained(Closed, Protocol):
    """A model that can say what it understands."""

    name: str

    def examples(self) -> list[str]:
        """Sentences to be shown to people."""
        ...


class RuntimeGate:
    """Lets callers into the rooms of an open runtime."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def admit(self, room: str, name: str, token: str | None) -> Admission:
        """Let a caller in. Raises Refused with what to do about it, Moved when another process has the room."""
        runtime = self._runtime
        try:
            room, name = valid_name(room, "room"), valid_name(name, "name")
        except ValueError as error:
            raise Refused("bad_name", str(error)) from None
        try:
            runtime.admits(room)
        except RoomError as error:
            raise Refused("unknown_room", str(error)) from None
        # The room first: whoever claims a name and then gets no answer has lost it, as the token was in the answer.
        try:
            session = await self._enter(room)
        except RoomElsewhereError as elsewhere:
            if elsewhere.address is None:
                raise Refused("elsewhere", "this room is open on another server; try again later") from None
            raise Moved(elsewhere.address, await self._claim(room, name, token)) from None
        token = await self._claim(room, name, token)
        session.shown.panel.caller(name, name)

        async def serve(leg: Leg) -> None:
            await runtime.join(room, leg)

        def snapshot() -> Mapping[str, Any]:
            return (runtime.session(room) or session).shown.panel.snapshot(now())

        return Admission(Caller(name, name), token, serve, snapshot)

    async def _claim(self, room: str, name: str, token: str | None) -> str:
        try:
            return await self._runtime.identities.claim(room, name, token)
        except NameTakenError as error:
            raise Refused("name_taken", str(error)) from None
        except TooManyNamesError as error:
            raise Refused("full", str(error)) from None

    async def _enter(self, room: str) -> Session:
        try:
            self._runtime.check_open()
        except RoomError:
            raise Refused("draining", "this server is about to end; try again in a moment") from None
        try:
            return await self._runtime.enter(room)
        except RoomElsewhereError:
            raise
        except TooManyRoomsError:
            raise Refused("full", "this server has as many rooms as it can; try again later") from None
        except RoomError:  # what is wrong stands in the log; it is nothing for strangers
            raise Refused("failed", "this room cannot be opened now; try again later") from None

    def help(self) -> Help:
        """What the page tells callers about the agents: what scripts understand, each sentence once."""
        agents = self._runtime.orchestration.agents() if self._runtime.orchestration else ()
        if not agents:
            return Help("nobody", note="Nobody answers in these rooms.")
        names = ", ".join(dict.fromkeys(agent.role or agent.id for agent in agents))
        scripts = [agent.model for agent in agents if isinstance(agent.model, Explained)]
        if len(scripts) < len(agents):
            return Help(names)
        said = dict.fromkeys(say for script in scripts for say in script.examples())
        return Help(names, scripted=True, note=SCRIPTED, phrases=tuple(map(Phrase, said)))
