"""Local servers that speak our providers' wire formats, for tests of the real SDKs; with faults that can be ordered.

Each is an `async with` and says where it is (`url`). They are written from the providers' public API references and
know only as much of the formats as the SDKs need. What a server is to do wrong, and when, is a `Fault`.
"""
