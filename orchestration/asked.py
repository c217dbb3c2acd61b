"""Asked: a turn that is to be answered, and the seams through which strategies have a say in the answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from orchestration.agent import Agent
from orchestration.content import says_something
from orchestration.event import RoomEvent
from orchestration.handoff_chain import HandoffChain
from orchestration.models.model import Message, Role, ToolCall
from orchestration.state import ConversationState, get_conversation_state
from orchestration.tools import Tool
from orchestration.usage import Tab, charge_to

if TYPE_CHECKING:
    from orchestration.preemptive import Ahead
    from orchestration.realtime import NativeModel
    from orchestration.room import Room
    from orchestration.runtime import Runtime

Late = Callable[[str, ToolCall, Message], None]
"""Told of a tool that ended when the answer was over: (agent, call, result)."""

Back = Callable[[], Awaitable[None]]
"""Undoes a handoff, as far as it can be; raises nothing."""


@dataclass(slots=True)
class Stage:
    """One agent's part in an answer: what its model and its tools said."""

    agent: str
    said: list[Message] = field(default_factory=list)

    @property
    def used(self) -> list[Message]:
        """The tools it used, as it is to remember them: calls that came to a result, without words, and the results."""
        answered = {message.call for message in self.said if message.role is Role.TOOL}
        used = []
        for message in self.said:
            if message.role is Role.TOOL:
                used.append(message)
            elif calls := tuple(call for call in message.tool_calls if call.id in answered):
                used.append(replace(message, text="", tool_calls=calls))
        return used

    @property
    def working(self) -> bool:
        """Whether a tool runs: it has been called and has not come to a result."""
        called = sum(len(message.tool_calls) for message in self.said)
        return called > sum(message.role is Role.TOOL for message in self.said)


@dataclass(frozen=True, slots=True)
class Request:
    """What the model of an agent is asked for an answer: what it is shown, and which tools it is offered."""

    agent: Agent
    messages: Sequence[Message]
    prompt: str
    tools: Sequence[Tool]


@dataclass(slots=True, eq=False)
class Asked:
    """What was asked (`event`), in which room, and what the making of the answer leaves behind.

    `agent` answers, or the one to whom it was handed over meanwhile. `spoken`: the answer is heard, not read, so slow
    work goes in the background. `chain` has the handoffs of this turn. `metadata` is what AFTER_BROADCAST will see
    beside the answer. Tools and tasks that belong to the answer run in `group`.
    """

    runtime: Runtime
    room: Room
    event: RoomEvent
    group: asyncio.TaskGroup
    agent: Agent | None
    spoken: bool
    chain: HandoffChain
    late: Late
    metadata: dict[str, Any] = field(default_factory=dict)
    stages: list[Stage] = field(default_factory=list)
    carried: tuple[str, ...] = ()
    """Deliveries that are told with the answer."""
    folded: tuple[str, ...] = ()
    """Deliveries that are told right after it."""
    successor: Agent | None = None
    """Who got the conversation while the answer was made, and has not begun to answer."""
    back: Back | None = None
    """Has the conversation go back to who gave it, as the successor cannot answer."""
    given_away: bool = False
    """The agent that answers gave the conversation away: its part is over."""
    over: bool = False
    """The answer was heard, or cut: nothing more of it is remembered."""
    foreseen: bool = False
    """The turn has not ended: nobody remembers it, and nothing may be done for it."""
    ahead: Ahead | None = None
    """What a model was asked before the turn had ended."""
    native: NativeModel | None = None
    """The model that the channel has of its own: it answers instead of the agents'."""
    tab: Tab = field(init=False)
    """What the making of the answer costs."""

    def __post_init__(self) -> None:
        self.tab = Tab(self.runtime.meter, self.room.id, lambda: self.agent.id if self.agent else "")

    @property
    def caller(self) -> str:
        """Who asked."""
        return self.event.sender_id

    @property
    def state(self) -> ConversationState:
        """How far the conversation is, now."""
        return get_conversation_state(self.room)

    def again(self, agent: Agent, native: NativeModel | None) -> Asked:
        """The same once more, for what is said late: nothing of what was left behind."""
        chain = HandoffChain(asyncio.get_running_loop().time())
        return Asked(self.runtime, self.room, self.event, self.group, agent, True, chain, self.late, native=native)

    def end(self) -> None:
        """The answer was heard, or cut."""
        self.over = True

    def messages(self, agent: Agent) -> Sequence[Message]:
        """What the agent's model is shown: the conversation up to the turn, which comes last."""
        known = self.room.memory.messages(agent, self.state)
        if self.foreseen:
            return [*known, Message(Role.USER, self.event.text)]
        return _turn_last(known, self.event.text)

    def request(
        self,
        agent: Agent,
        *,
        messages: Sequence[Message] | None = None,
        tools: Sequence[Tool] | None = None,
        prompt: str | None = None,
    ) -> Request:
        """What `reply` asks the agent's model first, given the same."""
        if tools is None:
            handoff = self.room.handoff.tool_for(self, agent) if self.room.handoff else None
            tools = [*self.room.tools_of(agent.id), *([handoff] if handoff else [])]
        return Request(
            agent,
            self.messages(agent) if messages is None else messages,
            agent.prompt if prompt is None else prompt,
            [*agent.tools, *tools],
        )

    def give(self, successor: Agent | None, back: Back | None = None) -> None:
        """The conversation is another agent's from now on, or (None) a human's; `back` undoes that."""
        self.successor, self.back, self.given_away = successor, back, True

    async def reply(
        self,
        agent: Agent,
        *,
        messages: Sequence[Message] | None = None,
        tools: Sequence[Tool] | None = None,
        prompt: str | None = None,
    ) -> AsyncGenerator[str, None]:
        """The agent's answer, piece by piece; it is remembered as far as it is heard, with the tools it used.

        `messages`: what its model is shown instead of the conversation; `tools`: what it may use instead of the room's
        and a handoff, beside its own; `prompt`: instead of its own. Raises what `Agent.reply` raises.
        """
        self.agent, self.given_away = agent, False
        stage = Stage(agent.id)
        self.stages.append(stage)
        request = self.request(agent, messages=messages, tools=tools, prompt=prompt)

        native = self.native if messages is None else None  # it has heard the conversation, and can be shown no other

        def ended(call: ToolCall, result: Message) -> None:
            if native is not None:
                native.ended(call, result)
            if self.over:
                self.late(agent.id, call, result)

        ahead = self.ahead if self.ahead is not None and self.ahead.request.agent is agent else None
        answer = agent.reply(
            request.messages,
            group=self.group,
            tools=request.tools[len(agent.tools) :],
            prompt=request.prompt,
            model=native or ahead,
            said=stage.said,
            ended=ended,
            enough=lambda: self.given_away,
        )
        async with aclosing(answer) as pieces:
            async for piece in pieces:
                yield piece


class Responder(Protocol):
    """Makes the answers of a room. One may serve many rooms, so it keeps no state of a room."""

    def respond(self, asked: Asked) -> AsyncGenerator[str, None]:
        """The answer, piece by piece. It may be closed before its end, and starts no task but in `asked.group`."""
        ...


@runtime_checkable
class Foresees(Protocol):
    """A responder that can tell what it would ask a model, so that this can be asked ahead."""

    async def foresee(self, asked: Asked, agent: Agent) -> Request | None:
        """What the agent's model would be asked first; None: something else is done before. Changes nothing."""
        ...


class HandsOver(Protocol):
    """Lets the agents of a room give the conversation away."""

    def tool_for(self, asked: Asked, agent: Agent) -> Tool | None:
        """The tool by which `agent` does, as the conversation stands now; None: there is nobody to give it to."""
        ...


UNCLEAR = "(unclear) {turn}"
"""How a turn is remembered whose words are a guess."""
PASSED_ON = "I am passing you on to a colleague; please hold on."
"""What a caller hears who is given to a human without a word."""


class Routed:
    """The agent to whom the turn was routed answers; one to whom it hands the conversation over goes on at once."""

    def part(self, asked: Asked, agent: Agent) -> AsyncGenerator[str, None]:
        """One agent's part of the answer: what it replies. Subclass to have another say in it."""
        return asked.reply(agent)

    async def foresee(self, asked: Asked, agent: Agent) -> Request | None:
        """What its model would be asked; who has another say in the answer has to say it here, too."""
        return asked.request(agent) if type(self).part is Routed.part else None

    async def respond(self, asked: Asked) -> AsyncGenerator[str, None]:
        """Each agent's part, until one keeps the conversation or a human has it. One that got it and fails before its
        first word does not keep it."""
        agent, apart, mute = asked.agent, "", True
        while agent is not None:
            asked.successor, silent = None, True
            try:
                async with aclosing(self.part(asked, agent)) as pieces:
                    async for piece in pieces:
                        silent = silent and not says_something(piece)
                        yield f"{apart}{piece}"
                        apart = ""
            except Exception:
                if silent and asked.back is not None:
                    await asked.back()
                raise
            mute = mute and silent
            agent, apart = asked.successor, "" if mute else " "
        if mute and asked.given_away:
            yield PASSED_ON


ROUTED = Routed()


def _turn_last(messages: Sequence[Message], turn: str) -> Sequence[Message]:
    """What was said since the turn, like a result that was on its way or another caller's turn that is answered beside
    it, comes before it: models answer what comes last, and some take no other order."""
    asked = [place for place, message in enumerate(messages) if message.role is Role.USER]
    own = [place for place in asked if messages[place].text in (turn, UNCLEAR.format(turn=turn))]
    last = max(own or asked, default=None)  # a memory of somebody's own may have it in other words
    return messages if last is None else [*messages[:last], *messages[last + 1 :], messages[last]]


_CURRENT: ContextVar[Asked | None] = ContextVar("sottovoce_asked", default=None)


def current() -> Asked | None:
    """The turn for whose answer a tool was called; asked by the tool, or by what it calls."""
    return _CURRENT.get()


def answering(asked: Asked) -> None:
    """From now on this task, and the tasks that it starts, belong to the answer to `asked`, also what they cost."""
    _CURRENT.set(asked)
    charge_to(asked.tab)
