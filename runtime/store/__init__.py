"""The SQL store: one schema for SQLite and PostgreSQL, writes committed in groups.

SQLAlchemy Core describes the tables and compiles the statements; a single writer thread per
process drains a queue of writes and commits them together, so that many share one fsync. Readers
use a small pool of their own. Nothing here knows asyncio except the hand-back of results, which
happens once per group.
"""
