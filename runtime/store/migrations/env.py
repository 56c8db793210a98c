"""Run by Alembic, on the connection that `migrating.upgrade` hands over."""

from alembic import context

from runtime.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transactional_ddl=True,
)
context.run_migrations()
