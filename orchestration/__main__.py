"""`python -m orchestration` is the command `sottovoce`."""

from orchestration.cli import main

main()
