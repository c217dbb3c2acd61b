"""An answer of Anthropic's Messages API, put together of the events of its stream: text at once, calls when it is over.

Calls wait for the reason why the answer stopped: one that was cut off is not made, and one of an answer that was
withdrawn is not either. The events: https://platform.claude.com/docs/en/build-with-claude/streaming (November 2026).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

from orchestration.models.model import Delta, TextDelta, ToolCall, Usage
from voice.provider_error import Cause, ProviderError

log = logging.getLogger("sottovoce.anthropic")

MAX_INPUT = 200_000
"""Most characters of a call's input."""
_CUT = ("max_tokens", "model_context_window_exceeded")


class Answer:
    """One answer; `name` is what errors call the provider, `model` who was asked."""

    def __init__(self, name: str, model: str) -> None:
        self._name = name
        self._calls: dict[int, tuple[str, str, list[str]]] = {}
        """Those under way, by the block's number: id, name, and the pieces of the input."""
        self._made: list[ToolCall] = []
        self._broken = ""
        """The name of the first tool whose input is no JSON object."""
        self._length = 0
        self._last = ""
        self._reason: str | None = None
        self._spoke = False
        self._counts: dict[str, int] = {}
        self.model = model
        self.begun = self.over = False

    def take(self, event: Any) -> Iterator[Delta]:
        """What an event brings. Raises ProviderError, and AttributeError and such for what is no event."""
        match event.type:
            case "message_start":
                self.begun = True
                self.model = event.message.model or self.model
                self._count(event.message.usage)
            case "content_block_start":
                yield from self._block(event.index, event.content_block)
            case "content_block_delta":
                yield from self._piece(event.index, event.delta)
            case "content_block_stop":
                if call := self._calls.pop(event.index, None):
                    self._call(*call)
            case "message_delta":
                self._reason = event.delta.stop_reason or self._reason
                self._count(event.usage)
            case "message_stop":
                self.over = True
                yield from self._ended()

    def usage(self) -> Usage:
        """What it has cost until now, as far as that was told; without a price."""
        return Usage(
            self.model,
            input=self._counts.get("input_tokens", 0),
            output=self._counts.get("output_tokens", 0),
            cache_read=self._counts.get("cache_read_input_tokens", 0),
            cache_write=self._counts.get("cache_creation_input_tokens", 0),
        )

    def _block(self, index: int, block: Any) -> Iterator[Delta]:
        self._last = block.type
        if block.type == "tool_use":
            given = [json.dumps(block.input)] if block.input else []  # some servers send it whole, and no pieces
            self._calls[index] = (str(block.id), str(block.name), given)
        elif block.type == "text" and block.text:
            self._spoke = True
            yield TextDelta(block.text)

    def _piece(self, index: int, delta: Any) -> Iterator[Delta]:
        if delta.type == "text_delta" and delta.text:
            self._spoke = True
            yield TextDelta(delta.text)
        elif delta.type == "input_json_delta" and index in self._calls:
            self._length += len(delta.partial_json)
            if self._length > MAX_INPUT:
                raise self._failed(f"the input of its calls has more than {MAX_INPUT} characters")
            self._calls[index][2].append(delta.partial_json)

    def _call(self, id: str, name: str, pieces: list[str]) -> None:
        try:
            given = json.loads("".join(pieces).strip() or "{}")
        except (ValueError, RecursionError):
            given = None
        if isinstance(given, dict):
            self._made.append(ToolCall(id, name, given))
        else:
            self._broken = self._broken or name

    def _ended(self) -> Iterator[Delta]:
        reason = self._reason
        if reason == "refusal":
            raise ProviderError(
                self._name, Cause.REQUEST, f"{self.model} refuses to answer this", fix="ask otherwise, or another model"
            )
        if reason in _CUT:
            what = "its answer was cut off: " + (
                "max_tokens is too low" if reason == _CUT[0] else "the context is full"
            )
            if self._calls or self._broken or self._last == "tool_use" or not self._spoke:
                fix = "raise max_tokens" if reason == _CUT[0] else "shorten what is remembered"
                raise ProviderError(self._name, Cause.REQUEST, what, fix=fix)  # again it would cost as much, in vain
            log.warning("%s: %s", self._name, what)
        if self._calls or self._broken:
            # Without its arguments a call may mean the opposite: it is not made, and the answer may be asked for again.
            raise self._failed(f"the input of its call of {self._broken or 'a tool'} is no JSON object")
        if reason == "pause_turn":  # only tools that run at Anthropic's pause, and none is asked for
            log.warning("%s: it paused, and is not asked to go on", self._name)
        yield from self._made

    def _count(self, usage: Any) -> None:
        """Counts are cumulative; those that are not told stay."""
        for field in ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"):
            count = getattr(usage, field, None)
            if isinstance(count, int) and count >= 0:
                self._counts[field] = count

    def _failed(self, what: str) -> ProviderError:
        return ProviderError(self._name, Cause.ANSWER, what)
