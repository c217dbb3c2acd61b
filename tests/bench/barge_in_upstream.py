"""What our model's adapter costs a call: `python -m tests.bench.barge_in_upstream` prints it.

Spans, against a server on this machine that answers at once: from the moment in which a stream is closed, as when a
caller cuts in, to the one in which the server sees that its client is gone; and from the question to the first word.
Beside them a bare HTTP client, closing the same request in the same run: what the kernel and the server take.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import statistics
from collections.abc import Awaitable, Callable
from functools import partial
from urllib.parse import urlsplit

from orchestration import Runtime, Speech
from orchestration.agent import Agent
from orchestration.models.anthropic import Anthropic
from orchestration.models.model import Message, Role
from tests.bench.first_sound import Leg
from tests.fakes.anthropic import FakeAnthropic
from tests.orchestration.test_conversation import Talks
from tests.voice.doubles import Recognizer, Synthesizer, Vad, spoken
from voice.clock import wall_seconds
from voice.leg import Frame

TIMES = 200
CALLS = 15
TARGET = 50.0
"""Milliseconds from barge-in to the closed request (house plan)."""
HELLO = [Message(Role.USER, "hello there")]


async def cut(fake: FakeAnthropic, close: Callable[[], Awaitable[None]]) -> float:
    """Milliseconds until the server knows that the newest request's client is gone."""
    request = fake.requests[-1]
    began = wall_seconds()
    await close()
    await request.gone.wait()
    return (wall_seconds() - began) * 1000


async def by_us(fake: FakeAnthropic) -> tuple[list[float], list[float]]:
    """First word and disconnect, in milliseconds, through an agent's reply."""
    model = Anthropic(api_key="k", base_url=fake.url)
    await model.prepare()
    agent = Agent("host", model=model)
    first, gone = [], []
    for _ in range(TIMES):
        async with asyncio.TaskGroup() as group:
            began = wall_seconds()
            pieces = agent.reply(HELLO, group=group)
            await anext(pieces)
            first.append((wall_seconds() - began) * 1000)
            gone.append(await cut(fake, pieces.aclose))
    await model.aclose()
    return first, gone


async def by_hand(fake: FakeAnthropic) -> tuple[list[float], list[float]]:
    """The same with the standard library, in a thread: connect, ask, read the first words, close."""
    body = json.dumps(
        {"model": "m", "max_tokens": 9, "stream": True, "messages": [{"role": "user", "content": "hello"}]}
    )
    first, gone = [], []

    def ask() -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection(urlsplit(fake.url).netloc)
        connection.request("POST", "/v1/messages", body, {"x-api-key": "k", "content-type": "application/json"})
        response = connection.getresponse()
        while b"text_delta" not in response.readline():
            pass
        response.close()
        return connection

    for _ in range(TIMES):
        began = wall_seconds()
        connection = await asyncio.to_thread(ask)
        first.append((wall_seconds() - began) * 1000)
        gone.append(await cut(fake, partial(asyncio.to_thread, connection.close)))
    return first, gone


async def in_a_call(fake: FakeAnthropic) -> list[float]:
    """From the last sound of a caller's first word into the answer to the closed request, in a whole room."""
    agent = Agent("host", model=Anthropic(api_key="k", base_url=fake.url))
    speech = Speech(stt=Recognizer(), tts=Synthesizer(), vad=Vad(), preemptive=False)
    gone = []
    async with Runtime(orchestration=Talks(agent), speech=speech, state=None) as runtime:
        await runtime.prepare()
        session = await runtime.enter("bench")
        leg = Leg()
        serving = asyncio.create_task(session.serve(leg))
        await asyncio.sleep(0.1)
        for _ in range(CALLS):
            asked = len(fake.requests)
            await leg.say("hello there", silence=0.7)
            request = await fake.request(asked)
            leg.came.clear()
            await leg.came.wait()
            await asyncio.sleep(0.3)  # it is being heard
            *before, last = spoken("stop")
            await leg.play(before)
            began = wall_seconds()
            leg.put(Frame(last))
            await request.gone.wait()
            gone.append((wall_seconds() - began) * 1000)
            await leg.say("it now please", silence=1.5)
        leg.end(hung_up=True)
        await serving
    return gone


async def main() -> None:
    """Print both, and how they compare."""
    async with FakeAnthropic([["One two three four. ", asyncio.Event()]]) as fake:
        ours, bare = await by_us(fake), await by_hand(fake)
        called = await in_a_call(fake)
    for name, mine, theirs in zip(("first word", "cut to closed"), ours, bare, strict=True):
        median, base = statistics.median(mine), statistics.median(theirs)
        worst = sorted(mine)[-TIMES // 100]
        print(
            f"{name:<16}{median:8.2f} ms{worst:8.2f} ms at worst of 99 %{base:8.2f} ms bare{median / base:7.1f} times"
        )
    median = statistics.median(called)
    print(
        f"in a whole call: {median:.2f} ms from a caller's first word to the closed request, {max(called):.2f} at worst"
    )
    print(f"{median / TARGET:.3f} of the {TARGET:g} ms in which a request is to be closed after a barge-in")


if __name__ == "__main__":
    asyncio.run(main())
