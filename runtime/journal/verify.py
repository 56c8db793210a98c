"""Verify the audit of a store from outside: `python -m runtime.journal.verify URL`.

Reads only, beside whatever programs are at work on the store. Prints what is wrong, one fault a
line, and ends with 1 if there is any. `--export FILE` writes checkpoints of all chains, to be kept
where nobody who can write the store can write; `--checkpoints FILE` compares with such a file.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url

from runtime.journal.verifying import Checkpoint, checkpoints, verify


def outside(url: str) -> Engine:
    """An engine that reads a store which other programs have open, and cannot write to it."""
    address = make_url(url)
    if address.get_backend_name() != "sqlite":
        return create_engine(address, execution_options={"postgresql_readonly": True})
    engine = create_engine(address)

    @event.listens_for(engine, "connect")
    def _set_up(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA query_only = ON")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    return engine


def main(arguments: list[str] | None = None) -> int:
    """Verify; answer the exit code."""
    parser = argparse.ArgumentParser(prog="runtime.journal.verify", description=__doc__)
    parser.add_argument("url", help="address of the store, such as sqlite:////var/lib/journal.db")
    parser.add_argument("--checkpoints", type=Path, help="compare with checkpoints kept here")
    parser.add_argument("--export", type=Path, help="write checkpoints of all chains here")
    asked = parser.parse_args(arguments)
    known: tuple[Checkpoint, ...] = ()
    if asked.checkpoints is not None:
        known = msgspec.json.decode(asked.checkpoints.read_bytes(), type=tuple[Checkpoint, ...])
    engine = outside(asked.url)
    try:
        with engine.connect() as connection:
            found = verify(connection, known)
            ends = checkpoints(connection)
    finally:
        engine.dispose()
    for fault in found:
        sys.stdout.write(f"{fault}\n")
    if asked.export is not None and not found:
        asked.export.write_bytes(msgspec.json.format(msgspec.json.encode(ends)) + b"\n")
    links = sum(end.seq for end in ends)
    sys.stderr.write(f"{len(ends)} chains, {links} links, {len(found)} faults\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
