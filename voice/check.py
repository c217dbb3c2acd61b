"""Check: whether a provider can work on this machine, and what would help, for `sottovoce doctor`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Check:
    """`detail` says what was found, or what is missing; `fix` is a command or a setting that would help (may be "")."""

    name: str
    usable: bool
    detail: str
    fix: str = ""
