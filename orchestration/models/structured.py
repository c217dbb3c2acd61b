"""Structured answers: what a model says as an object of a given shape, checked: for plans, verdicts and choices.

A model that has a way of its own for that (`Structured`) is asked in that way; any other is offered a tool, or may
write JSON. Nothing is guessed: what does not fit is said to the model once, and then it is an error.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from orchestration.models.model import Delta, Message, Model, Role, TextDelta, ToolCall, ToolSpec
from orchestration.models.schema_check import MisfitError, check
from orchestration.models.watched import watched

if TYPE_CHECKING:
    from pydantic import BaseModel

TRIES = 2
"""Times that a model is asked in all: one that has been told what is wrong and errs again does not know it."""
MAX_WRONG = 1_000
"""Most characters of a wrong answer that it is shown again."""

BY_JSON = "Answer with a JSON object that fits this schema, and with nothing else: {schema}"
BY_TOOL = "Answer by calling the tool {name} once. If you cannot call tools, write its arguments as JSON, nothing else."
AGAIN = "This does not fit: {wrong}. Answer again, whole, so that it fits."


class StructuredError(RuntimeError):
    """A model gave no answer that fits; the message says what is wrong with its last one."""


@runtime_checkable
class Structured(Protocol):
    """A model with a way of its own to answer in JSON of a given shape."""

    def write_json(
        self, messages: Sequence[Message], *, prompt: str = "", schema: Mapping[str, Any]
    ) -> AsyncGenerator[Delta, None]:
        """Answer with the text of a JSON object. It has the shape of `schema`; its limits are for the reader to see to.

        Closing the iterator stops the generation.
        """
        ...


async def structured(
    model: Model,
    messages: Sequence[Message],
    *,
    prompt: str = "",
    schema: type[BaseModel] | Mapping[str, Any],
    name: str = "answer",
    description: str = "",
    agent: str = "",
) -> dict[str, Any]:
    """The model's answer to the conversation, as an object that fits `schema` (of a pydantic model, or JSON Schema).

    `name` and `description` are the tool's that it is offered if it has no way of its own; `agent`: to whom what it
    costs is charged. The object is JSON; of a pydantic model, as that has it (`schema.model_validate` makes one again).
    Raises StructuredError when no answer fits, ValueError for a schema that is no object's, and what the model and
    `watched` raise.
    """
    form = _Form(schema)
    shown, wrong = list(messages), ""
    tool = ToolSpec(name, description or f"Give the {name}.", form.schema)
    for _ in range(TRIES):
        text, calls = await heard(model, shown, prompt, tool, agent)
        try:
            return form.read(given(text, calls, name))
        except MisfitError as error:
            wrong = str(error)
        shown += _told(text, calls, wrong)
    raise StructuredError(f"{getattr(model, 'name', 'the model')} gave no {name} that fits: {wrong}")


async def heard(
    model: Model, messages: Sequence[Message], prompt: str, tool: ToolSpec, agent: str = ""
) -> tuple[str, list[ToolCall]]:
    """What the model writes and calls, asked in its own way, if it has one, or by the tool. Raises what it raises."""
    if isinstance(model, Structured):
        how = BY_JSON.format(schema=json.dumps(dict(tool.schema)))
        stream = model.write_json(messages, prompt=f"{prompt}\n\n{how}".strip(), schema=tool.schema)
    else:
        how = BY_TOOL.format(name=tool.name)
        stream = model.stream(messages, prompt=f"{prompt}\n\n{how}".strip(), tools=[tool])
    text, calls = list[str](), list[ToolCall]()
    async with aclosing(watched(stream, "the model", agent)) as deltas:
        async for delta in deltas:
            match delta:
                case TextDelta(piece):
                    text.append(piece)
                case ToolCall():
                    calls.append(delta)
    return "".join(text), calls


def given(text: str, calls: Sequence[ToolCall], name: str) -> Any:
    """The one answer in it: a call's arguments, whatever is written beside it, or else JSON. Raises MisfitError."""
    if others := [call.name for call in calls if call.name != name]:
        raise MisfitError(f"there is no tool {others[0]!r:.60}; call {name}")
    if calls:
        if any(call.arguments != calls[0].arguments for call in calls):
            raise MisfitError(f"{name} was called more than once, and not with the same")
        return calls[0].arguments
    if not text.strip():
        raise MisfitError("nothing was said")
    return parsed(text)


def parsed(text: str) -> Any:
    """What the text is as JSON, also in a fenced block of Markdown. Raises MisfitError."""
    text = text.strip()
    if text.startswith("```") and text.endswith("```") and "\n" in text:
        text = text[text.index("\n") : -3]
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise MisfitError("it is no JSON") from None


def _told(text: str, calls: Sequence[ToolCall], wrong: str) -> list[Message]:
    """The wrong answer, and that it is."""
    if calls:
        said = f"error: {AGAIN.format(wrong=wrong)}"
        return [Message(Role.ASSISTANT, "", tuple(calls)), *(Message(Role.TOOL, said, call=call.id) for call in calls)]
    return [Message(Role.ASSISTANT, text[:MAX_WRONG]), Message(Role.USER, AGAIN.format(wrong=wrong))]


class _Form:
    """What is asked for."""

    def __init__(self, schema: type[BaseModel] | Mapping[str, Any]) -> None:
        self._model: type[BaseModel] | None = None
        if isinstance(schema, Mapping):
            self.schema = schema
        elif isinstance(schema, type) and callable(getattr(schema, "model_json_schema", None)):
            self._model, self.schema = schema, schema.model_json_schema()
        else:
            raise ValueError(f"schema: {schema!r:.60} is neither a pydantic model nor a JSON Schema")
        if self.schema.get("type") != "object":
            raise ValueError('schema: it is no object\'s; give one with "type": "object"')

    def read(self, value: Any) -> dict[str, Any]:
        """The answer as it fits. Raises MisfitError."""
        if not isinstance(value, Mapping):
            raise MisfitError("it is no object")
        if self._model is None:
            check(value, self.schema)
            return dict(value)
        from pydantic import ValidationError

        try:
            return self._model.model_validate(dict(value)).model_dump(mode="json")
        except ValidationError as error:
            faults = (f"{'.'.join(map(str, e['loc'])) or 'it'}: {e['msg']}" for e in error.errors()[:3])
            raise MisfitError("; ".join(faults)) from None
