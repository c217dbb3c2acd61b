"""Local servers that speak our providers' wire formats, for tests of the real SDKs; with faults that can be ordered.

Each is an `async with` and says where it is (`url`). They are written from the providers' public API references and
know only as much of the formats as the SDKs need. What a server is to do wrong, and when, is a `Fault`.

To try the examples without a key, have all of them run, and copy what they print into another terminal:

    python -m tests.fakes
    sottovoce serve examples/cloud.py

What hears is the embedded recogniser, what speaks the embedded voice, what thinks a few rules: say "look into electric
cars", and it is handed to the workers; anything else is repeated. `--hear "tell me a joke"` (again and again) has it
listen for just these sentences, which it understands far better than any. `--minutes` bounds it, an hour unless given.
"""
