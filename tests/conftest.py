"""How random tests are played: never against the wall clock, and at length for `make soak`."""

from hypothesis import settings

settings.register_profile("house", parent=settings.default, deadline=None)
settings.register_profile("soak", deadline=None, derandomize=False, max_examples=2_000, print_blob=True)
settings.load_profile("house")
