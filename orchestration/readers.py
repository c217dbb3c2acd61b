"""Readers: who reads in a room, by which of its channels, and so to whom what is written there can go."""

from __future__ import annotations

from collections.abc import Callable

from orchestration.room import Room
from orchestration.text_channel import Binding
from voice.channel import Caller
from voice.written import WrittenChannel

MAX_SENDERS = 1_000
"""Most people who wrote that are taken for readers of a room; the first ones are forgotten."""


class Readers:
    """Of one room. While voices talk there, it is only noted who could be written to; in a talk of people who write
    (from `begin` on) they are its callers. `fewer` is told when somebody does not read any more.

    A channel's own id is its own, whoever calls themselves so.
    """

    def __init__(self, room: Room, fewer: Callable[[], None]) -> None:
        self._room = room
        self._fewer = fewer
        self._channel: WrittenChannel | None = None

    def begin(self, channel: WrittenChannel) -> None:
        """The room's talk is written from now on."""
        self._channel = channel

    def come(self, binding: Binding) -> None:
        """Somebody is at the other end of this channel."""
        if binding.reads:
            self._enter(binding.id)
            for sender in self._by(binding.id):
                self._enter(sender)  # what was promised to them in an earlier talk is owed still

    def wrote(self, sender: str, binding: Binding) -> None:
        """Who wrote over a channel that reads too is reached by it from now on."""
        self._enter(sender)
        self._room.senders.pop(sender, None)
        self._room.senders[sender] = binding.id
        if len(self._room.senders) > MAX_SENDERS:
            self._forget(next(iter(self._room.senders)))

    def gone(self, channel_id: str) -> None:
        """Nobody is at the other end of this channel any more."""
        for sender in self._by(channel_id):
            self._forget(sender)
        if self._channel is not None:
            self._channel.leave(channel_id)
            self._fewer()

    def way_to(self, reader: str | None) -> str | None:
        """The channel by which somebody reads."""
        if reader is None or reader in self._room.channels:
            return reader
        return self._room.senders.get(reader, reader)

    def _by(self, channel_id: str) -> list[str]:
        return [sender for sender, by in self._room.senders.items() if by == channel_id]

    def _enter(self, reader: str) -> None:
        if self._channel is not None:
            self._channel.enter(Caller(reader, reader))

    def _forget(self, sender: str) -> None:
        self._room.senders.pop(sender, None)
        binding = self._room.channels.get(sender)
        if self._channel is not None and not (binding and binding.reads):  # a channel has that name too
            self._channel.leave(sender)
