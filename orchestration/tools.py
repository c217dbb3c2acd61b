"""Tools: plain typed functions that a model may call; the schema comes from the signature, the rest from the docstring.

A tool that fails gives the model a short error result; what went wrong inside goes to the log, not to the caller.
"""

from __future__ import annotations

import inspect
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from orchestration.models.model import ToolSpec

log = logging.getLogger("sottovoce.tools")

STARTED = "started:"
"""How the result of a tool begins that has set work going in the background."""


@dataclass(frozen=True, slots=True)
class Tool:
    """`run` takes the arguments as the model gave them and returns the text of the result."""

    spec: ToolSpec
    run: Callable[[Mapping[str, Any]], Awaitable[str]]

    @property
    def name(self) -> str:
        """What the model calls it by."""
        return self.spec.name


def tool(function: Callable[..., Any], *, name: str | None = None, description: str | None = None) -> Tool:
    """Make a tool of a function, plain or async, with typed parameters. Its result becomes text (JSON if no string).

    Raises TypeError when a parameter has no type.
    """
    name = name or function.__name__
    description = description or inspect.getdoc(function) or ""
    model = _arguments(name, function)

    async def run(arguments: Mapping[str, Any]) -> str:
        try:
            checked = model.model_validate(dict(arguments))
        except ValidationError as error:
            return f"error: the arguments do not fit: {_in_short(error)}"
        try:
            result = function(**{field: getattr(checked, field) for field in model.model_fields})
            if inspect.isawaitable(result):
                result = await result
        except Exception:
            log.exception("tool %s failed", name)
            return f"error: {name} failed; tell the caller it did not work"
        return result if isinstance(result, str) else json.dumps(result, default=str)

    schema = model.model_json_schema()
    schema.pop("title", None)
    return Tool(ToolSpec(name, description, schema), run)


def _arguments(name: str, function: Callable[..., Any]) -> type[BaseModel]:
    """A pydantic model of the function's parameters."""
    hints = get_type_hints(function)
    fields: dict[str, Any] = {}
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name not in hints:
            raise TypeError(f"tool {name}: parameter {parameter.name!r} has no type; annotate it")
        default = ... if parameter.default is inspect.Parameter.empty else parameter.default
        fields[parameter.name] = (hints[parameter.name], default)
    return create_model(f"{name}_arguments", __config__=ConfigDict(extra="forbid"), **fields)


def _in_short(error: ValidationError) -> str:
    return "; ".join(f"{'.'.join(map(str, e['loc'])) or 'arguments'}: {e['msg']}" for e in error.errors()[:3])
