"""Rounds of a review loop, as the names of its parts tell them: "2/editor" is the editor's part of the second round."""

from __future__ import annotations

MAX_ITERATIONS = 20
"""Most rounds that may be asked for: what is not good by then will not be."""


def round_of(part: str) -> int:
    """The round of a review loop in which this part of a task is done, by its name (`Context.part`); 0: in none."""
    *_, round_, _id = ("", "", *part.split("/"))
    return int(round_) if round_.isdecimal() and len(round_) <= len(str(MAX_ITERATIONS)) else 0
