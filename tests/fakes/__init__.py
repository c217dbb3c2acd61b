"""Local servers that speak our providers' wire formats, for tests of the real SDKs; with faults that can be ordered.

Each is an `async with` and says where it is (`url`). They are written from the providers' public API references and
know only as much of the formats as the SDKs need. What a server is to do wrong, and when, is a `Fault`.

To try the examples without a key, have all of them run, and copy the lines that they print into another terminal:

    python -m tests.fakes --hear "look into electric cars" --hear "tell me a joke"
    sottovoce serve examples/cloud.py

What hears is the embedded recogniser, what speaks the embedded voice, what thinks a few rules: what you want looked
into is handed to the workers, whose bigger models take some seconds; anything else is repeated. Without `--hear` it
listens for any words, which it understands far worse. `--minutes` bounds it, an hour unless given.
"""
