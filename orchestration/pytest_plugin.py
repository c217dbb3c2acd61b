"""The pytest plugin: a `simulate` fixture, and virtual time for the async tests that ask for it. Imports nothing early.

An async test that uses the fixture, or is marked `virtual_time`, runs in virtual time: with pytest-asyncio on its
loop, without it by itself.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orchestration.simulation import Simulate

MARK = "virtual_time"
FIXTURE = "simulate"


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


@pytest.hookimpl(optionalhook=True)
def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> Mapping[str, Callable[[], Any]] | None:
    """With pytest-asyncio: its tests that want it get the virtual loop."""
    if not wants_virtual_time(item):
        return None
    from voice.clock import VirtualLoop

    return {"virtual": VirtualLoop}


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Without pytest-asyncio (or in its strict mode, unmarked): run the test ourselves."""
    if not wants_virtual_time(pyfuncitem) or not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    if pyfuncitem.get_closest_marker("asyncio") is not None:
        return None
    from voice.clock import run

    names = inspect.signature(pyfuncitem.obj).parameters
    run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names if name in pyfuncitem.funcargs}))
    return True
