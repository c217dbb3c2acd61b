"""Our conversation as a request of Anthropic's Messages API: legal whatever order the messages are in, and cacheable.

Memories cut conversations anywhere, greetings come before any question, and results of tools may be lost. The API is
strict: it begins and ends with the user, each call is answered in the very next message, no text is blank. The rules:
https://platform.claude.com/docs/en/api/messages and .../agents-and-tools/tool-use/overview (November 2026).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from orchestration.models.model import Message, Role, ToolCall, ToolSpec

Block = dict[str, Any]

BEGIN = "(The conversation begins here; what was said before is not known.)"
"""Stands before a conversation that begins with the assistant: a greeting, or what a memory has left of it."""
GO_ON = "(Go on.)"
"""Stands after one that ends with the assistant, which models since 4.6 refuse to continue."""
NO_RESULT = "error: the result of this call is not known"
"""Stands for the result of a call that has none: it runs still, or it was forgotten."""
TTLS = ("5m", "1h")
"""How long what is cached may be kept."""
_NOT_NAME = re.compile(r"[^a-zA-Z0-9_-]")
MAX_NAME = 64


def messages_of(messages: Iterable[Message]) -> list[dict[str, Any]]:
    """The `messages`: neighbours of one role made one, results right behind their calls, whole at both ends."""
    turns = _Turns()
    for message in messages:
        match message.role:
            case Role.USER:
                turns.add("user", _text(message.text))
            case Role.TOOL:
                turns.result(message.call, message.text)
            case Role.ASSISTANT:
                turns.add("assistant", _text(message.text))
                turns.calls(message.tool_calls)
    return turns.whole()


def system_of(prompt: str) -> list[Block]:
    """The `system`: none, or one block."""
    return _text(prompt)


def tools_of(tools: Sequence[ToolSpec], messages: Sequence[Mapping[str, Any]]) -> list[Block]:
    """The `tools`. Where none is offered, those that are in the conversation stand by their names, as a request with
    calls and without tools is none; the caller then sets `tool_choice` to none."""
    if tools:
        return [
            {
                "name": tool.name,
                **({"description": _clean(tool.description)} if tool.description.strip() else {}),
                "input_schema": {"type": "object", **tool.schema},
                "eager_input_streaming": True,  # else an answer stands still while a long input is made
            }
            for tool in tools
        ]
    used = dict.fromkeys(
        block["name"] for message in messages for block in message["content"] if block["type"] == "tool_use"
    )
    return [{"name": name, "input_schema": {"type": "object", "properties": {}}} for name in used]


def cached(ttl: str, *, tools: list[Block], system: list[Block], messages: Sequence[Mapping[str, Any]]) -> None:
    """Mark what is to be cached, in place: all tools, the system prompt, and the conversation so far; that is three of
    the four marks that a request may have. The API looks back from a mark for what it has, so a conversation that
    grows is found again by its last one."""
    mark = {"type": "ephemeral"} if ttl == "5m" else {"type": "ephemeral", "ttl": ttl}
    for blocks in (tools, system, messages[-1]["content"] if messages else []):
        if blocks:
            blocks[-1]["cache_control"] = mark


class _Turns:
    """The conversation, as it is put together."""

    def __init__(self) -> None:
        self._turns: list[dict[str, Any]] = []
        self._waiting: dict[str, list[Block]] = {}
        """The blocks of results that are still to come, by the call's id as we have it; the same one may be there
        again."""
        self._ids: set[str] = set()

    def add(self, role: str, blocks: Sequence[Block]) -> None:
        """More of a role."""
        if not blocks:
            return
        if self._turns and self._turns[-1]["role"] == role:
            self._turns[-1]["content"].extend(blocks)
        else:
            self._turns.append({"role": role, "content": list(blocks)})

    def calls(self, calls: Sequence[ToolCall]) -> None:
        """The assistant's calls, and where their results go."""
        uses, results = [], []
        for call in calls:
            id, name = self._new_id(call.id), _name(call.name)
            given = _plain(call.arguments) if isinstance(call.arguments, Mapping) else {}
            uses.append({"type": "tool_use", "id": id, "name": name, "input": given})
            result = {"type": "tool_result", "tool_use_id": id, "content": NO_RESULT, "is_error": True}
            results.append(result)
            self._waiting.setdefault(call.id, []).append(result)
        self.add("assistant", uses)
        self.add("user", results)

    def result(self, id: str | None, text: str) -> None:
        """The result of a call; one whose call is not there is left out, as nobody could say what it is of."""
        waiting = self._waiting.get(id or "")
        if not waiting:
            return
        block = waiting.pop(0)
        block["content"] = _clean(text) if text.strip() else "(nothing)"
        if not text.startswith("error:"):
            del block["is_error"]

    def whole(self) -> list[dict[str, Any]]:
        """All of it, with the user at both ends."""
        if not self._turns or self._turns[0]["role"] != "user":
            self._turns.insert(0, {"role": "user", "content": _text(BEGIN)})
        if self._turns[-1]["role"] != "user":
            self.add("user", _text(GO_ON))
        return self._turns

    def _new_id(self, id: str) -> str:
        """An id that the API takes, once."""
        plain = _NOT_NAME.sub("_", id) or "call"
        unique, number = plain, 1
        while unique in self._ids:
            number += 1
            unique = f"{plain}_{number}"
        self._ids.add(unique)
        return unique


def _text(text: str) -> list[Block]:
    """One block, or none for a text without words; the API refuses blank ones."""
    return [{"type": "text", "text": _clean(text)}] if text.strip() else []


def _clean(text: str) -> str:
    """Without halves of surrogate pairs, which are no UTF-8."""
    return text.encode("utf-8", "replace").decode("utf-8") if not text.isascii() else text


def _plain(value: Any) -> Any:
    """Arguments as JSON has them; a call of another model's may hold anything."""
    match value:
        case str():
            return _clean(value)
        case Mapping():
            return {_clean(str(name)): _plain(each) for name, each in value.items()}
        case list() | tuple():
            return [_plain(each) for each in value]
        case None | bool() | int():
            return value
        case float() if value - value == 0:  # neither infinite nor no number
            return value
        case _:
            return _clean(str(value))


def _name(name: str) -> str:
    """A tool's name as the API takes it; a model may have made up any."""
    return _NOT_NAME.sub("_", name)[:MAX_NAME] or "unknown"
