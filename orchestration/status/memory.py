"""Status entries in memory, and in a JSONL file too if they are to be there after a restart."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from orchestration.status.backend import StatusBackend
from orchestration.status.entry import StatusEntry
from orchestration.status.filter import ALL_ROOMS, StatusFilter
from orchestration.status.jsonl import MAX_BYTES, JsonlFile

MAX_ENTRIES = 10_000
"""Entries that are kept: at most some 70 MB, in practice about 5."""


class InMemoryStatusBackend(StatusBackend):
    """Keeps the last `max_entries` entries; with `path` in that JSONL file, too, which is read back when it is opened.

    The file is for one process and full at `max_bytes` bytes; then it becomes `<path>.1`, in place of
    the one before. It survives the end of the process however that comes, the last entries not a power cut.
    """

    def __init__(
        self, max_entries: int = MAX_ENTRIES, path: str | Path | None = None, *, max_bytes: int = MAX_BYTES
    ) -> None:
        """Raises ValueError naming the field that is wrong."""
        if isinstance(max_entries, bool) or not isinstance(max_entries, int) or not 1 <= max_entries <= 10_000_000:
            raise ValueError(f"max_entries must be a whole number, 1 to 10,000,000, not {max_entries!r:.100}")
        self.max_entries = max_entries
        self._file = None if path is None else JsonlFile(path, max_bytes)
        self._entries: dict[str, StatusEntry] = {}
        self._of_room: dict[str | None, dict[str, StatusEntry]] = {}
        """The same by room: what happened in one is asked for at each reply there, whatever happens in the others."""

    async def open(self) -> None:
        """Read the file. Raises StatusError naming the path and the fix."""
        if self._file is not None:
            self._entries.clear()
            self._of_room.clear()
            self._keep(await self._file.open(self.max_entries))

    async def aclose(self) -> None:
        """Close the file; what is in memory stays there."""
        if self._file is not None:
            await self._file.aclose()

    async def append(self, entries: Sequence[StatusEntry]) -> None:
        """Keep them. Raises StatusError when they cannot be written; they are in memory then."""
        self._keep(entries)
        if self._file is not None:
            await self._file.append(entries)

    async def recent(self, n: int, wanted: StatusFilter) -> list[StatusEntry]:
        """The last `n` that match, oldest first."""
        entries = self._entries if wanted.room is ALL_ROOMS else self._of_room.get(wanted.room, {})
        newest_first = (entry for entry in reversed(entries.values()) if wanted.matches(entry))
        return list(islice(newest_first, n))[::-1]

    def _keep(self, entries: Sequence[StatusEntry]) -> None:
        for entry in entries:
            if self._entries.setdefault(entry.id, entry) is entry:
                self._of_room.setdefault(entry.room, {})[entry.id] = entry
        for old in list(islice(self._entries, max(0, len(self._entries) - self.max_entries))):
            room = self._entries.pop(old).room
            del self._of_room[room][old]
            if not self._of_room[room]:
                del self._of_room[room]
