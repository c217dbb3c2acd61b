"""The crash suite: processes are killed at every step of the ledger; what ears heard is held against the store.

`town.py` has the processes that come and go, `program.py` what runs in them, `judge.py` what must be true in the end.
`python -m tests.crash` plays hundreds of kills; the tests here play a few of each kind.
"""
