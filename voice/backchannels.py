"""Backchannels: the "mm-hm" and "okay" by which a listener says "go on", and the words that mean the opposite.

Whether a backchannel is only that depends on what it answers: after a question "yeah" is an answer. Who knows what the
agent was doing decides that; here it is only said what the words are. English.
"""

from __future__ import annotations

import re


def _phrases(*lines: str) -> frozenset[tuple[str, ...]]:
    """Phrases as sequences of words; a hyphen parts the words of one phrase."""
    return frozenset(tuple(phrase.split("-")) for line in lines for phrase in line.split())


BACKCHANNELS = _phrases(
    "mm mmm mhm mm-hm mmhm mm-hmm mmhmm uh-huh uhhuh uh um umm er hm hmm ah aha oh",
    "yeah yep yup yes ya okay ok k kay alright all-right right sure fine good great nice cool wow perfect",
    "exactly absolutely of-course i-see i-know got-it gotcha go-on fair-enough makes-sense sounds-good very-good",
    "that's-right that-is-right",
)
"""What a listener says who leaves the floor where it is, alone or several in a row (the term is Yngve's, 1970)."""
STOPS = _phrases(
    "stop wait hold-on hang-on one-moment one-second just-a-moment just-a-second pause quiet shut-up enough cancel",
    "no nope excuse-me sorry hello hey listen what why how when where who",
)
"""What takes the floor with its first words: a call to stop, or the beginning of a question."""

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_LONGEST = max(len(p) for p in BACKCHANNELS)


def words(text: str) -> list[str]:
    """The words of `text`, in lower case, without punctuation; hyphens part words."""
    return _WORD.findall(text.lower().replace("’", "'"))


def is_backchannel(text: str) -> bool:
    """Whether `text` is nothing but backchannels. No words at all are none, and nothing that asks is one."""
    said = words(text)
    return bool(said) and "?" not in text and len(said) in _reachable(said)


def takes_floor(text: str) -> bool:
    """Whether words that are still coming in can no longer be a mere backchannel.

    What may yet become one ("that is ...") is left open, and so is a single word that says nothing by itself: it may be
    a recogniser's first guess at a cough.
    """
    said = words(text)
    if not said or "?" in text:
        return bool(said)
    if _may_become_backchannel(said):
        return False
    return len(said) > 1 or any(tuple(said[: len(stop)]) == stop for stop in STOPS)


def _reachable(said: list[str]) -> set[int]:
    """After how many of the words a sequence of whole backchannels may end."""
    reachable = {0}
    for start in range(len(said)):
        if start in reachable:
            ends = range(start + 1, min(start + _LONGEST, len(said)) + 1)
            reachable.update(end for end in ends if tuple(said[start:end]) in BACKCHANNELS)
    return reachable


def _may_become_backchannel(said: list[str]) -> bool:
    """Whether the words are backchannels and perhaps the beginning of one more."""
    tails = [tuple(said[start:]) for start in _reachable(said)]
    return any(phrase[: len(tail)] == tail for tail in tails for phrase in BACKCHANNELS)
