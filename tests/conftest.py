"""How random tests are played: never against the wall clock, and at length for `make soak`; a PostgreSQL to use.

Keys of providers are set aside: no test talks to a service by accident, and what is chosen does not depend on them.
The contract suites alone use them, by their other names.

The server is started with the first test that asks for it; where there is none, that test is skipped and says why.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.postgres import Server, missing, server

for _key in ("ANTHROPIC_API_KEY", "DEEPGRAM_API_KEY"):
    if _value := os.environ.pop(_key, ""):
        os.environ.setdefault(f"SOTTOVOCE_TEST_{_key}", _value)
for _setting in ("ANTHROPIC_BASE_URL", "DEEPGRAM_BASE_URL", "SOTTOVOCE_ANTHROPIC_MODEL"):
    os.environ.pop(_setting, None)

UNHURRIED = [HealthCheck.too_slow]
settings.register_profile("house", parent=settings.default, deadline=None, suppress_health_check=UNHURRIED)
settings.register_profile(
    "soak", deadline=None, derandomize=False, max_examples=2_000, print_blob=True, suppress_health_check=UNHURRIED
)
settings.load_profile("house")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    """A real server, the same one for all tests; whoever stops it starts it again."""
    reason = missing()
    if reason is not None:
        pytest.skip(reason)
    with server() as one:
        yield one


@pytest.fixture
def postgres_url(postgres_server: Server) -> Iterator[str]:
    """The URL of an empty database of this test's own."""
    url = postgres_server.fresh()
    yield url
    postgres_server.empty(url)
