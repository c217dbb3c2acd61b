"""A Ledger in PostgreSQL, for when one machine is not enough: several processes share rooms, deliveries and callers.

Importing this loads psycopg (about 0.1 s); nothing else of the house does.
"""

from delivery.postgres.ledger import PostgresLedger

__all__ = ["PostgresLedger"]
