"""CMU Sphinx's decoder, the part of it that recognises speech for `voice.stt.pocketsphinx`."""
