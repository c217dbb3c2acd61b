"""The seam of a channel that has a model of its own: what whoever makes the replies' texts may ask of it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import Protocol, runtime_checkable

from voice.realtime.session import FunctionCalled, Instructions


@runtime_checkable
class NativeVoice(Protocol):
    """A channel whose model hears, thinks and speaks by itself. `say` is given what `reply` yields, in its order."""

    unasked: Callable[[], bool]
    """Called when the model says something, or calls a function, while no reply is owed: `say` is to be called with
    what `reply` yields then. False: nobody wants it. Unless it is set, the channel says it by itself, and answers to
    calls that nobody can run them."""

    def instruct(self, instructions: Instructions) -> None:
        """Who the model is from its next reply on. Telling it the same again does nothing."""
        ...

    def reply(self) -> AsyncGenerator[str | FunctionCalled, None]:
        """What the model says next, in pieces, up to the end of its reply or to the functions that it calls; when these
        have been run it is to be asked again.

        To be read only by the text of an utterance. Raises ProviderError when the session is lost.
        """
        ...

    def result(self, call: str, text: str) -> None:
        """What a function came to; the model is told when the reply goes on, or is over."""
        ...
