"""What a LiveKit realtime model is told in a talk: who it is, what its functions came to, and what it is to say."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from voice import livekit
from voice.realtime.session import Instructions

if TYPE_CHECKING:
    from livekit.agents import llm as plugins

log = logging.getLogger("sottovoce.realtime")

VERBATIM = "Say exactly this, word for word, in the language it is in, and nothing else: {text}"
"""What a model is told that cannot be given a line to say."""
BEGUN = 10.0
"""Seconds that a model may take to begin what it was asked to say."""


class Wishes:
    """Of one talk. Its methods are to be awaited one after the other, where the plugin is at home; they raise what it
    raises."""

    def __init__(self, talk: plugins.RealtimeSession[Any], name: str) -> None:
        self._talk, self._name = talk, name
        self._told: Instructions | None = None

    async def instruct(self, instructions: Instructions) -> None:
        """Tell it what has changed in who it is, as far as it can be told in the middle of a talk."""
        can, first, told = self._talk.capabilities, self._told is None, self._told or Instructions()
        self._told = instructions
        if instructions.prompt != told.prompt and self._may(can.mutable_instructions or first, "its prompt"):
            await self._talk.update_instructions(instructions.prompt)
        if instructions.functions != told.functions and self._may(can.mutable_tools or first, "its functions"):
            functions = [livekit.function(each.name, each.description, each.schema) for each in instructions.functions]
            await self._talk.update_tools(list(functions))

    async def report(self, results: Mapping[str, tuple[str, str | None]]) -> plugins.GenerationCreatedEvent | None:
        """Tell it what the functions of one answer came to (by call: name and result). Its answer to that; None: it
        begins one by itself."""
        from livekit.agents import llm as plugins

        context = self._talk.chat_ctx.copy()
        for call, (name, result) in results.items():
            output = plugins.FunctionCallOutput(call_id=call, name=name, output=result or "", is_error=False)
            context.items.append(output)
        try:
            await self._talk.update_chat_ctx(context)
        except plugins.RealtimeError as error:  # it was sent, and only not confirmed in time
            log.warning("%s: %s", self._name, livekit.failure(self._name, error))
        return None if self._talk.capabilities.auto_tool_reply_generation else await self.answer()

    async def answer(self) -> plugins.GenerationCreatedEvent:
        """Have it answer now. Raises TimeoutError when it does not begin."""
        async with asyncio.timeout(BEGUN):
            return await self._talk.generate_reply()

    async def say(self, text: str) -> plugins.GenerationCreatedEvent:
        """Have it say this. Raises TimeoutError when it does not begin."""
        from livekit.agents.types import NOT_GIVEN

        can = self._talk.capabilities
        choice: Any = "none" if can.per_response_tool_choice else NOT_GIVEN
        async with asyncio.timeout(BEGUN):
            if can.supports_say:
                return await self._talk.say(text)
            return await self._talk.generate_reply(instructions=VERBATIM.format(text=text), tool_choice=choice)

    def _may(self, possible: bool, what: str) -> bool:
        if not possible:
            log.warning("%s: %s cannot be changed in the middle of a talk", self._name, what)
        return possible
