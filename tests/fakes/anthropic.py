"""A server of Anthropic's Messages API: streamed answers in the real wire format, requests checked as the API does.

    async with FakeAnthropic(["Hello there.", Use("weather", {"city": "Rome"}), "It is sunny."]) as fake:
        model = Anthropic(api_key="k", base_url=fake.url)

`python -m tests.fakes.anthropic --port 9100` runs one by hand that holds a simple conversation: it calls the first tool
whose name is in what the user says, and reads out what that says. Written after
https://platform.claude.com/docs/en/api/messages and .../build-with-claude/streaming (November 2026).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Self

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from tests.fakes.anthropic_rules import Cache, Refused, check, whole
from tests.fakes.faults import Fault, Faults

Event = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Use:
    """A tool is called. `pieces`: its input as it is streamed (None: as JSON, in two)."""

    name: str
    input: Mapping[str, Any] = field(default_factory=dict)
    pieces: Sequence[str] | None = None


@dataclass(frozen=True, slots=True)
class Thought:
    """A block of thinking."""

    text: str = ""


@dataclass(frozen=True, slots=True)
class Trouble:
    """An error in the middle of the stream, like "overloaded_error"."""

    type: str
    message: str = "Something went wrong."


@dataclass(frozen=True, slots=True)
class Stop:
    """Why it stops, instead of "end_turn" or "tool_use"."""

    reason: str


Part = str | Use | Thought | Trouble | Stop | asyncio.Event
"""Text, a call, ..., or an event for which the stream waits."""
Answer = Part | Sequence[Part]
Answerer = Callable[[Mapping[str, Any]], Answer]
"""Makes the answer to a request's body."""


@dataclass(slots=True)
class Request:
    """One request: its body and headers (names in lower case). `gone`: the client went away before the end."""

    body: Mapping[str, Any]
    headers: Mapping[str, str]
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    """Its first event was sent."""
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    """It was answered, or is not any more."""


class FakeAnthropic:
    """`answers`: one a request, the last one again and again; or a function of the request's body. `key`: the only one
    that is accepted (None: any). `faults` are what goes wrong with the next requests."""

    def __init__(
        self, answers: Sequence[Answer] | Answerer = ("Hello.",), *, key: str | None = None, port: int = 0
    ) -> None:
        self._answer = answers if callable(answers) else self._next
        self._answers = () if callable(answers) else tuple(answers)
        self._key, self._port = key, port
        self._ids = count(1)
        self._cache = Cache()
        self._came = asyncio.Condition()
        self._state = ServerState()
        self.faults = Faults()
        self.requests: list[Request] = []
        self.connections: set[Any] = set()
        """The clients' addresses: one for each connection."""

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self._port}"

    async def request(self, number: int = 0) -> Request:
        """The request of that number, once it has come."""
        async with self._came:
            await self._came.wait_for(lambda: len(self.requests) > number)
        return self.requests[number]

    async def __aenter__(self) -> Self:
        config = uvicorn.Config(self, lifespan="off", ws="none", http="h11", log_config=None, access_log=False)
        config.load()
        # Without uvicorn's own loop, which looks ten times a second whether it is to end: tests would wait for it.
        self._listener = await asyncio.get_running_loop().create_server(
            lambda: H11Protocol(config, self._state, {}), "127.0.0.1", self._port
        )
        self._port = self._listener.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._listener.close()
        for connection in list(self._state.connections):
            connection.transport.abort()
        if self._state.tasks:
            await asyncio.wait(self._state.tasks)
        await self._listener.wait_closed()

    # -- the ASGI application

    async def __call__(self, scope: Mapping[str, Any], receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        headers = {name.decode().lower(): value.decode() for name, value in scope["headers"]}
        try:
            given = json.loads(body or b"{}")
        except ValueError:
            given = None
        request = Request(given, headers)
        self.connections.add(scope.get("client"))
        async with self._came:
            self.requests.append(request)
            self._came.notify_all()
        fault = self.faults.take()
        answering = asyncio.create_task(self._respond(scope, request, fault, send))
        leaving = asyncio.create_task(_left(receive))
        await asyncio.wait([answering, leaving], return_when=asyncio.FIRST_COMPLETED)
        if not answering.done():
            request.gone.set()
        for task in (answering, leaving):
            task.cancel()
        await asyncio.wait([answering, leaving])
        request.over.set()
        if not answering.cancelled():
            answering.result()

    async def _respond(self, scope: Mapping[str, Any], request: Request, fault: Fault, send: Any) -> None:
        await asyncio.sleep(fault.delay)
        if fault.silent:
            await asyncio.Event().wait()
        if fault.status is not None:
            await _refuse(send, fault.status, _KINDS.get(fault.status, "api_error"), "As it was ordered.", fault)
        elif scope["method"] != "POST" or scope["path"] != "/v1/messages":
            await _refuse(send, 404, "not_found_error", "Not found")
        elif not (key := _key_of(request.headers)) or self._key not in (None, key):
            await _refuse(send, 401, "authentication_error", "invalid x-api-key")
        else:
            try:
                check(request.body)
                if not request.body.get("stream"):
                    raise Refused("stream: this server only streams")
            except Refused as refusal:
                await _refuse(send, 400, "invalid_request_error", str(refusal))
                return
            await self._stream(request, fault, send)

    async def _stream(self, request: Request, fault: Fault, send: Any) -> None:
        await send(_head(200, "text/event-stream; charset=utf-8"))
        sent = 0
        if fault.garbage:
            await send(_piece(b'event: message_start\ndata: {"type": "message_start", "mess\n\nevent: x\nda'))
        async for event in self._events(request.body):
            if fault.garbage:
                break
            if fault.cut_after is not None and sent >= fault.cut_after:
                send.__self__.transport.abort()
                await asyncio.sleep(0)  # uvicorn hears of it
                return
            await send(_piece(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()))
            sent += 1
            request.begun.set()
            if event["type"] == "error":
                break
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _events(self, body: Mapping[str, Any]) -> AsyncIterator[Event]:
        number = next(self._ids)
        start = {**self._cache.counts(body), "output_tokens": 1}
        message = {"id": f"msg_{number:04}", "type": "message", "role": "assistant", "content": [], "usage": start}
        message |= {"model": body["model"], "stop_reason": None, "stop_sequence": None}
        yield {"type": "message_start", "message": message}
        yield {"type": "ping"}
        answer = self._answer(body)
        parts = [answer] if isinstance(answer, str | Use | Thought | Trouble | Stop | asyncio.Event) else answer
        reason, index, tokens, cut = "end_turn", 0, 1, False
        for part in parts:
            match part:
                case asyncio.Event():
                    await part.wait()
                case Trouble(kind, what):
                    yield {"type": "error", "error": {"type": kind, "message": what}}
                case Stop(reason):
                    cut = True
                case _:
                    for event in _block(part, index, f"toolu_{number:04}_{index}"):
                        tokens += 1
                        yield event
                    reason = "tool_use" if isinstance(part, Use) and not cut else reason
                    index += 1
        usage = {"output_tokens": tokens}
        yield {"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None}, "usage": usage}
        yield {"type": "message_stop"}

    def _next(self, body: Mapping[str, Any]) -> Answer:
        asked = sum(1 for request in self.requests if isinstance(request.body, Mapping))
        return self._answers[min(asked, len(self._answers)) - 1]


_KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
    500: "api_error",
    529: "overloaded_error",
}


def _block(part: str | Use | Thought, index: int, id: str) -> Iterator[Event]:
    """The events of one block."""
    match part:
        case str():
            block = {"type": "text", "text": ""}
            deltas = [{"type": "text_delta", "text": piece} for piece in re.findall(r"\S+\s*|\s+", part)]
        case Use(name, given, pieces):
            block = {"type": "tool_use", "id": id, "name": name, "input": {}}
            whole = json.dumps(dict(given)) if given else ""
            pieces = pieces if pieces is not None else ["", whole[: len(whole) // 2], whole[len(whole) // 2 :]]
            deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
        case Thought(text):
            block = {"type": "thinking", "thinking": "", "signature": ""}
            deltas = [{"type": "thinking_delta", "thinking": text}, {"type": "signature_delta", "signature": "EqQB"}]
    yield {"type": "content_block_start", "index": index, "content_block": block}
    for delta in deltas:
        yield {"type": "content_block_delta", "index": index, "delta": delta}
    yield {"type": "content_block_stop", "index": index}


def _key_of(headers: Mapping[str, str]) -> str:
    """The SDK sends it as a bearer's token since its version 2."""
    return headers.get("x-api-key") or headers.get("authorization", "").removeprefix("Bearer ")


async def _left(receive: Any) -> None:
    """Until the client goes away."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _refuse(send: Any, status: int, kind: str, what: str, fault: Fault | None = None) -> None:
    after = fault.retry_after if fault else None
    extra = [] if after is None else [(b"retry-after", f"{after:g}".encode())]
    await send(_head(status, "application/json", extra))
    error = {"type": "error", "error": {"type": kind, "message": what}, "request_id": "req_1"}
    await send({"type": "http.response.body", "body": json.dumps(error).encode()})


def _head(status: int, kind: str, extra: Sequence[tuple[bytes, bytes]] = ()) -> dict[str, Any]:
    headers = [(b"content-type", kind.encode()), (b"request-id", b"req_1"), *extra]
    return {"type": "http.response.start", "status": status, "headers": headers}


def _piece(data: bytes) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, "more_body": True}


# -- a conversation by hand

_RESULT = re.compile(r"^<result (\w+)>\s*(.*?)\s*</result \1>$", re.DOTALL | re.MULTILINE)
"""How results of background work are shown (`orchestration.fence`)."""


def converse(body: Mapping[str, Any]) -> Answer:
    """A simple but sensible answer: JSON where that is asked for, a tool's result, results of background work, a call
    of the tool that the user names, or what was said."""
    if schema := body.get("output_config", {}).get("format", {}).get("schema"):
        return json.dumps(example(schema, ""))
    content = whole(body["messages"][-1])["content"]
    if results := [str(block.get("content", "")) for block in content if block["type"] == "tool_result"]:
        begun = any(result.startswith("started:") for result in results)
        return "I am on it." if begun else f"Here it is. {' '.join(results)}"
    text = str(content[-1].get("text", "")).strip()
    if told := _RESULT.findall(text):
        return f"I have a result for you. {' '.join(result for _, result in told)}"
    plain = text.lower()
    if body.get("tool_choice", {}).get("type") != "none":
        for tool in body.get("tools", ()):
            if tool["name"].lower() in plain or tool["name"].lower().replace("_", " ") in plain:
                return [Use(tool["name"], example(tool["input_schema"], text))]
    if re.match(r"(hello|hi|good \w+)\b", plain):
        return "Hello. How can I help you?"
    return f"You said: {text}"


def example(schema: Mapping[str, Any], text: str) -> Any:
    """Something that fits a schema: what is required, of the text where it is text."""
    if options := schema.get("enum"):
        return next((each for each in options if str(each).lower() in text.lower()), options[0])
    if options := schema.get("anyOf"):
        return example(options[0], text)
    match schema.get("type"):
        case "object":
            properties = schema.get("properties", {})
            return {name: example(properties.get(name, {}), text) for name in schema.get("required", ())}
        case "array":
            return [example(schema.get("items", {}), text)]
        case "number" | "integer":
            return 1
        case "boolean":
            return True
    return text or "something"


async def main() -> None:
    """Until it is interrupted."""
    parser = argparse.ArgumentParser(prog="python -m tests.fakes.anthropic", description=__doc__)
    parser.add_argument("--port", type=int, default=9100)
    async with FakeAnthropic(converse, port=parser.parse_args().port) as fake:
        print(fake.url, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
