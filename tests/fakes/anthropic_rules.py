"""What the Messages API refuses, and how it caches, after https://platform.claude.com/docs/en/api/messages (2026)."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_ID = re.compile(r"[a-zA-Z0-9_-]+")
_TOOL = re.compile(r"[a-zA-Z0-9_-]{1,128}")
LOOKBACK = 20
"""Blocks before a mark at which what is cached is still found."""


class Refused(Exception):  # noqa: N818 - the API's word for it is an answer
    """Answered with 400 and this text."""


def check(body: Any) -> None:
    """Raises Refused for a request that the API would refuse."""
    _demand(isinstance(body, Mapping), "the body is no object")
    _demand(isinstance(body.get("model"), str) and body["model"], "model: Field required")
    most = body.get("max_tokens")
    _demand(isinstance(most, int) and most > 0, "max_tokens: must be greater than or equal to 1")
    tools = body.get("tools", [])
    _check_tools(tools)
    _check_choice(body, tools)
    system = body.get("system", [])
    for block in [{"type": "text", "text": system}] if isinstance(system, str) else system:
        _check_text(block, "system")
    messages = [whole(message) for message in body.get("messages") or ()]
    _demand(messages, "messages: at least one message is required")
    _demand(messages[0]["role"] == "user", "messages: first message must use the user role")
    _demand(
        messages[-1]["role"] == "user",
        "This model does not support assistant message prefill. The conversation must end with a user message.",
    )
    _check_messages(messages, tools)
    marks = sum("cache_control" in block for block in _blocks(body))
    _demand(marks <= 4, f"A maximum of 4 blocks with cache_control may be provided. Found {marks}.")
    _check_output(body)


def _check_tools(tools: Sequence[Mapping[str, Any]]) -> None:
    names = [tool.get("name") for tool in tools]
    for tool in tools:
        name = tool.get("name")
        _demand(isinstance(name, str) and _TOOL.fullmatch(name), f"tools.name: {name!r} does not match the pattern")
        schema = tool.get("input_schema")
        _demand(
            isinstance(schema, Mapping) and schema.get("type") == "object", "tools.input_schema.type: Field required"
        )
        _demand(tool.get("description", "x") != "", "tools.description: must not be empty")
        known = {"name", "description", "input_schema", "cache_control", "eager_input_streaming", "strict", "type"}
        _demand(set(tool) <= known, f"tools: Extra inputs are not permitted: {set(tool) - known}")
    _demand(len(set(names)) == len(names), "tools: Tool names must be unique.")


def _check_choice(body: Mapping[str, Any], tools: Sequence[Any]) -> None:
    choice = body.get("tool_choice", {"type": "auto"})["type"]
    _demand("tool_choice" not in body or tools, "tool_choice may only be specified while providing tools")
    _demand(choice in ("auto", "none"), "forced tool use is not supported for this model")  # since the 5.5 models


def _check_output(body: Mapping[str, Any]) -> None:
    for name in ("temperature", "top_p", "top_k"):
        _demand(name not in body, f"{name}: is deprecated for this model.")
    thinking = body.get("thinking", {"type": "adaptive"}).get("type")
    _demand(thinking in ("adaptive", "disabled", "between_tools"), f"thinking.type.{thinking} is not supported")
    _demand(
        thinking != "disabled"
        or not body["model"].startswith(("claude-opus-5-5", "claude-sonnet-5-5", "claude-fable")),
        '"thinking.type.disabled" is not supported for this model.',
    )
    output = body.get("output_config", {})
    quiet = thinking != "adaptive"
    _demand(
        not quiet or output.get("effort") not in ("xhigh", "max"),
        "output_config.effort: is not supported when thinking is disabled",
    )
    _demand(output.get("effort", "low") in ("low", "medium", "high", "xhigh", "max"), "output_config.effort: unknown")
    if "format" in output:
        _demand(output["format"].get("type") == "json_schema", "output_config.format.type: unknown")
        _check_shape(output["format"].get("schema"))


def _check_shape(schema: Any) -> None:
    """What structured outputs do not know is refused."""
    if isinstance(schema, list):
        for each in schema:
            _check_shape(each)
    if not isinstance(schema, Mapping):
        return
    if schema.get("type") == "object":
        _demand(
            schema.get("additionalProperties") is False,
            "output_config.format.schema: For 'object' type, 'additionalProperties' must be explicitly set to false",
        )
    for word in ("minimum", "maximum", "minLength", "maxLength", "multipleOf", "maxItems"):
        _demand(word not in schema, f"output_config.format.schema: property '{word}' is not supported")
    for name, each in schema.items():
        if name == "properties":
            for inner in each.values():
                _check_shape(inner)
        elif name != "enum":
            _check_shape(each)


def whole(message: Any) -> dict[str, Any]:
    """A message with its blocks. Raises Refused."""
    _demand(isinstance(message, Mapping) and message.get("role") in ("user", "assistant"), "messages.role: unexpected")
    content = message.get("content")
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    _demand(isinstance(blocks, list) and blocks, "messages.content: all messages must have non-empty content")
    return {"role": message["role"], "content": blocks}


def _check_messages(messages: Sequence[Mapping[str, Any]], tools: Sequence[Any]) -> None:
    ids: set[str] = set()
    asked: list[str] = []
    for message in messages:
        kinds = [block.get("type") for block in message["content"]]
        if message["role"] == "user":
            results = [block.get("tool_use_id") for block in message["content"] if block.get("type") == "tool_result"]
            _demand(kinds[: len(results)] == ["tool_result"] * len(results), "tool_result blocks must come first")
            strange = [id for id in results if id not in asked]
            _demand(not strange, f"unexpected `tool_use_id` found in `tool_result` blocks: {strange}")
            missing = [id for id in asked if id not in results]
            _demand(not missing, f"`tool_use` ids were found without `tool_result` blocks immediately after: {missing}")
            _demand(len(set(results)) == len(results), "each tool_use must have a single result")
            asked = []
        else:
            _demand(not asked, f"`tool_use` ids were found without `tool_result` blocks immediately after: {asked}")
        for block in message["content"]:
            _check_block(block, message["role"])
            if block["type"] == "tool_use":
                _demand(block["id"] not in ids, "messages: `tool_use` ids must be unique")
                ids.add(block["id"])
                asked.append(block["id"])
    used = any(block["type"].startswith("tool_") for message in messages for block in message["content"])
    _demand(tools or not used, "Requests which include `tool_use` or `tool_result` blocks must define `tools`")


def _check_block(block: Mapping[str, Any], role: str) -> None:
    match block.get("type"), role:
        case "text", _:
            _check_text(block, "messages")
        case "tool_use", "assistant":
            _demand(_ID.fullmatch(str(block.get("id"))), "tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'")
            _demand(_TOOL.fullmatch(str(block.get("name"))), "tool_use.name: does not match the pattern")
            _demand(isinstance(block.get("input"), Mapping), "tool_use.input: Input should be a valid dictionary")
        case "tool_result", "user":
            _demand(isinstance(block.get("content", ""), str), "tool_result.content: unexpected")
        case kind, _:
            raise Refused(f"messages.content: Input tag {kind!r} is not expected for {role}")


def _check_text(block: Mapping[str, Any], where: str) -> None:
    text = block.get("text")
    _demand(isinstance(text, str) and text, f"{where}: text content blocks must be non-empty")
    _demand(str(text).strip(), f"{where}: text content blocks must contain non-whitespace text")


def _demand(right: object, what: str) -> None:
    if not right:
        raise Refused(what)


def _blocks(body: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """All that may be marked, in the order in which it is cached."""
    yield from body.get("tools", ())
    system = body.get("system", ())
    yield from () if isinstance(system, str) else system
    for message in body["messages"]:
        yield from whole(message)["content"]


class Cache:
    """Prefixes of requests, as the API keeps them; one token is four characters."""

    def __init__(self) -> None:
        self._kept: set[str] = set()

    def counts(self, body: Mapping[str, Any]) -> dict[str, int]:
        """The tokens of a request's input: read from the cache, written to it, and others."""
        digest, lengths, prefixes, marks = hashlib.sha256(body["model"].encode()), [0], [""], []
        for number, block in enumerate(_blocks(body), 1):
            plain = json.dumps({name: value for name, value in block.items() if name != "cache_control"})
            digest.update(plain.encode())
            lengths.append(lengths[-1] + len(plain))
            prefixes.append(digest.hexdigest())
            if "cache_control" in block:
                marks.append(number)
        known = [
            place
            for mark in marks
            for place in range(max(1, mark - LOOKBACK), mark + 1)
            if prefixes[place] in self._kept
        ]
        self._kept.update(prefixes[mark] for mark in marks)
        read, last = lengths[max(known, default=0)], lengths[max(marks, default=0)]
        tokens = {"cache_read_input_tokens": read, "cache_creation_input_tokens": max(0, last - read)}
        tokens["input_tokens"] = lengths[-1] - sum(tokens.values())
        return {name: -(-count // 4) for name, count in tokens.items()}
