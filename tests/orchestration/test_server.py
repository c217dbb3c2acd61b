"""The browser's door over real sockets: uvicorn as the plan sets it, and a WebSocket client that is not ours."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest
import websockets.exceptions
from starlette.applications import Starlette
from starlette.routing import Mount
from websockets.asyncio.client import ClientConnection, connect

from orchestration.gate import Admission
from orchestration.server import app
from tests.orchestration.serving import EchoGate, serving
from tests.voice.transports.line import Line
from voice.clock import run
from voice.leg import Frame, Leg, Played
from voice.transports import wire
from voice.transports.wire import Kind

SOUND = bytes(range(256)) * 2 + bytes(128)


def voice(sequence: int, pcm: bytes = SOUND) -> bytes:
    return wire.HEADER.pack(Kind.MICROPHONE, 0, 0, 0, sequence) + pcm


@contextlib.asynccontextmanager
async def room(gate: EchoGate | None = None, **options: Any) -> AsyncIterator[tuple[EchoGate, str]]:
    gate = gate or EchoGate()
    async with asyncio.timeout(20), serving(app(gate, **options)) as url:
        yield gate, url.replace("http", "ws") + "/ws"


async def control(socket: ClientConnection, type: str) -> dict[str, Any]:
    """The next control message of a type."""
    while True:
        message = await socket.recv()
        if isinstance(message, str) and (fields := json.loads(message))["type"] == type:
            return dict(fields)


async def join(socket: ClientConnection, name: str = "Ann", **fields: Any) -> dict[str, Any]:
    await socket.send(json.dumps({"type": "join", "protocol": 1, "room": "lobby", "name": name, **fields}))
    return await control(socket, "welcome")


async def closing(socket: ClientConnection) -> tuple[list[str], int]:
    """The codes of the errors told before the close, and the code of the close."""
    messages = [json.loads(message) async for message in heard_out(socket) if isinstance(message, str)]
    return [m["code"] for m in messages if m["type"] == "error"], socket.close_code or 0


async def heard_out(socket: ClientConnection) -> AsyncIterator[str | bytes]:
    """Everything that comes until the connection is closed, however it is."""
    with contextlib.suppress(websockets.exceptions.ConnectionClosed):
        while True:
            yield await socket.recv()


async def still_serves(address: str, name: str = "Zoe") -> bool:
    async with connect(address) as socket:
        await join(socket, name)
        await socket.send(voice(0))
        return isinstance(await socket.recv(), bytes)


@pytest.mark.asyncio
async def test_a_welcome_says_who_and_when_and_what_went_on() -> None:
    async with room(EchoGate(snapshot={"tasks": []})) as (_, address), connect(address) as socket:
        welcome = await join(socket)
        assert welcome["caller"] == {"id": "lobby/Ann", "name": "Ann"}
        assert welcome["protocol"] == wire.PROTOCOL
        assert welcome["room"] == "lobby"
        assert welcome["token"] == "token-0"
        assert welcome["snapshot"] == {"tasks": []}
        assert welcome["help"]["scripted"] is True
        await socket.send(json.dumps({"type": "ping", "t": 1.5}))
        pong = await control(socket, "pong")
        assert pong["t"] == 1.5
        assert pong["now"] >= welcome["now"]


@pytest.mark.asyncio
async def test_sound_and_receipts_go_through() -> None:
    async with room() as (gate, address), connect(address) as socket:
        await join(socket, prebuffer=0.04, latency=0.02)
        for sequence in range(3):
            await socket.send(voice(sequence))
            message = await socket.recv()
            assert message == wire.audio(Kind.AGENT, 1, 320 * sequence, SOUND)
        await socket.send(json.dumps({"type": "played", "stream": 1, "samples": 500}))
        gate.legs[0].clear(1)
        assert await control(socket, "clear") == {"type": "clear", "stream": 1}
        await socket.send(json.dumps({"type": "played", "stream": 1, "samples": 700, "flushed": True}))
        await gate.until(lambda: len(gate.played) == 2)
        assert gate.played == [Played(1, 500), Played(1, 700, flushed=True)]
        assert gate.frames == [Frame(SOUND)] * 3
        assert gate.legs[0].jitter == pytest.approx(0.06)


@pytest.mark.asyncio
async def test_leaving_hangs_up_and_a_cut_does_not() -> None:
    async with room() as (gate, address):
        async with connect(address) as socket:
            await join(socket)
            await socket.send('{"type":"leave"}')
            assert await closing(socket) == ([], 1000)
        async with connect(address) as socket:
            await join(socket, token="token-0")
            socket.transport.abort()
        await gate.until(lambda: len(gate.served) == 2)
        assert gate.served == [True, False]


@pytest.mark.asyncio
async def test_a_token_brings_the_same_caller_back_and_replaces_the_old_connection() -> None:
    async with room() as (gate, address), connect(address) as old:
        token = (await join(old))["token"]
        async with connect(address) as new:
            welcome = await join(new, token=token)
            assert welcome["caller"]["id"] == "lobby/Ann"
            assert await closing(old) == (["replaced"], 4409)
            await new.send(voice(0))
            assert isinstance(await new.recv(), bytes)
            assert gate.served == [False]


@pytest.mark.asyncio
async def test_the_same_name_without_the_token_is_refused() -> None:
    async with room() as (gate, address), connect(address) as first:
        await join(first)
        async with connect(address) as second:
            await second.send('{"type":"join","protocol":1,"room":"lobby","name":"Ann"}')
            error = await control(second, "error")
            assert (error["code"], error["message"]) == (
                "name_taken",
                "somebody called Ann is here already; take another name",
            )
            assert await closing(second) == ([], 4403)
        await first.send(voice(0))
        assert isinstance(await first.recv(), bytes)
        assert len(gate.legs) == 1


@pytest.mark.asyncio
@pytest.mark.parametrize(("name", "code"), [("closed", "unknown_room"), ("a b", "bad_room")])
async def test_a_room_that_is_not_there(name: str, code: str) -> None:
    async with room() as (_, address), connect(address) as socket:
        await socket.send(json.dumps({"type": "join", "protocol": 1, "room": name, "name": "Ann"}))
        assert (await control(socket, "error"))["code"] == code


@pytest.mark.asyncio
async def test_garbage_costs_only_the_one_who_sends_it() -> None:
    async with room() as (gate, address), connect(address) as good, connect(address) as bad:
        await join(good, "Good")
        await join(bad, "Bad")
        for data in (b"", b"\1" * 7, voice(0)[:-1], voice(9), voice(3), "{}", "][", '{"type":"played"}'):
            await bad.send(data)
        codes = [(await control(bad, "error"))["code"] for _ in range(7)]
        assert codes == [
            "bad_frame",
            "bad_frame",
            "bad_frame",
            "out_of_order",
            "unknown_type",
            "bad_json",
            "bad_field",
        ]
        for _ in range(30):
            await bad.send(b"?")
        errors, code = await closing(bad)
        assert (errors[-1], code) == ("garbage", 4400)
        await good.send(voice(0))
        assert isinstance(await good.recv(), bytes)
        assert await still_serves(address)
        assert len(gate.frames) == 3


@pytest.mark.asyncio
async def test_an_oversized_message_ends_the_connection() -> None:
    async with room() as (_, address), connect(address) as socket:
        await join(socket)
        await socket.send(bytes(wire.MAX_MESSAGE + 1))
        assert await closing(socket) == ([], 1009)
        async with connect(address) as early:
            await early.send("x" * 1_000_000)
            assert await closing(early) == ([], 1009)
        assert await still_serves(address)


@pytest.mark.asyncio
async def test_a_flood_of_sound_ends_the_connection() -> None:
    async with room() as (gate, address), connect(address) as socket:
        await join(socket)
        errors: tuple[list[str], int] = ([], 0)

        async def flood() -> None:
            with contextlib.suppress(websockets.exceptions.ConnectionClosed):
                for sequence in range(5000):
                    await socket.send(voice(sequence))

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(flood())
            errors = await closing(socket)
        assert errors == (["too_fast", "flood"], 4429)
        assert len(gate.frames) < 1000
        assert await still_serves(address)


@pytest.mark.asyncio
async def test_pages_of_other_sites_are_refused_unless_allowed() -> None:
    async with room(origins=["https://friend.example"]) as (_, address):
        host = address.removeprefix("ws://").removesuffix("/ws")
        for origin in (f"http://{host}", f"https://{host}", "https://friend.example"):
            async with connect(address, origin=origin) as socket:  # type: ignore[arg-type]
                await join(socket)
        for origin in ("https://evil.example", "null", "http://[", ""):
            for token in (None, "t" * 43):
                async with connect(address, additional_headers={"Origin": origin}) as socket:
                    await socket.send(json.dumps({**JOIN, "name": "Eve", "token": token}))
                    assert await closing(socket) == (["bad_origin"], 4403)
        async with connect(address, additional_headers={"Origin": "https://b", "X-Forwarded-Host": "b"}) as socket:
            await join(socket)


@pytest.mark.asyncio
async def test_who_comes_for_a_room_of_another_server_is_sent_there_and_let_in() -> None:
    one, two = EchoGate(), EchoGate(callers={})
    two.callers = one.callers  # they share what they remember
    async with room(one) as (_, here), room(two) as (_, there):
        page = here.removesuffix("/ws").replace("ws", "http")
        one.elsewhere["lobby"] = there.removesuffix("/ws").replace("ws", "http")
        async with connect(here, origin=page) as socket:  # type: ignore[arg-type]
            await socket.send(json.dumps({"type": "join", "protocol": 1, "room": "lobby", "name": "Ann"}))
            moved = await control(socket, "moved")
            assert moved["url"] == one.elsewhere["lobby"]
            assert await closing(socket) == ([], 4307)
        async with connect(there, origin=page) as socket:  # type: ignore[arg-type]
            welcome = await join(socket, token=moved["token"])
            assert welcome["token"] == moved["token"]


@pytest.mark.asyncio
async def test_a_full_house_says_so() -> None:
    async with room(limit=1) as (_, address), connect(address) as first:
        await join(first)
        async with connect(address) as second:
            assert await closing(second) == (["full"], 4403)


class FailingGate(EchoGate):
    """Fails in one of its two duties."""

    def __init__(self, where: str) -> None:
        super().__init__()
        self.where = where

    async def admit(self, room: str, name: str, token: str | None) -> Admission:
        if self.where == "admit":
            raise RuntimeError("the database is gone")
        admission = await super().admit(room, name, token)
        serve: Callable[[Leg], Awaitable[None]] = self.fail if self.where == "serve" else self.end
        return Admission(admission.caller, admission.token, serve, admission.snapshot)

    async def fail(self, leg: Leg) -> None:
        raise RuntimeError("the room fell in")

    async def end(self, leg: Leg) -> None:
        return


@pytest.mark.asyncio
@pytest.mark.parametrize("where", ["admit", "serve"])
async def test_a_failing_room_is_told_logged_and_survived(where: str, caplog: pytest.LogCaptureFixture) -> None:
    async with room(FailingGate(where)) as (_, address):
        for _ in range(2):
            async with connect(address) as socket:
                await socket.send('{"type":"join","protocol":1,"room":"lobby","name":"Ann"}')
                assert await closing(socket) == (["failed"], 1011)
    assert any("Ann" in r.getMessage() or "lobby" in r.getMessage() for r in caplog.records if r.exc_info)
    assert "token-0" not in caplog.text


@pytest.mark.asyncio
async def test_a_room_that_ends_the_call() -> None:
    async with room(FailingGate("end")) as (_, address), connect(address) as socket:
        await join(socket)
        assert await closing(socket) == ([], 1000)


@pytest.mark.asyncio
async def test_stopping_the_server_ends_calls_as_broken_not_as_hung_up() -> None:
    gate = EchoGate()
    async with contextlib.AsyncExitStack() as stack:
        async with room(gate) as (_, address):
            socket = await stack.enter_async_context(connect(address))
            await join(socket)
        assert await closing(socket) == ([], 1012)
    assert gate.served == [False]


@pytest.mark.asyncio
async def test_health_counts_connections() -> None:
    async with room() as (_, address), httpx.AsyncClient() as http:
        page = address.replace("ws://", "http://").removesuffix("/ws")
        async with connect(address) as socket:
            await join(socket)
            answer = await http.get(f"{page}/healthz")
            assert answer.json() == {"status": "ok", "connections": 1}


@pytest.mark.asyncio
async def test_the_room_works_under_a_prefix_of_another_app() -> None:
    gate = EchoGate()
    outer = Starlette(routes=[Mount("/support/voice", app(gate))])
    async with asyncio.timeout(20), serving(outer) as url:
        address = url.replace("http", "ws") + "/support/voice/ws"
        async with connect(address) as socket:
            await join(socket)
            await socket.send(voice(0))
            assert isinstance(await socket.recv(), bytes)


JOIN = {"type": "join", "protocol": 1, "room": "lobby", "name": "Ann", "token": "token-0"}


class ClingingGate(EchoGate):
    """Does not let go of a leg that has ended."""

    async def serve(self, leg: Leg) -> None:
        self.legs.append(leg)
        await asyncio.sleep(30.0)


def test_a_room_that_clings_to_an_old_connection_does_not_keep_its_caller_out() -> None:
    async def go() -> None:
        gate, old, new = ClingingGate(), Line(), Line()
        application = app(gate)
        async with asyncio.TaskGroup() as tasks:
            for line in (old, new):
                line.says(JOIN)
                tasks.create_task(application(*line.asgi))
                await asyncio.sleep(2.0)
            assert old.closed is not None
            assert old.closed[0] == 4409
            assert new.control[0]["type"] == "welcome"
            assert len(gate.legs) == 2
            new.drops()

    run(go())


def test_a_page_that_goes_before_its_welcome_leaves_nothing_behind() -> None:
    class SlowGate(EchoGate):
        async def admit(self, room: str, name: str, token: str | None) -> Admission:
            line.break_down()
            return await super().admit(room, name, token)

    async def go() -> None:
        gate = SlowGate()
        line.says(JOIN)
        await app(gate)(*line.asgi)
        assert gate.legs == []

    line = Line()
    run(go())
