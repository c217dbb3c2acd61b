"""What is said to Deepgram's Voice Agent, in the SDK's own types. Imports the SDK, where it is used."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from voice.leg import RATE
from voice.realtime.session import Injection, Instructions

if TYPE_CHECKING:
    from deepgram.agent.v1.socket_client import AsyncV1SocketClient
    from deepgram.agent.v1.types import (
        AgentV1InjectAgentMessage,
        AgentV1SendFunctionCallResponse,
        AgentV1Settings,
        AgentV1UpdateThink,
    )

    Outgoing = bytes | AgentV1UpdateThink | AgentV1InjectAgentMessage | AgentV1SendFunctionCallResponse | None
    """None: it is to be kept alive."""

THINK_URL = "DEEPGRAM_THINK_URL"
THINK_HEADERS = "DEEPGRAM_THINK_HEADERS"
"""A JSON object of the headers that Deepgram is to send to DEEPGRAM_THINK_URL: the key of that endpoint, mostly."""
PROVIDERS = ("anthropic", "open_ai", "google", "groq", "deepgram")
"""Language models it can think with that need no more than a model's name, or an endpoint."""
TELLING = 8
"""Characters from which on a part of a header, or of a URL, may be a key; shorter ones are in any text."""
MAX_KEYTERMS = 100
_BEHAVIORS = {Injection.NOW: "interrupt", Injection.IDLE: "default", Injection.QUEUE: "queue"}
_URL = re.compile(r"https?://[^\s/?#@]+(?:/\S*)?")


@dataclass(frozen=True, slots=True)
class Pipeline:
    """What the agent hears, thinks and speaks with. Raises ValueError for what cannot work, naming the field."""

    listen: str
    think: str
    think_provider: str
    speak: str
    language: str
    keyterms: Sequence[str] = ()
    temperature: float | None = None
    think_url: str | None = field(default=None, repr=False)
    think_headers: Mapping[str, str] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for name in ("listen", "think", "speak", "language"):
            value = getattr(self, name)
            if not isinstance(value, str) or not value.strip():
                raise ValueError(f"{name}: it must be a name, not {value!r}")
        if self.think_provider not in PROVIDERS:
            raise ValueError(f"think_provider: it must be one of {', '.join(PROVIDERS)}, not {self.think_provider!r}")
        if self.temperature is not None and not 0 <= self.temperature <= 2:
            raise ValueError(f"temperature: it must be 0..2, or None for the model's own, not {self.temperature!r}")
        if isinstance(self.keyterms, str) or len(self.keyterms) > MAX_KEYTERMS:
            raise ValueError(f"keyterms: give at most {MAX_KEYTERMS} in a list")
        if self.think_url is not None and not _URL.fullmatch(self.think_url):
            raise ValueError("think_url: it is no URL; give one like https://llm.example.com/v1/chat/completions")
        if self.think_headers and not self.think_url and not os.environ.get(THINK_URL):
            raise ValueError("think_headers: they go to an endpoint of your own; give think_url, too")

    def endpoint(self) -> tuple[str, dict[str, str]] | None:
        """Where the language model is, if it is none of Deepgram's. Raises ValueError for a bad environment."""
        url = self.think_url or os.environ.get(THINK_URL)
        if not url:
            return None
        if not _URL.fullmatch(url):
            raise ValueError(f"{THINK_URL}: it is no URL")
        headers: Any = self.think_headers
        if headers is None:
            try:
                headers = json.loads(os.environ.get(THINK_HEADERS) or "{}")
            except ValueError:
                headers = None
            if not isinstance(headers, dict) or not all(isinstance(each, str) for each in headers.values()):
                raise ValueError(
                    f'{THINK_HEADERS}: give a JSON object of texts, like {{"authorization": "Bearer ..."}}'
                )
        return url, dict(headers)

    def secrets(self) -> tuple[str, ...]:
        """What is for that endpoint only: its headers, the token in one, what is asked of it in the URL. Raises
        ValueError for a bad environment."""
        url, headers = self.endpoint() or ("", {})
        parts = [value.split()[-1] for value in headers.values() if value.strip()]
        parts += [value for _, value in parse_qsl(urlsplit(url).query)]
        return tuple(filter(None, [*headers.values(), *(part for part in parts if len(part) >= TELLING)]))

    def _listen(self) -> dict[str, Any]:
        terms = {"keyterms": list(self.keyterms)} if self.keyterms else {}
        if not self.listen.startswith("flux"):
            return {"version": "v1", "model": self.listen, "language": self.language, "smart_format": True, **terms}
        hints = {"language_hints": [self.language]} if self.listen.endswith("multi") else {}
        return {"version": "v2", "model": self.listen, **hints, **terms}

    def _think(self, instructions: Instructions) -> dict[str, Any]:
        warmth = {} if self.temperature is None else {"temperature": self.temperature}
        endpoint = self.endpoint()
        functions = [
            {"name": each.name, "description": each.description, "parameters": dict(each.schema)}
            for each in instructions.functions
        ]
        return {
            "provider": {"type": self.think_provider, "model": self.think, **warmth},
            **({"endpoint": {"url": endpoint[0], "headers": endpoint[1]}} if endpoint else {}),
            "functions": functions,
            "prompt": instructions.prompt,
        }

    def settings(self, instructions: Instructions) -> AgentV1Settings:
        """The first message: sound in and out as ours is; no greeting, as our side greets when the caller is there."""
        from deepgram.agent.v1.types import AgentV1Settings

        version = {"version": "v2"} if self.speak.startswith("flux") else {}
        sound = {"encoding": "linear16", "sample_rate": RATE}
        given = {
            "flags": {"history": False},
            "audio": {"input": sound, "output": {**sound, "container": "none"}},
            "agent": {
                "listen": {"provider": {"type": "deepgram", **self._listen()}},
                "think": self._think(instructions),
                "speak": {"provider": {"type": "deepgram", "model": self.speak, **version}},
            },
        }
        return AgentV1Settings(**given)  # type: ignore[arg-type]  # pydantic makes its types of it

    def update(self, instructions: Instructions) -> AgentV1UpdateThink:
        """New instructions. `UpdateThink` replaces them wholly, where `UpdatePrompt` would only add to the prompt."""
        from deepgram.agent.v1.types import AgentV1UpdateThink

        return AgentV1UpdateThink(think=self._think(instructions))  # type: ignore[arg-type]


def injection(text: str, how: Injection) -> AgentV1InjectAgentMessage:
    """A line to be spoken."""
    from deepgram.agent.v1.types import AgentV1InjectAgentMessage

    return AgentV1InjectAgentMessage(message=text, behavior=_BEHAVIORS[how])


def answer(call: str, name: str, result: str) -> AgentV1SendFunctionCallResponse:
    """What a function came to."""
    from deepgram.agent.v1.types import AgentV1SendFunctionCallResponse

    return AgentV1SendFunctionCallResponse(id=call, name=name, content=result)


async def send(socket: AsyncV1SocketClient, message: Outgoing) -> None:
    """Send any of these."""
    if isinstance(message, bytes):
        await socket.send_media(message)
    elif message is None:
        await socket.send_keep_alive()
    elif message.type == "UpdateThink":
        await socket.send_update_think(message)
    elif message.type == "InjectAgentMessage":
        await socket.send_inject_agent_message(message)
    else:
        await socket.send_function_call_response(message)
