"""The messages of RFC 4475 with what we must do with each (`expected.toml`)."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Torture:
    """One message of the set."""

    name: str
    data: bytes
    must: str
    """accept, drop, refuse or screen"""
    status: int | None
    why: str


def tortures() -> list[Torture]:
    found = []
    for name, row in tomllib.loads((HERE / "expected.toml").read_text()).items():
        must, _, status = row["must"].partition(" ")
        data = (HERE / f"{name}.dat").read_bytes()
        found.append(Torture(name, data, must, int(status) if status else None, row["why"]))
    return found
