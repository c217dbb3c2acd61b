"""Content: texts that are to be spoken or worked on, checked where they come into the house."""

from __future__ import annotations

import logging
import unicodedata

log = logging.getLogger("sottovoce.content")

MAX_CONTENT = 20_000
"""Most characters in one delivery, or in what a worker is asked: a quarter of an hour of talk."""


def readable(text: object, field: str) -> str:
    """A text that can be kept and shown. Raises ValueError when it is empty, too long or holds control characters."""
    if not isinstance(text, str):
        raise ValueError(f"{field}: {type(text).__name__} is no text; give a str")
    if not text.strip():
        raise ValueError(f"{field}: it is empty; give some text")
    if len(text) > MAX_CONTENT:
        raise ValueError(f"{field}: {len(text)} characters are too many; give at most {MAX_CONTENT}")
    if not text.isprintable() and not all(map(_harmless, text)):
        raise ValueError(f"{field}: it holds control characters; remove them")
    return text


def speakable(text: object, field: str = "content") -> str:
    """A text that can be spoken, on one line. Raises ValueError when it is not readable or has no letter or digit."""
    text = readable(text, field)
    if not any(map(str.isalnum, text)):
        raise ValueError(f"{field}: there is nothing in it to be said, no letter and no digit")
    return " ".join(text.split())


def made_readable(text: str) -> str:
    """What can be read of a text that a model or worker made: what cannot be is left out, not refused. "": nothing."""
    clean = (text if text.isprintable() else "".join(filter(_harmless, text))).strip()
    if len(clean) > MAX_CONTENT:
        log.warning("a result of %d characters is cut to %d", len(clean), MAX_CONTENT)
        clean = clean[:MAX_CONTENT]
    return clean


def made_speakable(text: str) -> str:
    """What can be spoken of a text that a model or worker made, as `made_readable`. "": nothing can."""
    clean = made_readable(text)
    return clean if any(map(str.isalnum, clean)) else ""


def says_something(text: str) -> bool:
    """Whether there is a letter, a digit or a symbol in it: dots and blanks are no answer to anything."""
    return any(unicodedata.category(char)[0] in "LNS" for char in text)


def _harmless(char: str) -> bool:
    """Neither a control character (tabs and line ends are none here) nor half of a surrogate pair.

    Joiners and other format characters are parts of Persian, Hindi and emoji.
    """
    return char.isspace() or unicodedata.category(char) not in ("Cc", "Cs")
