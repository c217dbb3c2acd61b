"""Whole calls drawn at random: the play, the troupe of doubles who give it, the stage, and what is judged of it."""
