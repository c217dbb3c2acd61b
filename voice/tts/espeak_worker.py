"""The process in which eSpeak NG (GPLv3) speaks: run as `python -m voice.tts.espeak_worker`, spoken to in messages.

It shares no memory with the program that uses it, only this protocol (the framing is `voice.worker`'s):
to it     `S` number, rate (u32 each), length of the voice's name (u8), the name, the text (UTF-8): speak
          `C` number: stop speaking that one
from it   `H` Hz (u32): ready, and the rate of all audio
          `A` number, n (u32 each), n times position in characters and in samples (u32 each), PCM
          `E` number, then why if it could not be done
Importing this module loads nothing of eSpeak; only running it does.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import queue
import struct
import sys
import threading
from typing import IO, Any

from voice import worker

BUFFER = 20
"""Milliseconds of audio a callback is asked to bring; eSpeak makes them 60."""
_SYNCHRONOUS, _DONT_EXIT, _UTF8, _RATE, _WORD_EVENT = 2, 0x8000, 1, 1, 1
_GO_ON, _STOP = 0, 1

NUMBER = struct.Struct("<I")
PAIR = struct.Struct("<II")
SPEAK = struct.Struct("<IIB")


class _Event(ctypes.Structure):
    """`espeak_EVENT` of speak_lib.h; its last member is a union of eight bytes."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("message", ctypes.c_uint),
        ("position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("milliseconds", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user", ctypes.c_void_p),
        ("id", ctypes.c_uint64),
    )


_OnAudio = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(_Event))


class Espeak:
    """The library. Raises OSError or ImportError when it is not installed."""

    def __init__(self) -> None:
        import espeakng_loader

        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        data = espeakng_loader.get_data_path().encode()
        self.rate: int = self._library.espeak_Initialize(_SYNCHRONOUS, BUFFER, data, _DONT_EXIT)
        if self.rate <= 0:
            raise OSError(f"eSpeak NG could not be initialised with the data in {data!r}")
        self._library.espeak_Synth.argtypes = (
            *(ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int, ctypes.c_uint, ctypes.c_uint),
            *(ctypes.c_void_p, ctypes.c_void_p),
        )
        self._callback: Any = None
        self._voice = ""

    def speak(self, text: str, voice: str, rate: int, listener: Any) -> None:
        """Say `text`; `listener(pcm, words)` returns whether to go on. Raises ValueError for an unknown voice."""
        if voice != self._voice:
            if self._library.espeak_SetVoiceByName(voice.encode()):
                raise ValueError(f"eSpeak NG has no voice {voice!r}")
            self._voice = voice
        self._library.espeak_SetParameter(_RATE, rate, 0)

        def on_audio(samples: int | None, count: int, events: Any) -> int:
            words = []
            index = 0
            while events[index].type:
                if events[index].type == _WORD_EVENT:
                    words.append((max(0, events[index].position - 1), max(0, events[index].sample)))
                index += 1
            pcm = ctypes.string_at(samples, 2 * count) if samples and count else b""
            return _GO_ON if listener(pcm, words) else _STOP

        self._callback = _OnAudio(on_audio)
        self._library.espeak_SetSynthCallback(self._callback)
        encoded = text.encode()
        status = self._library.espeak_Synth(encoded, len(encoded) + 1, 0, 1, 0, _UTF8, None, None)
        if status:
            raise OSError(f"eSpeak NG failed with status {status}")


def listen(stdin: IO[bytes], wanted: queue.SimpleQueue[bytes], cancelled: set[int]) -> None:
    """Take requests while speech is made; leave with the parent."""
    while message := worker.read(stdin):
        kind, content = message
        if kind == b"C":
            cancelled.add(NUMBER.unpack(content)[0])
        else:
            wanted.put(content)
    os._exit(0)


def main() -> None:
    """Speak what is asked for until the input ends."""
    stdin, stdout = worker.ports()
    espeak = Espeak()
    wanted: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    cancelled: set[int] = set()
    threading.Thread(target=listen, args=(stdin, wanted, cancelled), daemon=True).start()
    worker.write(stdout, b"H", NUMBER.pack(espeak.rate))
    while True:
        content = wanted.get()
        number, rate, length = SPEAK.unpack_from(content)
        voice, text = content[SPEAK.size :][:length].decode(), content[SPEAK.size + length :].decode()

        def pass_on(pcm: bytes, words: list[tuple[int, int]], number: int = number) -> bool:
            marks = b"".join(PAIR.pack(*word) for word in words)
            worker.write(stdout, b"A", PAIR.pack(number, len(words)) + marks + pcm)
            return number not in cancelled

        error = ""
        try:
            if number not in cancelled:
                espeak.speak(text, voice, rate, pass_on)
        except (ValueError, OSError) as failure:
            error = str(failure)
        cancelled.discard(number)
        worker.write(stdout, b"E", NUMBER.pack(number) + error.encode())


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        main()
    sys.exit(0)
