"""Stubs of alarms by SMS, probes, and the answers to them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column('alarm', sa.Column('is_complete', sa.Boolean(), server_default=sa.text('true'), nullable=False))
    op.create_table('stub',
    sa.Column('hub', sa.String(length=16), nullable=False),
    sa.Column('epoch', sa.String(length=16), nullable=False),
    sa.Column('lane', sa.Integer(), nullable=False),
    sa.Column('seq', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('alarm', sa.String(length=16), nullable=True),
    sa.Column('number', sa.String(length=20), nullable=False),
    sa.Column('received_ms', sa.BigInteger(), nullable=False),
    sa.Column('completed_ms', sa.BigInteger(), nullable=True),
    sa.Column('told', sa.Integer(), nullable=True),
    sa.Column('told_ms', sa.BigInteger(), nullable=True),
    sa.Column('asked_ms', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('hub', 'epoch', 'lane', 'seq', name=op.f('pk_stub'))
    )
    op.create_index('ix_stub_alarm', 'stub', ['alarm'], unique=False)
    op.create_table('hub_sms',
    sa.Column('hub', sa.String(length=16), nullable=False),
    sa.Column('heard_ms', sa.BigInteger(), nullable=False),
    sa.Column('probe_ms', sa.BigInteger(), nullable=True),
    sa.Column('probe_epoch', sa.String(length=16), nullable=True),
    sa.Column('probe_hub_ms', sa.BigInteger(), nullable=True),
    sa.Column('answered_ms', sa.BigInteger(), nullable=True),
    sa.PrimaryKeyConstraint('hub', name=op.f('pk_hub_sms'))
    )
    op.create_table('sms_answer',
    sa.Column('id', NUMBER, nullable=False),
    sa.Column('hub', sa.String(length=16), nullable=False),
    sa.Column('epoch', sa.String(length=16), nullable=False),
    sa.Column('lane', sa.Integer(), nullable=False),
    sa.Column('seq', sa.BigInteger(), nullable=False),
    sa.Column('number', sa.String(length=20), nullable=False),
    sa.Column('is_asked', sa.Boolean(), server_default=sa.text('false'), nullable=False),
    sa.Column('created_ms', sa.BigInteger(), nullable=False),
    sa.Column('due_ms', sa.BigInteger(), nullable=False),
    sa.Column('attempts', sa.Integer(), server_default='0', nullable=False),
    sa.Column('state', sa.Integer(), nullable=True),
    sa.Column('reference', sa.String(length=64), nullable=True),
    sa.Column('done_ms', sa.BigInteger(), nullable=True),
    sa.Column('delivered_ms', sa.BigInteger(), nullable=True),
    sa.Column('error', sa.String(length=96), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_sms_answer'))
    )
    op.create_index('ix_sms_answer_due', 'sms_answer', ['due_ms'], unique=False, sqlite_where=sa.text('done_ms IS NULL'), postgresql_where=sa.text('done_ms IS NULL'))
    op.create_index('ix_sms_answer_reference', 'sms_answer', ['reference'], unique=False)
    op.create_index('ix_sms_answer_done_ms', 'sms_answer', ['done_ms'], unique=False)
