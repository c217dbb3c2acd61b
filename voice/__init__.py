"""Hear and speak: the floor, the channel, and what carries them. Knows nothing of deliveries or agents."""
