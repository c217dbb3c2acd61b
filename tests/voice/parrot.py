"""A worker process for tests: says back what it is told, or does what a worker should not."""

from __future__ import annotations

import sys
import time

from voice import worker

if __name__ == "__main__":
    stdin, stdout = worker.ports()
    print("what is printed must not come between the messages")
    while message := worker.read(stdin):
        match message:
            case (b"D", _):
                sys.exit(7)
            case (b"S", _):
                time.sleep(3600)
            case (b"G", _):
                stdout.write(b"no message at all, but long enough to be taken for one")
                stdout.flush()
            case (kind, content):
                worker.write(stdout, kind, content)
