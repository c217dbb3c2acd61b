"""LiveKit's language models: any `livekit.agents` LLM plugin as a model of ours; closing the stream ends the request.

Prompt, conversation and tools become the plugin's chat context and raw function tools; the tools are never run by it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from orchestration.models.model import Delta, Message, Role, TextDelta, ToolCall, ToolSpec, Usage
from orchestration.usage import Price, charge
from voice import livekit
from voice.check import Check
from voice.provider_error import Cause, ProviderError

if TYPE_CHECKING:
    from livekit.agents import llm as plugins

WHAT = "LiveKit's LLM plugins"
TIMEOUT = 30.0
"""Seconds without an answer, or without more of one, after which a model is given up: some think long."""


class LiveKitLLM:
    """The provider: `LiveKitLLM(openai.LLM(model="gpt-4.1"))`. Each request is made once.

    `timeout`: seconds that the model may be silent. `connect`: seconds to connect, as far as the plugin heeds it.
    `price`: what it costs, if that is to be reckoned. Raises TypeError for what is no LLM, ValueError for seconds that
    are none.
    """

    name = "livekit"
    remote = True

    def __init__(
        self,
        llm: plugins.LLM[Any],
        *,
        timeout: float = TIMEOUT,
        connect: float = livekit.CONNECT,
        price: Price | None = None,
    ) -> None:
        self.name = livekit.named(llm, "llm", "chat", "prewarm")
        self._llm = llm
        self._timeout = livekit.seconds("timeout", timeout)
        self._connect = livekit.seconds("connect", connect)
        self._price = price
        self._home = livekit.Home(self.name)

    def __repr__(self) -> str:
        return f"LiveKitLLM({self.name!r})"

    async def prepare(self) -> None:
        """Let the plugin open its connection, if it does so ahead."""
        self._home.call(self._llm.prewarm)

    async def stream(
        self, messages: Sequence[Message], *, prompt: str = "", tools: Sequence[ToolSpec] = ()
    ) -> AsyncGenerator[Delta, None]:
        """Answer the conversation so far. Iterating raises ProviderError."""
        usage: Usage | None = None
        stream: plugins.LLMStream | None = None
        try:
            stream = self._home.call(
                self._llm.chat,
                chat_ctx=_context(messages, prompt),
                tools=[livekit.function(spec.name, spec.description, spec.schema) for spec in tools] or None,
                conn_options=livekit.at_once(self._connect),
            )
            while (chunk := await self._next(stream)) is not None:
                if chunk.usage is not None:
                    usage = self._usage(chunk.usage)
                if chunk.delta is not None:
                    for delta in self._deltas(chunk.delta):
                        yield delta
            if usage is not None:
                told, usage = usage, None
                yield told
        except Exception as error:
            raise livekit.failure(self.name, error) from None
        finally:
            if usage is not None:  # nobody waits for the end, and it is paid all the same
                charge(usage)
            if stream is not None:
                await livekit.stop(stream, self.name)

    async def aclose(self) -> None:
        """Close the plugin and its connections. Whether it can be used again is the plugin's affair."""
        await self._home.aclose(self._llm.aclose)

    @classmethod
    def check(cls) -> Check:
        """Whether livekit-agents is installed."""
        return livekit.check(cls.name, WHAT)

    async def _next(self, stream: plugins.LLMStream) -> plugins.ChatChunk | None:
        async with asyncio.timeout(self._timeout):
            return await anext(stream, None)

    def _deltas(self, delta: plugins.ChoiceDelta) -> Iterator[Delta]:
        if delta.content:
            yield TextDelta(delta.content)
        for call in delta.tool_calls:
            yield ToolCall(call.call_id, call.name, self._arguments(call))

    def _arguments(self, call: plugins.FunctionToolCall) -> Mapping[str, Any]:
        try:
            arguments = json.loads(call.arguments or "{}")
        except ValueError:
            arguments = None
        if not isinstance(arguments, dict):
            raise ProviderError(self.name, Cause.ANSWER, f"the arguments of {call.name!r} are no JSON object")
        return arguments

    def _usage(self, usage: plugins.CompletionUsage) -> Usage:
        read, written = max(usage.cache_read_tokens, usage.prompt_cached_tokens), usage.cache_creation_tokens
        fresh = max(0, usage.prompt_tokens - read - written)
        cost = Usage(self._llm.model, fresh, usage.completion_tokens, read, written)
        return replace(cost, cost=self._price.of(cost)) if self._price is not None else cost


def _context(messages: Sequence[Message], prompt: str) -> plugins.ChatContext:
    """The conversation as LiveKit's plugins take it."""
    from livekit.agents import llm as plugins

    context = plugins.ChatContext.empty()
    if prompt:
        context.add_message(role="system", content=prompt)
    names: dict[str, str] = {}
    for message in messages:
        if message.role is Role.TOOL:
            call = message.call or ""
            answer = plugins.FunctionCallOutput(
                call_id=call, name=names.get(call, ""), output=message.text, is_error=False
            )
            context.items.append(answer)
            continue
        if message.text.strip():
            context.add_message(role="user" if message.role is Role.USER else "assistant", content=message.text)
        group = message.tool_calls[0].id if message.tool_calls else None
        for wanted in message.tool_calls:
            names[wanted.id] = wanted.name
            arguments = json.dumps(dict(wanted.arguments), ensure_ascii=False)
            called = plugins.FunctionCall(call_id=wanted.id, name=wanted.name, arguments=arguments, group_id=group)
            context.items.append(called)
    return context
