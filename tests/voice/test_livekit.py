"""What LiveKit's plugins find around them outside of LiveKit: an HTTP session in each loop; how they are closed."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

pytest.importorskip("livekit.agents", reason="pip install 'sottovoce[livekit]'")

from aiohttp import ClientConnectionError, ClientResponseError, RequestInfo
from livekit.agents.utils import http_context
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from tests import sockets
from tests.voice import doubles
from tests.voice.livekit_plugins import Voice, everything, left
from voice import livekit
from voice.clock import run
from voice.provider_error import Cause, ProviderError
from voice.tts.livekit import LiveKitTTS

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@asynccontextmanager
async def service() -> AsyncIterator[tuple[str, list[asyncio.StreamWriter]]]:
    """An HTTP service that keeps connections open; its URL, and the connections so far."""
    connections: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(ANSWER)
        except asyncio.IncompleteReadError:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}/", connections


class Fetching:
    """A voice that asks a service first, with the session that it was given once, as LiveKit's plugins do."""

    def __init__(self) -> None:
        self.url = ""
        self.voice = Voice(doubles.Synthesizer(), fetches=self.fetch)
        self._session: Any = None

    async def fetch(self, session: Any) -> None:
        self._session = self._session or session
        async with self._session.get(self.url) as answer:
            assert await answer.text() == "ok"


def test_a_plugin_has_one_session_a_loop_and_keeps_its_connections() -> None:
    fetching = Fetching()
    provider = LiveKitTTS(fetching.voice)

    async def main() -> None:
        async with service() as (fetching.url, connections):
            for _ in range(3):
                assert await everything(provider.synthesize("one two"))
            assert len(connections) == 1
            await provider.aclose()
            await provider.aclose()
            assert await everything(provider.synthesize("it can be used again"))
            assert len(connections) == 2
            await provider.aclose()
        assert not [name for name in await left() if "test_livekit" not in name and "serve" not in name]

    for _ in range(2):  # the second time in another loop, with what the plugin has kept of the first
        sockets.run(main())


def test_the_session_of_a_job_of_livekits_is_used_where_there_is_one() -> None:
    found: list[Any] = []

    async def note(session: Any) -> None:
        found.append(session)

    async def main() -> None:
        async with http_context.open() as session:
            await everything(LiveKitTTS(Voice(doubles.Synthesizer(), fetches=note)).synthesize("one"))
            assert found == [session]

    sockets.run(main())


def test_nothing_is_left_in_the_context_of_who_uses_a_plugin() -> None:
    async def main() -> None:
        await everything(LiveKitTTS(Voice(doubles.Synthesizer())).synthesize("one"))
        with pytest.raises(RuntimeError, match="outside of a job context"):
            http_context.http_session()

    run(main())


class TestClosing:
    def test_one_that_does_not_stop_is_left_to_itself(self, caplog: pytest.LogCaptureFixture) -> None:
        async def stubborn() -> None:
            await asyncio.sleep(60)

        run(livekit.close(stubborn(), "livekit:x"))
        assert "livekit:x does not stop when it is told to" in caplog.text

    def test_that_it_had_failed_before_is_no_news(self, caplog: pytest.LogCaptureFixture) -> None:
        async def failed() -> None:
            raise OSError("token-123")

        caplog.set_level(logging.INFO)
        run(livekit.close(failed(), "livekit:x"))
        assert caplog.text == ""


class TestFailures:
    @pytest.mark.parametrize(
        ("error", "cause"),
        [
            (TimeoutError("token-123"), Cause.TIMEOUT),
            (ClientConnectionError("token-123"), Cause.NETWORK),
            (EOFError("token-123"), Cause.NETWORK),
            (ExceptionGroup("two", [ExceptionGroup("one", [OSError("token-123")])]), Cause.NETWORK),
            (KeyError("token-123"), Cause.ANSWER),
        ],
    )
    def test_they_have_a_cause_and_no_secret(self, error: Exception, cause: Cause) -> None:
        found = livekit.failure("livekit:x", error)
        assert (found.provider, found.cause) == ("livekit:x", cause)
        assert "token-123" not in str(found)

    def test_a_status_without_headers(self) -> None:
        headers: CIMultiDictProxy[str] = CIMultiDictProxy(CIMultiDict({"authorization": "token-123"}))
        request = RequestInfo(URL("http://token-123"), "GET", headers, URL("http://token-123"))
        found = livekit.failure("livekit:x", ClientResponseError(request, (), status=401, message="token-123"))
        assert (found.cause, found.status) == (Cause.KEY, 401)
        assert "token-123" not in str(found)

    def test_one_that_is_known_already(self) -> None:
        error = ProviderError("other", Cause.RATE)
        assert livekit.failure("livekit:x", error) is error


def test_it_says_that_it_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "livekit", None)
    monkeypatch.setitem(sys.modules, "livekit.agents", None)
    check = livekit.check("livekit", "plugins")
    assert (check.usable, check.fix) == (False, "pip install 'sottovoce[livekit]'")
