"""A language model on your own machine, with embedded ears and voice: not a word leaves the house. No key.

Any server that speaks Anthropic's Messages API will do: Ollama, llama.cpp's llama-server, vLLM, a gateway.

    pip install 'sottovoce[demo,anthropic]'
    ollama pull qwen3:4b && ollama serve                   # listens at http://localhost:11434
    sottovoce serve examples/local_model.py                # elsewhere: LOCAL_MODEL_URL=... LOCAL_MODEL=...
"""

from __future__ import annotations

import os

from orchestration import Agent, Pipeline, Runtime, Speech
from orchestration.models import Anthropic
from orchestration.usage import Price
from voice import stt, tts

NAME = os.environ.get("LOCAL_MODEL", "qwen3:4b")
model = Anthropic(
    model=NAME,
    base_url=os.environ.get("LOCAL_MODEL_URL", "http://localhost:11434"),
    api_key="none",  # the SDK wants one; such servers take any. Without this line your real key would be sent there
    cache=False,  # what Anthropic caches for money, a local server keeps by itself
    prices={NAME: Price(input=0, output=0, cache_read=0, cache_write=0)},
    timeout=60,  # seconds without a word, the most there is: the first request has to load the model
)
host = Agent(
    "host",
    role="Host",
    greeting="Hello. I run on this machine alone.",
    prompt="You are on the telephone. All you write is spoken aloud: answer in one or two short sentences.",
    model=model,
)

runtime = Runtime(
    orchestration=Pipeline(agents=[host]),
    # Said here rather than left to choice: with a key in the environment the best there is would be in the cloud.
    speech=Speech(stt=stt.Pocketsphinx(), tts=[tts.Flite(), tts.Espeak()]),
)
