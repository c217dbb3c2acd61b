"""Serving: an address that can be listened on, or one line that says what to do; and a runtime behind a real port."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from pathlib import Path
from typing import Any

import httpx
import pytest

from delivery import LedgerError
from delivery.memory import MemoryLedger
from orchestration import Runtime
from orchestration.serving import PortError, found_at, listen, serve
from voice.simulated import SimulatedChannel


def test_a_free_port_is_found() -> None:
    with listen("127.0.0.1", 0) as one, listen("127.0.0.1", 0) as other:
        ports = {one.getsockname()[1], other.getsockname()[1]}
        assert len(ports) == 2
        assert min(ports) > 0


def test_all_addresses_can_be_listened_on() -> None:
    with listen("0.0.0.0", 0) as listener:
        assert listener.getsockname()[0] == "0.0.0.0"
    if socket.has_ipv6:
        with listen("::1", 0) as listener:
            assert listener.family is socket.AF_INET6


def test_a_port_that_is_taken_is_named() -> None:
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortError, match=f"port {port} is taken by another program; stop it, or "):
            listen("127.0.0.1", port)


@pytest.mark.parametrize(
    ("host", "port", "fault"),
    [
        ("127.0.0.1", 65536, "port: 65536 is out of range; choose 0 to 65535"),
        ("127.0.0.1", -1, "port: -1 is out of range"),
        ("192.0.2.7", 0, "this machine has no address 192.0.2.7; use 127.0.0.1, or 0.0.0.0 for all"),
        ("1.2.3.4.5", 0, "host: '1.2.3.4.5' is no address; use 127.0.0.1"),
        ("256.1.1.1", 0, "host: '256.1.1.1' is no address"),
        ("two words", 0, "host: 'two words' is no address"),
        ("::zz", 0, "host: '::zz' is no address"),
        ("x" * 70, 0, "is no address"),
        ("a\0b", 0, "is no address"),
    ],
)
def test_an_address_that_cannot_be_is_refused_with_the_fix(host: str, port: int, fault: str) -> None:
    with pytest.raises(PortError, match=fault):
        listen(host, port)


def test_a_port_that_needs_rights_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*given: Any, **more: Any) -> socket.socket:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket, "create_server", refused)  # tests may run with all rights
    with pytest.raises(PortError, match="port 80 needs more rights; choose one above 1023"):
        listen("127.0.0.1", 80)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://localhost:8080"),
        ("0.0.0.0", "http://localhost:8080"),
        ("::", "http://localhost:8080"),
        ("192.168.0.7", "http://192.168.0.7:8080"),
        ("fe80::1", "http://[fe80::1]:8080"),
        ("sottovoce.example", "http://sottovoce.example:8080"),
    ],
)
def test_the_address_that_people_are_told(host: str, url: str) -> None:
    assert found_at(host, 8080) == url


def test_it_serves_until_it_is_told_to_end(tmp_path: Path) -> None:
    class Ledger(MemoryLedger):
        closed = False

        async def aclose(self) -> None:
            await super().aclose()
            self.closed = True

    ledger = Ledger()
    runtime = Runtime(state=None, ledger=ledger, channels=lambda _: SimulatedChannel())
    ended: list[int] = []

    async def main() -> None:
        ready = asyncio.get_running_loop().create_future()
        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            serving = group.create_task(serve(runtime, port=0, title="Support", ready=ready.set_result))
            url = (await ready).replace("localhost", "127.0.0.1")
            async with httpx.AsyncClient() as client:
                assert (await client.get(f"{url}/healthz")).json()["status"] == "ok"
                about = (await client.get(f"{url}/about")).json()
                assert (about["title"], about["help"]["note"]) == ("Support", "Nobody answers in these rooms.")
            os.kill(os.getpid(), signal.SIGTERM)
            await serving

    before = signal.signal(signal.SIGTERM, lambda number, frame: ended.append(number))
    try:
        asyncio.run(main())
    finally:
        signal.signal(signal.SIGTERM, before)
    assert ended == [signal.SIGTERM]  # told on to whoever runs us
    assert ledger.closed


@pytest.mark.parametrize(
    ("host", "given", "is_at"),
    [
        ("127.0.0.1", None, "http://localhost:{port}"),
        ("127.0.0.1", "https://two.example/voice", "https://two.example/voice"),
        ("0.0.0.0", None, None),
    ],
)
def test_where_callers_of_other_processes_are_sent(host: str, given: str | None, is_at: str | None) -> None:
    """On all of a machine's addresses nobody knows by which one callers reach it."""
    runtime = Runtime(state=None, address=given, channels=lambda _: SimulatedChannel())

    async def main() -> None:
        ready = asyncio.get_running_loop().create_future()
        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            serving = group.create_task(serve(runtime, host=host, port=0, ready=ready.set_result))
            port = (await ready).rpartition(":")[2]
            assert runtime.presence.process.address == (is_at and is_at.format(port=port))
            serving.cancel()

    asyncio.run(main())


def test_when_the_runtime_cannot_open_the_port_is_free_again() -> None:
    class Ledger(MemoryLedger):
        async def open(self) -> None:
            raise LedgerError("sottovoce.db: no space left; make room on the disk")

    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
    runtime = Runtime(state=None, ledger=Ledger(), channels=lambda _: SimulatedChannel())
    with pytest.raises(LedgerError, match="make room on the disk"):
        asyncio.run(serve(runtime, port=port))
    listen("127.0.0.1", port).close()


def test_a_port_that_is_taken_opens_nothing(tmp_path: Path) -> None:
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortError, match=f"port {port} is taken"):
            asyncio.run(serve(Runtime(state=tmp_path / "state"), port=port))
    assert list(tmp_path.iterdir()) == []
