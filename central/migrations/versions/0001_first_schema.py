"""The first schema: hubs, events, alarms, the event log, accounts, commands."""

from __future__ import annotations

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table('alarm',
    sa.Column('id', sa.String(length=16), nullable=False),
    sa.Column('queue', sa.String(length=16), nullable=False),
    sa.Column('kind', sa.String(length=32), nullable=False),
    sa.Column('alarm_class', sa.Integer(), nullable=False),
    sa.Column('rank', sa.Integer(), nullable=False),
    sa.Column('first_rank', sa.Integer(), nullable=False),
    sa.Column('lifted', sa.Integer(), server_default='0', nullable=False),
    sa.Column('hub', sa.String(length=16), nullable=False),
    sa.Column('device', sa.String(length=256), server_default='', nullable=False),
    sa.Column('resident', sa.String(length=256), nullable=True),
    sa.Column('fold_key', sa.Text(), nullable=False),
    sa.Column('condition', sa.String(length=16), server_default='active', nullable=False),
    sa.Column('handling', sa.String(length=16), server_default='waiting', nullable=False),
    sa.Column('dispatch', sa.String(length=16), server_default='none', nullable=False),
    sa.Column('version', sa.Integer(), server_default='1', nullable=False),
    sa.Column('happened_ms', sa.BigInteger(), nullable=False),
    sa.Column('raised_ms', sa.BigInteger(), nullable=False),
    sa.Column('committed_ms', sa.BigInteger(), nullable=True),
    sa.Column('last_event_ms', sa.BigInteger(), nullable=False),
    sa.Column('repeats', sa.Integer(), server_default='0', nullable=False),
    sa.Column('returned', sa.Integer(), server_default='0', nullable=False),
    sa.Column('sound_no', sa.Integer(), server_default='1', nullable=False),
    sa.Column('owner', sa.String(length=32), nullable=True),
    sa.Column('owner_name', sa.String(length=128), nullable=True),
    sa.Column('claim_no', sa.Integer(), server_default='0', nullable=False),
    sa.Column('claimed_ms', sa.BigInteger(), nullable=True),
    sa.Column('first_claimed_ms', sa.BigInteger(), nullable=True),
    sa.Column('lease_until_ms', sa.BigInteger(), nullable=True),
    sa.Column('closed_ms', sa.BigInteger(), nullable=True),
    sa.Column('closed_by', sa.String(length=128), nullable=True),
    sa.Column('disposition', sa.String(length=32), nullable=True),
    sa.Column('outcome', sa.String(length=32), nullable=True),
    sa.Column('note', sa.Text(), nullable=True),
    sa.Column('before_alarm', sa.String(length=16), nullable=True),
    sa.Column('undo_until_ms', sa.BigInteger(), nullable=True),
    sa.Column('undo_by', sa.String(length=32), nullable=True),
    sa.Column('undo_to', sa.String(length=32), nullable=True),
    sa.Column('shown_ms', sa.BigInteger(), nullable=True),
    sa.Column('lamp_state', sa.String(length=16), nullable=True),
    sa.Column('lamp_version', sa.Integer(), nullable=True),
    sa.Column('lamp_ms', sa.BigInteger(), nullable=True),
    sa.Column('reassured_ms', sa.BigInteger(), nullable=True),
    sa.Column('value', sa.Text(), nullable=True),
    sa.Column('details', sa.Text(), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_alarm'))
    )
    op.create_index('ix_alarm_closed_ms', 'alarm', ['closed_ms'], unique=False)
    op.create_index('ix_alarm_fold_key_closed_ms', 'alarm', ['fold_key', 'closed_ms'], unique=False)
    op.create_index('ix_alarm_hub_raised_ms', 'alarm', ['hub', 'raised_ms'], unique=False)
    op.create_index('ix_alarm_open', 'alarm', ['queue', 'rank', 'raised_ms'], unique=False, sqlite_where=sa.text('closed_ms IS NULL'), postgresql_where=sa.text('closed_ms IS NULL'))
    op.create_index('ix_alarm_open_lease_until_ms', 'alarm', ['lease_until_ms'], unique=False, sqlite_where=sa.text('closed_ms IS NULL'), postgresql_where=sa.text('closed_ms IS NULL'))
    op.create_index('ux_alarm_open_fold_key', 'alarm', ['fold_key'], unique=True, sqlite_where=sa.text('closed_ms IS NULL'), postgresql_where=sa.text('closed_ms IS NULL'))
    op.create_table('alarm_event',
    sa.Column('hub', sa.String(length=16), nullable=False),
    sa.Column('epoch', sa.String(length=16), nullable=False),
    sa.Column('lane', sa.Integer(), nullable=False),
    sa.Column('seq', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('alarm', sa.String(length=16), nullable=False),
    sa.Column('role', sa.String(length=16), nullable=False),
    sa.Column('happened_ms', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('hub', 'epoch', 'lane', 'seq', name=op.f('pk_alarm_event'))
    )
    op.create_index('ix_alarm_event_alarm_happened_ms', 'alarm_event', ['alarm', 'happened_ms'], unique=False)
    op.create_table('central_state',
    sa.Column('name', sa.String(length=32), nullable=False),
    sa.Column('value', sa.Text(), nullable=False),
    sa.PrimaryKeyConstraint('name', name=op.f('pk_central_state'))
    )
    op.create_table('command',
    sa.Column('id', sa.String(length=16), nullable=False),
    sa.Column('hub', sa.String(length=16), nullable=False),
    sa.Column('epoch', sa.String(length=16), nullable=False),
    sa.Column('number', sa.BigInteger(), nullable=False),
    sa.Column('name', sa.String(length=32), nullable=False),
    sa.Column('arguments', sa.Text(), nullable=False),
    sa.Column('actor', sa.String(length=32), nullable=False),
    sa.Column('created_ms', sa.BigInteger(), nullable=False),
    sa.Column('expires_ms', sa.BigInteger(), nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('answered_ms', sa.BigInteger(), nullable=True),
    sa.Column('result', sa.Text(), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_command'))
    )
    op.create_index('ux_command_hub_epoch_number', 'command', ['hub', 'epoch', 'number'], unique=True)
    op.create_table('counter',
    sa.Column('name', sa.String(length=16), nullable=False),
    sa.Column('value', sa.BigInteger(), nullable=False),
    sa.Column('hash', sa.String(length=64), server_default='', nullable=False),
    sa.PrimaryKeyConstraint('name', name=op.f('pk_counter'))
    )
    op.create_table('enrolment_code',
    sa.Column('secret_hash', sa.String(length=64), nullable=False),
    sa.Column('label', sa.String(length=64), server_default='', nullable=False),
    sa.Column('created_ms', sa.BigInteger(), nullable=False),
    sa.Column('expires_ms', sa.BigInteger(), nullable=False),
    sa.Column('created_by', sa.String(length=32), nullable=False),
    sa.Column('used_ms', sa.BigInteger(), nullable=True),
    sa.Column('hub', sa.String(length=16), nullable=True),
    sa.PrimaryKeyConstraint('secret_hash', name=op.f('pk_enrolment_code'))
    )
    op.create_table('event',
    sa.Column('hub', sa.String(length=16), nullable=False),
    sa.Column('epoch', sa.String(length=16), nullable=False),
    sa.Column('lane', sa.Integer(), nullable=False),
    sa.Column('seq', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('kind', sa.Integer(), nullable=True),
    sa.Column('device', sa.String(length=256), nullable=False),
    sa.Column('resident', sa.String(length=256), nullable=True),
    sa.Column('value', sa.Text(), nullable=True),
    sa.Column('details', sa.Text(), nullable=True),
    sa.Column('rule', sa.String(length=256), nullable=True),
    sa.Column('count', sa.Integer(), nullable=False),
    sa.Column('hub_ms', sa.BigInteger(), nullable=False),
    sa.Column('boot_ms', sa.BigInteger(), nullable=False),
    sa.Column('is_wall_trusted', sa.Boolean(), nullable=False),
    sa.Column('device_ms', sa.BigInteger(), nullable=True),
    sa.Column('happened_ms', sa.BigInteger(), nullable=False),
    sa.Column('received_ms', sa.BigInteger(), nullable=False),
    sa.Column('unreadable', sa.String(length=64), nullable=True),
    sa.PrimaryKeyConstraint('hub', 'epoch', 'lane', 'seq', name=op.f('pk_event')),
    sqlite_with_rowid=False
    )
    op.create_index('ix_event_happened_ms', 'event', ['happened_ms'], unique=False)
    op.create_table('event_raw',
    sa.Column('hub', sa.String(length=16), nullable=False),
    sa.Column('epoch', sa.String(length=16), nullable=False),
    sa.Column('lane', sa.Integer(), nullable=False),
    sa.Column('seq', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('raw', sa.LargeBinary(), nullable=False),
    sa.PrimaryKeyConstraint('hub', 'epoch', 'lane', 'seq', name=op.f('pk_event_raw'))
    )
    op.create_table('feed',
    sa.Column('no', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('at_ms', sa.BigInteger(), nullable=False),
    sa.Column('topic', sa.String(length=16), nullable=False),
    sa.Column('ref', sa.String(length=32), nullable=False),
    sa.Column('what', sa.String(length=48), nullable=False),
    sa.PrimaryKeyConstraint('no', name=op.f('pk_feed'))
    )
    op.create_table('health_check',
    sa.Column('id', sa.String(length=16), nullable=False),
    sa.Column('hub', sa.String(length=16), nullable=False),
    sa.Column('actor', sa.String(length=32), nullable=False),
    sa.Column('asked_ms', sa.BigInteger(), nullable=False),
    sa.Column('answered_ms', sa.BigInteger(), nullable=True),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('result', sa.Text(), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_health_check'))
    )
    op.create_index('ix_health_check_hub_asked_ms', 'health_check', ['hub', 'asked_ms'], unique=False)
    op.create_table('high_water',
    sa.Column('hub', sa.String(length=16), nullable=False),
    sa.Column('epoch', sa.String(length=16), nullable=False),
    sa.Column('lane', sa.Integer(), nullable=False),
    sa.Column('stored', sa.Text(), nullable=False),
    sa.Column('unopened', sa.Text(), server_default='[]', nullable=False),
    sa.Column('gaps', sa.Text(), server_default='[]', nullable=False),
    sa.Column('updated_ms', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('hub', 'epoch', 'lane', name=op.f('pk_high_water'))
    )
    op.create_table('hub',
    sa.Column('id', sa.String(length=16), nullable=False),
    sa.Column('label', sa.String(length=64), server_default='', nullable=False),
    sa.Column('public_key', sa.LargeBinary(), nullable=False),
    sa.Column('suite', sa.Integer(), nullable=False),
    sa.Column('state', sa.String(length=16), server_default='active', nullable=False),
    sa.Column('enrolled_ms', sa.BigInteger(), nullable=False),
    sa.Column('software', sa.String(length=64), server_default='', nullable=False),
    sa.Column('config_hash', sa.String(length=64), server_default='', nullable=False),
    sa.Column('epoch', sa.String(length=16), nullable=True),
    sa.Column('presence', sa.String(length=16), server_default='new', nullable=False),
    sa.Column('presence_ms', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('is_critical', sa.Boolean(), server_default=sa.text('(false)'), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_hub'))
    )
    op.create_table('hub_epoch',
    sa.Column('hub', sa.String(length=16), nullable=False),
    sa.Column('epoch', sa.String(length=16), nullable=False),
    sa.Column('header', sa.LargeBinary(), nullable=False),
    sa.Column('before_epoch', sa.String(length=16), nullable=True),
    sa.Column('before_last', sa.Text(), server_default='{}', nullable=False),
    sa.Column('before_is_clean', sa.Boolean(), nullable=True),
    sa.Column('suite', sa.Integer(), nullable=False),
    sa.Column('central_key', sa.String(length=16), nullable=False),
    sa.Column('boot_id', sa.String(length=32), nullable=False),
    sa.Column('started_ms', sa.BigInteger(), nullable=False),
    sa.Column('software', sa.String(length=64), nullable=False),
    sa.Column('first_seen_ms', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('hub', 'epoch', name=op.f('pk_hub_epoch'))
    )
    op.create_index('ix_hub_epoch_hub_before_epoch', 'hub_epoch', ['hub', 'before_epoch'], unique=False)
    op.create_table('log_entry',
    sa.Column('no', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('at_ms', sa.BigInteger(), nullable=False),
    sa.Column('what', sa.String(length=48), nullable=False),
    sa.Column('alarm', sa.String(length=16), nullable=True),
    sa.Column('hub', sa.String(length=16), nullable=True),
    sa.Column('actor', sa.String(length=32), nullable=False),
    sa.Column('actor_name', sa.String(length=128), nullable=False),
    sa.Column('content', sa.Text(), nullable=False),
    sa.Column('hash', sa.String(length=64), nullable=False),
    sa.PrimaryKeyConstraint('no', name=op.f('pk_log_entry'))
    )
    op.create_index('ix_log_entry_alarm_no', 'log_entry', ['alarm', 'no'], unique=False)
    op.create_index('ix_log_entry_hub_no', 'log_entry', ['hub', 'no'], unique=False)
    op.create_table('login_link',
    sa.Column('token_hash', sa.String(length=64), nullable=False),
    sa.Column('account', sa.String(length=32), nullable=False),
    sa.Column('created_ms', sa.BigInteger(), nullable=False),
    sa.Column('expires_ms', sa.BigInteger(), nullable=False),
    sa.Column('used_ms', sa.BigInteger(), nullable=True),
    sa.PrimaryKeyConstraint('token_hash', name=op.f('pk_login_link'))
    )
    op.create_table('outbox',
    sa.Column('id', NUMBER, nullable=False),
    sa.Column('kind', sa.String(length=16), nullable=False),
    sa.Column('hub', sa.String(length=16), nullable=False),
    sa.Column('ref', sa.String(length=32), nullable=False),
    sa.Column('created_ms', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_outbox'))
    )
    op.create_table('quarantine',
    sa.Column('id', NUMBER, nullable=False),
    sa.Column('sender', sa.String(length=16), nullable=False),
    sa.Column('lane', sa.Integer(), nullable=True),
    sa.Column('path', sa.String(length=16), nullable=False),
    sa.Column('digest', sa.String(length=64), nullable=False),
    sa.Column('content', sa.LargeBinary(), nullable=False),
    sa.Column('received_ms', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_quarantine'))
    )
    op.create_index('ux_quarantine_sender_digest', 'quarantine', ['sender', 'digest'], unique=True)
    op.create_table('resident',
    sa.Column('pseudonym', sa.String(length=32), nullable=False),
    sa.Column('label', sa.String(length=128), server_default='', nullable=False),
    sa.Column('hub', sa.String(length=16), nullable=True),
    sa.Column('is_critical', sa.Boolean(), server_default=sa.text('(false)'), nullable=False),
    sa.PrimaryKeyConstraint('pseudonym', name=op.f('pk_resident'))
    )
    op.create_table('security_event',
    sa.Column('id', NUMBER, nullable=False),
    sa.Column('at_ms', sa.BigInteger(), nullable=False),
    sa.Column('reason', sa.String(length=48), nullable=False),
    sa.Column('hub', sa.String(length=16), nullable=True),
    sa.Column('path', sa.String(length=16), nullable=False),
    sa.Column('count', sa.Integer(), nullable=False),
    sa.Column('detail', sa.String(length=256), server_default='', nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_security_event'))
    )
    op.create_index('ix_security_event_at_ms', 'security_event', ['at_ms'], unique=False)
    op.create_table('sender_window',
    sa.Column('hub', sa.String(length=16), nullable=False),
    sa.Column('epoch', sa.String(length=16), nullable=False),
    sa.Column('window', sa.LargeBinary(), nullable=False),
    sa.Column('updated_ms', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('hub', 'epoch', name=op.f('pk_sender_window'))
    )
    op.create_table('session',
    sa.Column('token_hash', sa.String(length=64), nullable=False),
    sa.Column('account', sa.String(length=32), nullable=False),
    sa.Column('csrf', sa.String(length=64), nullable=False),
    sa.Column('created_ms', sa.BigInteger(), nullable=False),
    sa.Column('expires_ms', sa.BigInteger(), nullable=False),
    sa.Column('last_used_ms', sa.BigInteger(), nullable=False),
    sa.Column('ended_ms', sa.BigInteger(), nullable=True),
    sa.PrimaryKeyConstraint('token_hash', name=op.f('pk_session'))
    )
    op.create_index('ix_session_account', 'session', ['account'], unique=False)
    op.create_table('trace',
    sa.Column('hub', sa.String(length=16), nullable=False),
    sa.Column('epoch', sa.String(length=16), nullable=False),
    sa.Column('lane', sa.Integer(), nullable=False),
    sa.Column('seq', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('judged_ms', sa.Float(), nullable=True),
    sa.Column('durable_ms', sa.Float(), nullable=True),
    sa.Column('sent_ms', sa.Float(), nullable=True),
    sa.Column('receipt_ms', sa.Float(), nullable=True),
    sa.PrimaryKeyConstraint('hub', 'epoch', 'lane', 'seq', name=op.f('pk_trace'))
    )
    op.create_table('user_account',
    sa.Column('id', sa.String(length=32), nullable=False),
    sa.Column('name', sa.String(length=128), nullable=False),
    sa.Column('role', sa.String(length=16), nullable=False),
    sa.Column('language', sa.String(length=8), nullable=True),
    sa.Column('password_hash', sa.String(length=256), nullable=True),
    sa.Column('state', sa.String(length=16), server_default='active', nullable=False),
    sa.Column('created_ms', sa.BigInteger(), nullable=False),
    sa.Column('last_sign_in_ms', sa.BigInteger(), nullable=True),
    sa.Column('settings', sa.Text(), server_default='{}', nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_user_account')),
    sa.UniqueConstraint('name', name=op.f('uq_user_account_name'))
    )
    counter = sa.table("counter", sa.column("name"), sa.column("value"), sa.column("hash"))
    op.bulk_insert(counter, [{"name": "feed", "value": 0, "hash": ""}, {"name": "log", "value": 0, "hash": ""}])
    state = sa.table("central_state", sa.column("name"), sa.column("value"))
    op.bulk_insert(state, [{"name": "lineage", "value": secrets.token_hex(8)}, {"name": "probe", "value": "0"}])
