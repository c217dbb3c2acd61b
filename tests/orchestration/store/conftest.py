"""Every kind of room store, for whoever asks for one."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from tests.orchestration.store.stores import Kind

_POSTGRES = pytest.param("postgres", marks=pytest.mark.postgres)


@pytest.fixture(params=["memory", "sqlite", _POSTGRES])
def kind(request: pytest.FixtureRequest, tmp_path: Path) -> Kind:
    """Each kind there is."""
    return Kind(request.param, tmp_path, partial(request.getfixturevalue, "postgres_url"))


@pytest.fixture(params=["sqlite", _POSTGRES])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> Kind:
    """Those that are there after a restart, and that several processes may use at once."""
    return Kind(request.param, tmp_path, partial(request.getfixturevalue, "postgres_url"))
