"""Ways into a room, one a file."""
