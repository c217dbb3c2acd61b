"""The demo, remembering in the PostgreSQL database at $DATABASE_URL."""

from __future__ import annotations

import os

from examples import demo
from orchestration import Runtime

runtime = Runtime(orchestration=demo.runtime.orchestration, rooms=["lobby"], state=os.environ["DATABASE_URL"])
