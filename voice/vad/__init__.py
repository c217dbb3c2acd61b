"""Voice activity detection, one provider a file."""
