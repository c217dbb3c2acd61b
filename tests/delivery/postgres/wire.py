"""A wire to the server that a test can cut at the worst moment: a TCP proxy that sees what is said."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from enum import Enum


class Cut(Enum):
    """When the wire is cut, once."""

    BEFORE = "the server never gets it"
    AFTER = "the server gets it, and the client never gets the answer"


@dataclass
class Wire:
    """`url` leads to the server through the wire. `cut`: cut it when the client says `at`, once."""

    url: str
    at: bytes = b"COMMIT\0"
    cut: Cut | None = None
    cuts: int = 0
    silent: bool = False
    """Nothing comes through any more, in either direction, of what is connected now."""
    ends: list[asyncio.StreamWriter] = field(default_factory=list)


@contextlib.asynccontextmanager
async def wire(url: str) -> AsyncIterator[Wire]:
    """A wire to the server of `url`."""
    credentials, _, rest = url.rpartition("@")
    place, _, database = rest.partition("/")
    host, _, port = place.partition(":")
    tasks = set[asyncio.Task[None]]()
    unheard = set[asyncio.StreamWriter]()

    async def pump(
        one: Wire, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, back: asyncio.StreamWriter | None = None
    ) -> None:
        """From `reader` to `writer`; `back` goes to the client, if it is the client who speaks."""
        deaf = False
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                if one.silent or writer in unheard:
                    deaf = True
                if deaf:
                    continue
                if back is not None and one.cut is not None and one.at in data:
                    how, one.cut = one.cut, None
                    one.cuts += 1
                    if how is Cut.AFTER:
                        unheard.add(back)
                        writer.write(data)
                        await writer.drain()
                        await asyncio.sleep(0.1)  # the server's own time: it is to have done it
                    writer.transport.abort()
                    back.transport.abort()
                    return
                writer.write(data)
                await writer.drain()
        writer.close()

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        their_reader, their_writer = await asyncio.open_connection(host, int(port))
        made.ends += [writer, their_writer]
        for pumping in (pump(made, reader, their_writer, writer), pump(made, their_reader, writer)):
            task = asyncio.create_task(pumping)
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(meet, "127.0.0.1", 0)
    made = Wire(f"{credentials}@127.0.0.1:{server.sockets[0].getsockname()[1]}/{database}")
    try:
        yield made
    finally:
        server.close()
        for end in made.ends:
            end.transport.abort()
        if tasks:
            await asyncio.wait(tasks)
