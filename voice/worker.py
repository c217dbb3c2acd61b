"""A process of our own that does what ours must not: framed messages over its standard input and output.

The child lives as long as its parent: it is killed when its `Worker` is, and leaves by itself when its input ends, so
that it also survives nobody's `kill -9`. What it prints goes to standard error, never between the frames.
"""

from __future__ import annotations

import os
import queue
import struct
import subprocess
import sys
import threading
import weakref
from pathlib import Path
from typing import IO

import voice

HEAD = struct.Struct("<cI")
"""Before each message: its kind, one byte, and the length of what follows."""
LARGEST = 1 << 26
"""No message is longer (bytes); a larger length means that the stream is out of step."""


class WorkerDiedError(RuntimeError):
    """The process ended, or said nothing for too long."""


def read(stream: IO[bytes]) -> tuple[bytes, bytes] | None:
    """The next message, kind and content; None at the end of the stream."""
    head = stream.read(HEAD.size)
    if len(head) < HEAD.size:
        return None
    kind, length = HEAD.unpack(head)
    if length > LARGEST:
        raise ValueError(f"a message of {length} bytes cannot be")
    content = stream.read(length)
    return (kind, content) if len(content) == length else None


def write(stream: IO[bytes], kind: bytes, content: bytes = b"") -> None:
    """Send one message."""
    stream.write(HEAD.pack(kind, len(content)) + content)
    stream.flush()


def ports() -> tuple[IO[bytes], IO[bytes]]:
    """In the child: where messages come from and go to. From then on `print` goes to standard error."""
    stdin = os.fdopen(os.dup(0), "rb")
    stdout = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return stdin, stdout


class Worker:
    """The parent's end of `python -m module`. Its methods block; one thread at a time may use each.

    Raises OSError when the process cannot be started.
    """

    def __init__(self, module: str) -> None:
        root = str(Path(voice.__file__).parent.parent)
        path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
        process = subprocess.Popen(  # noqa: S603 (our own module, in our own interpreter)
            [sys.executable, "-P", "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
        )
        self.module, self.pid = module, process.pid
        self._process = process
        self._inbox: queue.SimpleQueue[tuple[bytes, bytes] | str] = queue.SimpleQueue()
        """Messages, and last how they ended."""
        threading.Thread(target=_listen, args=(process.stdout, self._inbox), name=module, daemon=True).start()
        self.stop = weakref.finalize(self, _end, process)
        """Kill the process and wait until it is gone. Calling it twice does nothing."""

    @property
    def alive(self) -> bool:
        """The process runs."""
        return self.stop.alive and self._process.poll() is None

    def send(self, kind: bytes, content: bytes = b"") -> None:
        """Send one message. Raises WorkerDiedError."""
        stdin = self._process.stdin
        try:
            if stdin is None or stdin.closed:
                raise BrokenPipeError
            write(stdin, kind, content)
        except OSError:
            raise self._death("ended") from None

    def receive(self, patience: float) -> tuple[bytes, bytes]:
        """The next message. Raises WorkerDiedError when the process ends or says nothing for `patience` seconds."""
        try:
            message = self._inbox.get(timeout=patience)
        except queue.Empty:
            raise self._death(f"said nothing for {patience:g} s") from None
        if isinstance(message, str):
            self._inbox.put(message)
            raise self._death(message)
        return message

    def _death(self, how: str) -> WorkerDiedError:
        self.stop()
        return WorkerDiedError(f"{self.module} (process {self.pid}) {how}, exit status {self._process.returncode}")


def _listen(stream: IO[bytes], inbox: queue.SimpleQueue[tuple[bytes, bytes] | str]) -> None:
    """Pass on what the child says until it is gone, or talks nonsense."""
    with stream:
        try:
            while message := read(stream):
                inbox.put(message)
        except ValueError as error:
            inbox.put(f"is out of step ({error})")
        else:
            inbox.put("ended")


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.stdin and not process.stdin.closed:
        try:
            process.stdin.close()
        except BrokenPipeError:
            process.kill()  # it is gone already, or will be: what was buffered for it is lost with it
    process.kill()
    process.wait()
