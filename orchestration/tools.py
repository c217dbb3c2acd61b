"""Tools: plain typed functions that a model may call; the schema comes from the signature, the rest from the docstring.

A tool that fails gives the model a short error result; what went wrong inside goes to the log, not to the caller.
pydantic (0.1 s) is imported with the first tool that is made of a function.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import TYPE_CHECKING, Any

from orchestration.models.model import Message, Role, ToolCall, ToolSpec
from voice.cancellation import cancelled_here

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

log = logging.getLogger("sottovoce.tools")

STARTED = "started:"
"""How the result of a tool begins that has set work going in the background."""
SAME_ID = "error: another call at the same time has the same id; this one was not done"
"""The result of a call that may be another one once more."""
MAX_RESULT = 50_000
"""Most characters of a result that a model is shown: some 12,000 tokens; what is beyond is cut."""
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""What the APIs of language models take for a tool's name."""
_FIELD = "given_"
"""Before a parameter's name as a field of a pydantic model, where names like `schema` or `_x` have other meanings."""


@dataclass(frozen=True, slots=True)
class Tool:
    """`run` takes the arguments as the model gave them and returns the text of the result; it may raise (`run_tool`).

    Raises ValueError for a name that models would not accept.
    """

    spec: ToolSpec
    run: Callable[[Mapping[str, Any]], Awaitable[str]]

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.spec.name):
            raise ValueError(f"name: {self.spec.name!r} is no tool's name; use 1 to 64 letters, digits, '-' or '_'")

    @property
    def name(self) -> str:
        """What the model calls it by."""
        return self.spec.name


def tool(function: Callable[..., Any], *, name: str | None = None, description: str | None = None) -> Tool:
    """Make a tool of a function with typed parameters. Its result becomes text (JSON if no string).

    An async function runs in the event loop; a plain one in a thread, so that it may block. Raises TypeError when a
    parameter has no type or cannot be given by name, ValueError for a bad name.
    """
    name = name or str(getattr(function, "__name__", ""))
    description = description or inspect.getdoc(function) or ""
    model = _arguments(name, function)
    in_loop = any(map(inspect.iscoroutinefunction, (function, getattr(function, "__call__", None))))  # noqa: B004

    async def run(arguments: Mapping[str, Any]) -> str:
        from pydantic import ValidationError

        try:
            checked = model.model_validate(dict(arguments))
        except ValidationError as error:
            return f"error: the arguments do not fit: {_in_short(error)}"
        given = {field.removeprefix(_FIELD): getattr(checked, field) for field in model.model_fields}
        result = function(**given) if in_loop else await asyncio.to_thread(_in_thread, function, given)
        return _as_text(await result if inspect.isawaitable(result) else result)

    schema = model.model_json_schema()
    schema.pop("title", None)
    return Tool(ToolSpec(name, description, schema), run)


async def run_tool(tool: Tool | None, call: ToolCall) -> Message:
    """Run what the model called. Whatever goes wrong, also that there is no such tool, is an error result."""
    if tool is None:
        return Message(Role.TOOL, f"error: there is no tool {call.name!r}", call=call.id)
    try:
        text = await tool.run(call.arguments)
    except (Exception, asyncio.CancelledError) as error:
        if isinstance(error, asyncio.CancelledError) and cancelled_here():
            raise
        log.exception("tool %s failed", tool.name)
        text = f"error: {tool.name} failed; tell the caller it did not work"
    if len(text) > MAX_RESULT:
        log.warning("tool %s: its result of %d characters is cut to %d", tool.name, len(text), MAX_RESULT)
        text = f"{text[:MAX_RESULT]} (cut off here)"
    return Message(Role.TOOL, text, call=call.id)


def apart(calls: Sequence[ToolCall]) -> tuple[ToolCall, ...]:
    """The calls that a model made at once with ids that differ, so that each can be answered; the first of an id keeps
    it. One that gets another is not to be done (SAME_ID)."""
    ids = {call.id for call in calls}
    seen: set[str] = set()
    told = []
    for call in calls:
        if call.id in seen:
            call = replace(call, id=next(id for n in count(2) if (id := f"{call.id}_{n}") not in ids))
        seen.add(call.id)
        ids.add(call.id)
        told.append(call)
    return tuple(told)


def unique(tools: Sequence[Tool]) -> None:
    """Raises TypeError when two tools have one name."""
    names = [t.name for t in tools]
    for name in names:
        if names.count(name) > 1:
            raise TypeError(f"two tools are called {name!r}; names must differ")


def _arguments(name: str, function: Callable[..., Any]) -> type[BaseModel]:
    """A pydantic model of the function's parameters."""
    from pydantic import ConfigDict, create_model

    try:
        parameters = inspect.signature(function, eval_str=True).parameters.values()
    except (NameError, ValueError) as error:
        raise TypeError(f"tool {name}: its parameters cannot be read: {error}") from error
    fields: dict[str, Any] = {}
    for parameter in parameters:
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise TypeError(f"tool {name}: parameter {str(parameter)!r} cannot be given by name; make it a plain one")
        if parameter.annotation is parameter.empty:
            raise TypeError(f"tool {name}: parameter {parameter.name!r} has no type; annotate it")
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[_FIELD + parameter.name] = (parameter.annotation, default)
    config = ConfigDict(extra="forbid", alias_generator=lambda field: field.removeprefix(_FIELD))
    return create_model(f"{name}_arguments", __config__=config, **fields)


def _in_thread(function: Callable[..., Any], given: Mapping[str, Any]) -> Any:
    try:
        return function(**given)
    except StopIteration as error:  # no future can hold one: whoever waits would wait for ever
        raise RuntimeError("StopIteration") from error


def _as_text(result: Any) -> str:
    from pydantic_core import to_json

    if isinstance(result, str):
        return result
    return "done" if result is None else to_json(result, fallback=str).decode()


def _in_short(error: ValidationError) -> str:
    return "; ".join(f"{'.'.join(map(str, e['loc'])) or 'arguments'}: {e['msg']}" for e in error.errors()[:3])
