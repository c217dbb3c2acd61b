"""What runs underneath the talk: one protocol, many patterns."""
