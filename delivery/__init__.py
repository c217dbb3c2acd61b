"""Decide when a result is spoken, and see that it is heard."""
