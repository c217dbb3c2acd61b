"""Speech to text, one provider a file."""
