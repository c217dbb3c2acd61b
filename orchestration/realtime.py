"""The model of a channel that hears, thinks and speaks by itself, as the Model of the agents that talk over it.

What it is shown is what it heard: messages are not told it, only who it is (the prompt), what it may call (the tools)
and what became of its calls. Its words come as it says them; their sound is the channel's affair.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING

from orchestration.models.model import Delta, Message, TextDelta, ToolCall, ToolSpec
from voice.realtime.native import NativeVoice
from voice.realtime.session import Function, Instructions

if TYPE_CHECKING:
    from orchestration.asked import Request


class NativeModel:
    """Implements `orchestration.models.model.Model`, for answers that are said over this channel and no others."""

    name = "realtime"
    may_be_silent = True
    """It owns the turns: that it has nothing to say to one is no failure."""

    def __init__(self, channel: NativeVoice) -> None:
        self._channel = channel

    def instruct(self, request: Request) -> None:
        """It is this agent from its next reply on."""
        self._tell(request.prompt, [tool.spec for tool in request.tools])

    def hush(self) -> None:
        """It is nobody now, and may do nothing; what it says is not heard."""
        self._tell("", ())

    async def stream(
        self, messages: Sequence[Message], *, prompt: str = "", tools: Sequence[ToolSpec] = ()
    ) -> AsyncGenerator[Delta, None]:
        """What it says next, up to the end of its reply or the tools that it calls. Raises ProviderError."""
        self._tell(prompt, tools)
        async with aclosing(self._channel.reply()) as parts:
            async for part in parts:
                if isinstance(part, str):
                    yield TextDelta(part)
                else:
                    yield ToolCall(part.id, part.name, part.arguments)

    def ended(self, call: ToolCall, result: Message) -> None:
        """A tool that it called has ended, whether its answer still is being made or not."""
        self._channel.result(call.id, result.text)

    def _tell(self, prompt: str, tools: Sequence[ToolSpec]) -> None:
        functions = tuple(Function(tool.name, tool.description, tool.schema) for tool in tools)
        self._channel.instruct(Instructions(prompt, functions))
