"""Alembic's way in: runs the steps on the connection that central.migrations hands over."""

from __future__ import annotations

from alembic import context

from central import tables_people, tables_response, tables_sms  # noqa: F401  # their tables are in the metadata once read
from central.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
