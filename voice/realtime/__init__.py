"""Speech-to-speech models, one provider a file."""
