"""Status entries as lines of text for a model's prompt: data on one line each, within a limit, nothing hidden in it."""

from __future__ import annotations

import re
from collections.abc import Iterable

from orchestration.status.entry import StatusEntry

MAX_LINE = 300
"""Most characters of one line: no entry crowds out all others."""

_HIDDEN = re.compile("[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff"
                     "\ufff9-\ufffb\U000e0000-\U000e0fff\ud800-\udfff]")  # fmt: skip
"""Control characters, and what is not shown but read by models: bidirectional marks, blanks of no width, tags.

White space (also line ends) is left, and made one blank; joiners are parts of Persian, Hindi and emoji.
"""

_TAG = re.compile(r"<(?=\s*[/!?\w])")
"""What looks like a tag, and so like the end of what a prompt puts around data."""


def text_of(entries: Iterable[StatusEntry], max_chars: int) -> str:
    """A line for each entry, in order, `max_chars` characters at most: the oldest that do not fit are left out."""
    lines: list[str] = []
    left = max_chars
    for entry in reversed(list(entries)):
        line = _cut(line_of(entry), MAX_LINE)
        if len(line) > left:
            if not lines:
                lines.append(_cut(line, left))
            break
        lines.append(line)
        left -= len(line) + 1
    return "\n".join(reversed(lines))


def line_of(entry: StatusEntry) -> str:
    """`[14:32:07] researcher: search → ok | Found 7 results`, the time of day in UTC."""
    minutes, seconds = divmod(int(entry.timestamp) % 86_400, 60)
    what = f"{shown(entry.agent_id)}: {shown(entry.action)} → {entry.status.value}"
    detail = shown(entry.detail)
    return f"[{minutes // 60:02}:{minutes % 60:02}:{seconds:02}] {what}" + (f" | {detail}" if detail else "")


def shown(text: str) -> str:
    """The text on one line, without what is invisible and what looks like a tag."""
    return _TAG.sub("‹", " ".join(_HIDDEN.sub("", text).split()))


def _cut(line: str, longest: int) -> str:
    return line if len(line) <= longest else line[: longest - 1] + "…"
