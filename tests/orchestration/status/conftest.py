"""Every kind of store, for whoever asks for one."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from tests.orchestration.status.stores import Store

_POSTGRES = pytest.param("postgres", marks=pytest.mark.postgres)


@pytest.fixture(params=["memory", "jsonl", "sqlite", _POSTGRES])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """Each kind there is."""
    return Store(request.param, tmp_path, partial(request.getfixturevalue, "postgres_url"))


@pytest.fixture(params=["jsonl", "sqlite", _POSTGRES])
def lasting(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """Those that are there after a restart."""
    return Store(request.param, tmp_path, partial(request.getfixturevalue, "postgres_url"))


@pytest.fixture(params=["sqlite", _POSTGRES])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """Those that several processes may use at once."""
    return Store(request.param, tmp_path, partial(request.getfixturevalue, "postgres_url"))
