"""What is really spoken of a delivery: asked of the hook and of the agent once, within bounds of time."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

from delivery.ledger import Delivery, SpeakAs
from delivery.words import Words

log = logging.getLogger("sottovoce.desk")

HOOK_TIMEOUT = 30.0
"""Seconds a hook may take; after that the delivery counts as failed, as it must not be spoken unasked."""
WORDING_TIMEOUT = 10.0
"""Seconds an agent may take to put a delivery into words; after that it is read out as it stands."""
MAX_WORDING = 4000
"""Most characters of an agent's own words: nearly five minutes. It was asked for a few sentences; a model that does not
come to an end is cut after the last sentence within."""
_END = re.compile(r"[.!?…。！？](?=\s|$)")


class Refuse(Exception):  # noqa: N818 - it is an answer, not an error
    """Raised by a hook: this delivery shall not be spoken; the message is the reason."""


Before = Callable[[Delivery], Awaitable[str]]
"""Called before a delivery is first spoken; returns what shall be said, or raises `Refuse`."""


async def unchanged(delivery: Delivery) -> str:
    """What is delivered is what is said."""
    return delivery.content


async def worded(delivery: Delivery, before: Before, words: Words) -> str:
    """What is to be spoken. What a hook rewrote is spoken as it stands; otherwise the agent may have its own words.

    Raises Refuse, TimeoutError, and whatever the hook raises; an agent that fails or dawdles keeps nothing back.
    """
    try:
        async with asyncio.timeout(HOOK_TIMEOUT):
            text = await before(delivery)
    except TimeoutError as error:
        raise TimeoutError(str(error) or f"the hook did not answer within {HOOK_TIMEOUT:g} s") from error
    if not text.strip():
        raise Refuse("there is nothing to say")
    if delivery.speak_as is SpeakAs.AGENT and text == delivery.content:
        return await _in_own_words(delivery, words)
    return text


async def _in_own_words(delivery: Delivery, words: Words) -> str:
    """All of it before any of it is spoken: what was begun goes on in the same words, also after a crash."""
    text = ""
    try:
        async with asyncio.timeout(WORDING_TIMEOUT), aclosing(_pieces(delivery, words)) as pieces:
            async for piece in pieces:
                text += piece
                if len(text) > MAX_WORDING:
                    log.warning("delivery %s: the agent's words are cut at %d characters", delivery.id, MAX_WORDING)
                    text = _whole_sentences(text[:MAX_WORDING])
                    break
    except Exception as error:
        log.warning("delivery %s is read out as it stands: %r", delivery.id, error)
        return delivery.content
    return text if any(map(str.isalnum, text)) else delivery.content  # dots would be taken for the whole of it


async def _pieces(delivery: Delivery, words: Words) -> AsyncGenerator[str, None]:
    """The agent's words; closing it ends the making of them."""
    pieces = words.word([delivery])
    try:
        async for piece in pieces:
            yield piece
    finally:
        if isinstance(pieces, AsyncGenerator):
            await pieces.aclose()


def _whole_sentences(text: str) -> str:
    """Up to the end of its last sentence, or of its last word if it has none."""
    ends = [found.end() for found in _END.finditer(text)]
    return text[: ends[-1]] if ends else text.rpartition(" ")[0] or text
