"""Pipecat's package: whether it is there, how it is loaded (in a thread), and what its errors mean.

What works with its classes is in `pipecat_host`, which only `load` imports: the package takes a second.
"""

from __future__ import annotations

import asyncio
import functools
import warnings
from importlib.util import find_spec
from types import ModuleType

from voice.check import Check
from voice.provider_error import Cause, ProviderError

INSTALL = "pip install 'sottovoce[pipecat]'"


def check(name: str, what: str) -> Check:
    """Whether the package is installed; keys are the services' own affair. Imports nothing."""
    if find_spec("pipecat") is None:
        return Check(name, False, f"{what}: pipecat-ai is not installed", INSTALL)
    return Check(name, True, f"{what} in a pipeline of its own, for each that is given to us")


async def prepare(name: str) -> ModuleType:
    """Import the package in a thread (1 s) and give `pipecat_host`. Raises ProviderError naming what is missing."""
    return await asyncio.to_thread(load, name)


@functools.cache
def load(name: str) -> ModuleType:
    """`voice.pipecat_host`, with the package loaded. Raises ProviderError naming what is missing."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # it still imports audioop
            import pipecat.services.stt_service
            import pipecat.services.tts_service  # noqa: F401 (these are what takes the second)

            from voice import pipecat_host
    except ImportError as error:
        raise ProviderError(name, Cause.MISSING, f"{error.name or 'pipecat-ai'} is missing", fix=INSTALL) from None
    return pipecat_host


def refuse_what_cannot_be_called(factory: object, example: str) -> None:
    """Raises TypeError when a service itself was given: it serves one pipeline, and every caller needs one."""
    if not callable(factory):
        raise TypeError(
            f"factory must be a function that makes a new service each time, not {type(factory).__name__}: "
            f"a service belongs to one pipeline. Write {example}"
        )
