"""Decide who works on what: rooms, agents, strategies and the tasks underneath the talk."""

__version__ = "0.1.0"
