"""Whole messages out of the bytes of a TCP or TLS connection, and the keep-alives between them.

RFC 3261 sections 7.5 and 18.3, RFC 5626 section 4.4.1. A stream in which one message has no readable end is of no use
any more: nobody can tell where the next begins.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from voice.sip.malformed import Malformed
from voice.sip.message import MAX_HEAD, MAX_MESSAGE
from voice.sip.uri import number

PING = b"\r\n\r\n"
"""A keep-alive that wants an answer: it stands in place of a message."""
PONG = b"\r\n"
"""The answer."""

_END = re.compile(rb"\r?\n\r?\n")
_LENGTH = re.compile(rb"^(?:content-length|l)[ \t]*:((?:[^\n]|\n[ \t])*+)", re.IGNORECASE | re.MULTILINE)
_LONGEST_END = 4


class Frames:
    """The bytes of one connection that are no whole message yet: `MAX_MESSAGE` of them at most, behind each `feed`."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._looked = 0
        self._need: int | None = None
        self._broken: Malformed | None = None

    def __len__(self) -> int:
        """Bytes that wait for the rest of their message."""
        return len(self._data)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The messages that are whole now, and `PING` for any keep-alives before one.

        Raises Malformed, behind the last good message, when no more can be read: the connection is then closed.
        """
        if self._broken is not None:
            raise self._broken
        self._data += data
        try:
            while self._data:
                if self._need is None:
                    if self._skip_blank():
                        yield PING
                    self._need = self._measure()
                if self._need is None or len(self._data) < self._need:
                    return
                message = bytes(self._data[: self._need])
                del self._data[: self._need]
                self._need, self._looked = None, 0
                yield message
        except Malformed as malformed:
            self._data.clear()
            self._broken = malformed
            raise

    def _skip_blank(self) -> bool:
        """Take the empty lines before a message away; whether they were a keep-alive.

        A few that may be the beginning of one are left.
        """
        blank = len(self._data) - len(self._data.lstrip(b"\r\n"))
        if blank == len(self._data) and blank < len(PING):
            return False
        del self._data[:blank]
        if blank:
            self._looked = 0
        return blank >= len(PING)

    def _measure(self) -> int | None:
        """Bytes of the message that begins here; None: that is not known yet."""
        if not self._data.lstrip(b"\r\n"):
            return None
        end = _END.search(self._data, max(0, self._looked - _LONGEST_END), MAX_HEAD + _LONGEST_END)
        self._looked = len(self._data)
        if end is None:
            if len(self._data) >= MAX_HEAD + _LONGEST_END:
                raise Malformed("there is no empty line behind the header fields, or too late")
            return None
        lengths = _LENGTH.findall(self._data, 0, end.start())
        if len(lengths) != 1:
            raise Malformed("content-length: over a connection it must stand there, once")
        length = number(lengths[0].strip().decode("ascii", "replace"), MAX_MESSAGE, "content-length")
        if end.end() + length > MAX_MESSAGE:
            raise Malformed(f"a message has at most {MAX_MESSAGE} bytes", 513)
        return end.end() + length
