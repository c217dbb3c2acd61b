"""When to speak: the measured suite of turn-taking. `python -m tests.bench.floor` (or `make bench-floor`) prints it."""
