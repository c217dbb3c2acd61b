"""Which line a text gets, and when lines are opened and closed: in virtual time, on lines without a socket."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from websockets.protocol import State

from tests.voice.doubles import sleep_until
from voice.clock import run
from voice.provider_error import Cause, ProviderError
from voice.tts.deepgram_line import FLUSHES, LIFETIME, Line
from voice.tts.deepgram_lines import IDLE, Lines

CONNECTING = 0.3


class Wire:
    """A line's socket, as far as `Line` needs one."""

    def __init__(self) -> None:
        self.transport, self.state = self, State.OPEN

    @property
    def open(self) -> bool:
        return self.state is State.OPEN

    def abort(self) -> None:
        self.state = State.CLOSED


class SilentLine(Line):
    """Its texts are at their end as soon as they are said."""

    def __init__(self, now: float) -> None:
        super().__init__("test", now)
        self.wire = Wire()
        self.closed: float | None = None

    @property
    def _protocol(self) -> Any:
        return self.wire

    async def say(self, text: str) -> None:
        self._flushes.append(asyncio.get_running_loop().time())

    async def close(self, *, abort: bool = False) -> None:
        self.wire.abort()
        self.closed = asyncio.get_running_loop().time()


class Exchange:
    """Where lines are opened: all of them, and how many more attempts fail."""

    def __init__(self, most: int = 4) -> None:
        self.opened: list[SilentLine] = []
        self.failures = 0
        self.lines = Lines(self.connect, most)

    async def connect(self) -> Line:
        loop = asyncio.get_running_loop()
        await sleep_until(loop.time() + CONNECTING)
        if self.failures:
            self.failures -= 1
            raise ProviderError("test", Cause.NETWORK, "unplugged")
        self.opened.append(SilentLine(loop.time()))
        return self.opened[-1]

    async def text(self, seconds: float = 0.0) -> Line:
        """Speak for so long."""
        async with self.lines.places:
            line = await self.lines.take()
            try:
                await line.say("")
                await sleep(seconds)
            finally:
                await self.lines.give(line)
            return line

    @property
    def now_open(self) -> int:
        return sum(line.wire.open for line in self.opened)


async def sleep(seconds: float) -> None:
    await sleep_until(asyncio.get_running_loop().time() + seconds)


def now() -> float:
    return asyncio.get_running_loop().time()


def test_a_text_waits_for_a_connection_only_where_there_is_none() -> None:
    async def main() -> None:
        exchange = Exchange()
        await exchange.lines.warm()
        begun = now()
        assert begun >= CONNECTING
        await asyncio.gather(exchange.text(1), delayed(exchange, CONNECTING))
        assert now() - begun == pytest.approx(1 + CONNECTING)
        assert len(exchange.opened) == 3, "a third was opened ahead"
        await exchange.lines.aclose()

    async def delayed(exchange: Exchange, after: float) -> None:
        await sleep(after)
        await exchange.text(1)

    run(main())


def test_a_text_takes_the_one_that_is_being_opened() -> None:
    async def main() -> None:
        exchange = Exchange(2)
        await exchange.lines.warm()
        begun = now()
        first = asyncio.ensure_future(exchange.text(1))
        await sleep(CONNECTING / 2)
        await exchange.text()
        assert now() - begun == pytest.approx(CONNECTING)
        await first
        assert len(exchange.opened) == 2
        await exchange.lines.aclose()

    run(main())


def test_no_more_than_so_many_at_once() -> None:
    async def main() -> None:
        exchange = Exchange(4)
        begun = now()
        await asyncio.gather(*(exchange.text(1) for _ in range(12)))
        assert now() - begun == pytest.approx(3 + CONNECTING)
        assert len(exchange.opened) == 4
        await exchange.lines.aclose()

    run(main())


@pytest.mark.parametrize(("pause", "opened"), [(1.0, 3), (45.0, 2)], ids=["at once", "later"])
def test_one_is_used_again_unless_its_texts_are_used_up(pause: float, opened: int) -> None:
    async def main() -> None:
        exchange = Exchange(2)
        used = [await exchange.text(0.5) for _ in range(2 * FLUSHES)]
        assert used.count(exchange.opened[0]) == used.count(exchange.opened[1]) == FLUSHES
        await sleep(pause)
        await exchange.text(0.5)
        assert len(exchange.opened) == opened
        assert exchange.now_open <= 2
        await exchange.lines.aclose()

    run(main())


def test_what_is_idle_is_closed_but_for_one() -> None:
    async def main() -> None:
        exchange = Exchange()
        await asyncio.gather(*(exchange.text(1) for _ in range(4)))
        at = now()
        assert exchange.now_open == 4
        await sleep(IDLE + 1)
        assert exchange.now_open == 1
        assert all(line.closed == pytest.approx(at + IDLE) for line in exchange.opened if line.closed)
        await sleep(10 * IDLE)
        assert exchange.now_open == 1
        await exchange.lines.aclose()
        assert exchange.now_open == 0

    run(main())


def test_an_old_one_begins_no_more_texts() -> None:
    async def main() -> None:
        exchange = Exchange(1)
        first = await exchange.text()
        await sleep(LIFETIME)
        assert await exchange.text() is not first
        await sleep(1)
        assert exchange.now_open == 1
        await exchange.lines.aclose()

    run(main())


def test_one_ahead_that_fails_costs_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        exchange = Exchange()
        await exchange.lines.warm()
        exchange.failures = 1
        await exchange.text(1)
        assert len(exchange.opened) == 1
        assert exchange.lines.open == 1
        await exchange.text(1)
        assert len(exchange.opened) == 2
        await exchange.lines.aclose()

    run(main())
    assert "unplugged" in caplog.text


def test_one_that_cannot_be_opened_is_told_and_leaves_its_place() -> None:
    async def main() -> None:
        exchange = Exchange(1)
        exchange.failures = 2
        for _ in range(2):
            with pytest.raises(ProviderError, match="unplugged"):
                await exchange.text()
        assert exchange.lines.open == 0
        await exchange.text()
        await exchange.lines.aclose()

    run(main())


def test_being_cancelled_while_it_connects_leaves_its_place() -> None:
    async def main() -> None:
        exchange = Exchange(2)
        text = asyncio.ensure_future(exchange.text())
        await sleep(CONNECTING / 2)
        text.cancel()
        await asyncio.wait([text])
        assert exchange.lines.open == 0
        await exchange.text()
        await exchange.lines.aclose()

    run(main())


def test_being_cancelled_as_the_one_it_waits_for_is_open() -> None:
    async def main() -> None:
        exchange = Exchange(2)
        await exchange.lines.warm()
        first = asyncio.ensure_future(exchange.text(1))
        await sleep(CONNECTING / 2)
        spare = next(task for task in asyncio.all_tasks() if task.get_name() == "deepgram-spare")
        text = asyncio.ensure_future(exchange.text())
        spare.add_done_callback(lambda _: text.cancel())
        await asyncio.wait([text, first])
        assert text.cancelled()
        assert len(exchange.opened) == 2
        assert exchange.lines.open == exchange.now_open
        await exchange.lines.aclose()
        assert exchange.now_open == 0

    run(main())


def test_closing_it_while_one_is_opened_ahead() -> None:
    async def main() -> None:
        exchange = Exchange()
        await exchange.lines.warm()
        before = asyncio.all_tasks()
        text = asyncio.ensure_future(exchange.text(1))
        await sleep(CONNECTING / 2)
        await exchange.lines.aclose()
        await text
        await sleep(1)
        assert exchange.now_open == 0
        assert len(exchange.opened) == 1
        assert len(asyncio.all_tasks()) < len(before), "what kept the lines is gone, too"

    run(main())


def test_a_loop_that_just_ends_leaves_no_socket_open() -> None:
    exchanges = []

    async def main() -> None:
        exchanges.append(Exchange())
        await asyncio.gather(*(exchanges[0].text(1) for _ in range(3)))

    run(main())
    assert exchanges[0].opened
    assert exchanges[0].now_open == 0
