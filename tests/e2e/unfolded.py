"""The demo, told to keep results out of replies, so that each has an idle moment of its own to be measured by."""

from __future__ import annotations

from examples import demo
from orchestration import Runtime

runtime = Runtime(orchestration=demo.runtime.orchestration, delivery=demo.runtime.delivery, fold=False, rooms=["lobby"])
