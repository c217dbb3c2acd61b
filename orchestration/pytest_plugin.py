"""The pytest plugin: a `simulate` fixture, and virtual time for the async tests that ask for it. Imports nothing early.

An async test that uses the fixture (also through another fixture), or is marked `virtual_time`, runs in virtual time:
on pytest-asyncio's loop where that runs it, and else by itself. Async fixtures are pytest-asyncio's: a test with one
needs its mark (or its auto mode), so that both share a loop.
"""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from orchestration.simulation import Simulate

    LoopFactories = Mapping[str, Callable[[], asyncio.AbstractEventLoop]]

MARK = "virtual_time"
FIXTURE = "simulate"
TOO_OLD = (
    "this test runs in virtual time, and the pytest-asyncio that is installed cannot be told which loop to use:"
    " upgrade it to 1.4 or later, or leave its mark (or auto mode) away, and sottovoce runs the test by itself"
)


@pytest.fixture
def simulate() -> Simulate:
    """`async with simulate(runtime) as call:` plays a call with the runtime's agent in virtual time."""
    from orchestration.simulation import simulate

    return simulate


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known."""
    config.addinivalue_line("markers", f"{MARK}: run this async test in virtual time (sottovoce)")


def wants_virtual_time(item: pytest.Item) -> bool:
    """Whether the test uses the fixture or has the mark."""
    return FIXTURE in getattr(item, "fixturenames", ()) or item.get_closest_marker(MARK) is not None


@pytest.hookimpl(optionalhook=True, wrapper=True)
def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Generator[None, LoopFactories | None, LoopFactories]:
    """With pytest-asyncio: its tests that want it get the virtual loop, all others what they would have had."""
    others = yield
    if not wants_virtual_time(item):
        return others or {"default": asyncio.new_event_loop}  # None is refused as soon as there is a hook
    from voice.clock import VirtualLoop

    return {"virtual": VirtualLoop}


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """An async test that wants it, and that pytest-asyncio has not prepared, becomes a plain one in virtual time."""
    test = pyfuncitem.obj
    if not wants_virtual_time(pyfuncitem):
        return (yield)
    if not inspect.iscoroutinefunction(test):
        if inspect.iscoroutinefunction(inspect.unwrap(test)) and not _loops_can_be_chosen(pyfuncitem.config):
            pytest.fail(TOO_OLD, pytrace=False)
        return (yield)
    from voice.clock import run

    pyfuncitem.obj = lambda **given: run(test(**given))
    try:
        return (yield)
    finally:
        pyfuncitem.obj = test


def _loops_can_be_chosen(config: pytest.Config) -> bool:
    return bool(config.hook.pytest_asyncio_loop_factories.has_spec())
