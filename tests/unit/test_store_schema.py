"""The schema that migrations build is the schema that the code believes in."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from runtime.store import schema
from runtime.store.engine import Store
from runtime.store.faults import StoreInUse
from runtime.store.migrating import configuration
from tests.journal_orders import store_url  # noqa: F401  # a fixture


def is_for(dialect):
    """Alembic does not know of what is declared for one store only (`ddl_if`)."""

    def include(item, name, kind, reflected, compared):
        only = None if reflected else getattr(item, "_ddl_if", None)
        return only is None or only.dialect == dialect

    return include


def test_migrated_tables_are_the_declared_tables(store_url):  # noqa: F811  # the fixture
    """Nothing is missing, extra or of another type, on either store."""
    store = Store(store_url)
    store.open()
    store.close()
    engine = create_engine(store_url)
    with engine.connect() as connection:
        asked = {"compare_type": True, "include_object": is_for(connection.dialect.name)}
        context = MigrationContext.configure(connection, opts=asked)
        assert compare_metadata(context, schema.metadata) == []
        assert context.get_current_revision() == schema.HEAD
    engine.dispose()


def test_the_code_names_the_newest_migration():
    """`HEAD` lets a start-up skip Alembic; it must not lag behind."""
    assert ScriptDirectory.from_config(configuration()).get_current_head() == schema.HEAD


def test_a_second_program_is_refused(tmp_path):
    """SQLite serves one program: leases of any other are taken to be a dead one's."""
    url = f"sqlite:///{tmp_path}/journal.db"
    first, second = Store(url), Store(url)
    first.open()
    with pytest.raises(StoreInUse):
        second.open()
    first.close()
    third = Store(url)
    third.open()
    third.close()
