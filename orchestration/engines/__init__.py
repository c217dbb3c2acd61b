"""What runs background tasks, one engine a file."""
