"""What a browser's call costs: `python -m tests.bench.browser` prints round trip, underruns and the server's CPU.

Round trip: real Chromium with a fake microphone that chirps every second, a room that echoes each frame as it comes,
and 40 ms of prebuffer; the time from a chirp in the microphone's track to the same chirp in the <audio> element's
stream, found by correlation. It holds everything between getUserMedia and the loudspeaker's driver.

CPU: sessions that send and receive a frame every 20 ms and report what they played every 100 ms, as a page does, from
another process; the server process's own CPU time, less what it takes with nobody there. Beside it the same of an ASGI
app that only echoes: what uvicorn and the kernel take.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
from collections.abc import Sequence

from starlette.types import Receive, Scope, Send
from websockets.asyncio.client import ClientConnection, connect

from orchestration.server import app
from tests.e2e.chromium import chromium
from tests.e2e.test_page import chirps, heard_at
from tests.orchestration.serving import EchoGate, serving
from voice.clock import cpu_seconds, now
from voice.leg import FRAME_BYTES, FRAME_SAMPLES, FRAME_SECONDS, Frame, Leg
from voice.transports import wire

SECONDS = 20
SESSIONS = 10


async def round_trip(seconds: int = SECONDS) -> None:
    gate = EchoGate()
    async with serving(app(gate)) as url, chromium(url, microphone=chirps(seconds + 2)) as caller:
        await caller.join("Bench")
        await asyncio.sleep(seconds)
        recording, stats = await caller.recording(), await caller.stats()
    echoes = heard_at(recording.ear)
    delays = [min(e - s for e in echoes if e > s) for s in heard_at(recording.microphone) if s < echoes[-1]]
    print(
        f"round trip through Chromium  {1000 * statistics.median(delays):6.1f} ms  (median of {len(delays)},", end=" "
    )
    print(f"{1000 * min(delays):.1f} to {1000 * max(delays):.1f}; prebuffer {1000 * stats['prebuffer']:.0f} ms)")
    print(f"underruns                    {stats['underruns']:6d}     in {recording.seconds:.0f} s")


async def session(address: str, number: int, until: float) -> None:
    """A page without a browser."""
    voice = bytes(FRAME_BYTES)
    async with connect(address, compression=None) as socket:
        await socket.send(json.dumps({"type": "join", "protocol": 1, "room": "lobby", "name": f"caller {number}"}))
        await socket.recv()
        async with asyncio.TaskGroup() as tasks:
            drain = tasks.create_task(_drain(socket))
            due, sequence = now() + FRAME_SECONDS * number / SESSIONS, 0
            while due < until:
                await asyncio.sleep(max(0.0, due - now()))
                await socket.send(wire.HEADER.pack(wire.Kind.MICROPHONE, 0, 0, 0, sequence) + voice)
                sequence, due = sequence + 1, due + FRAME_SECONDS
                if sequence % 5 == 0:
                    played = {"type": "played", "stream": 1, "samples": (sequence - 5) * FRAME_SAMPLES}
                    await socket.send(json.dumps(played))
            drain.cancel()


async def _drain(socket: ClientConnection) -> None:
    async for message in socket:
        if isinstance(message, str):
            told = json.loads(message)
            assert told["type"] == "ping", told
            await socket.send(message.replace("ping", "pong"))


class EchoRooms(EchoGate):
    """An echo for many callers at once, that notes nothing."""

    async def serve(self, leg: Leg) -> None:
        position = 0
        async for event in leg.incoming():
            if isinstance(event, Frame):
                leg.send(event.pcm, stream=1, position=position)
                position += FRAME_SAMPLES


async def bare(_: Scope, receive: Receive, send: Send) -> None:
    """The least an ASGI app can do: says back what it is sent."""
    await receive()
    await send({"type": "websocket.accept"})
    await receive()
    await send({"type": "websocket.send", "text": "welcome"})
    while (message := await receive())["type"] == "websocket.receive":
        if message.get("bytes"):
            await send({"type": "websocket.send", "bytes": message["bytes"]})


async def serve(what: str) -> None:
    """The other process: serves until its standard input ends; answers every line with its CPU seconds."""
    async with serving(bare if what == "bare" else app(EchoRooms())) as url:
        print(url, flush=True)
        while await asyncio.to_thread(sys.stdin.readline):
            print(cpu_seconds(), flush=True)


async def cpu(what: str, sessions: int = SESSIONS, seconds: int = SECONDS) -> float:
    """CPU share of a core that one session takes of a server of its own process."""
    server = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.bench.browser",
        what,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert server.stdin
    assert server.stdout
    address = (await server.stdout.readline()).decode().strip().replace("http", "ws") + "/ws"

    async def spent() -> float:
        assert server.stdin
        assert server.stdout
        server.stdin.write(b"\n")
        return float(await server.stdout.readline())

    async def share() -> float:
        before, began = await spent(), now()
        await asyncio.sleep(seconds)
        return (await spent() - before) / (now() - began)

    idle = await share()
    async with asyncio.TaskGroup() as tasks:
        until = now() + seconds + 4
        for number in range(sessions):
            tasks.create_task(session(address, number, until))
        await asyncio.sleep(2)
        busy = await share()
    server.stdin.close()
    await server.wait()
    return (busy - idle) / sessions


def main(arguments: Sequence[str]) -> None:
    if arguments:
        asyncio.run(serve(arguments[0]))
        return
    asyncio.run(round_trip())
    room, least = asyncio.run(cpu("room")), asyncio.run(cpu("bare"))
    print(f"server CPU a session         {100 * room:6.2f} %   of a core ({SESSIONS} sessions;", end=" ")
    print(f"a bare ASGI echo: {100 * least:.2f} %)")


if __name__ == "__main__":
    main(sys.argv[1:])
