"""People and places, plans and escalation, dispatch, technical incidents."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table('access_entry',
    sa.Column('no', NUMBER, nullable=False),
    sa.Column('at_ms', sa.BigInteger(), nullable=False),
    sa.Column('actor', sa.String(length=32), nullable=False),
    sa.Column('actor_name', sa.String(length=128), nullable=False),
    sa.Column('resident', sa.String(length=32), nullable=False),
    sa.Column('what', sa.String(length=64), nullable=False),
    sa.Column('purpose', sa.String(length=16), nullable=False),
    sa.Column('ref', sa.String(length=32), nullable=True),
    sa.Column('reason', sa.Text(), server_default='', nullable=False),
    sa.PrimaryKeyConstraint('no', name=op.f('pk_access_entry'))
    )
    op.create_index('ix_access_entry_actor_no', 'access_entry', ['actor', 'no'], unique=False)
    op.create_index('ix_access_entry_resident_no', 'access_entry', ['resident', 'no'], unique=False)
    op.create_table('alarm_plan',
    sa.Column('alarm', sa.String(length=16), nullable=False),
    sa.Column('plan', sa.String(length=16), nullable=True),
    sa.Column('plan_version', sa.Integer(), nullable=True),
    sa.Column('variant', sa.String(length=64), server_default='', nullable=False),
    sa.Column('snapshot', sa.Text(), nullable=False),
    sa.Column('made_ms', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('alarm', name=op.f('pk_alarm_plan'))
    )
    op.create_table('alarm_receiver',
    sa.Column('alarm', sa.String(length=16), nullable=False),
    sa.Column('team', sa.String(length=16), nullable=False),
    sa.Column('since_ms', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('alarm', 'team', name=op.f('pk_alarm_receiver'))
    )
    op.create_index('ix_alarm_receiver_team', 'alarm_receiver', ['team'], unique=False)
    op.create_table('assignment',
    sa.Column('id', sa.String(length=16), nullable=False),
    sa.Column('account', sa.String(length=32), nullable=False),
    sa.Column('role', sa.String(length=16), nullable=False),
    sa.Column('tenant', sa.String(length=16), nullable=True),
    sa.Column('unit', sa.String(length=16), nullable=True),
    sa.Column('from_ms', sa.BigInteger(), nullable=False),
    sa.Column('to_ms', sa.BigInteger(), nullable=True),
    sa.Column('given_by', sa.String(length=32), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_assignment'))
    )
    op.create_index('ix_assignment_account', 'assignment', ['account'], unique=False)
    op.create_table('audit_mark',
    sa.Column('name', sa.String(length=48), nullable=False),
    sa.Column('at_ms', sa.BigInteger(), nullable=False),
    sa.Column('content', sa.Text(), server_default='{}', nullable=False),
    sa.PrimaryKeyConstraint('name', name=op.f('pk_audit_mark'))
    )
    op.create_table('call_attempt',
    sa.Column('id', sa.String(length=16), nullable=False),
    sa.Column('alarm', sa.String(length=16), nullable=False),
    sa.Column('called', sa.String(length=16), nullable=False),
    sa.Column('contact', sa.String(length=16), nullable=True),
    sa.Column('result', sa.String(length=16), nullable=False),
    sa.Column('at_ms', sa.BigInteger(), nullable=False),
    sa.Column('actor', sa.String(length=32), nullable=False),
    sa.Column('actor_name', sa.String(length=128), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_call_attempt'))
    )
    op.create_index('ix_call_attempt_alarm_at_ms', 'call_attempt', ['alarm', 'at_ms'], unique=False)
    op.create_table('call_out',
    sa.Column('id', sa.String(length=16), nullable=False),
    sa.Column('team', sa.String(length=16), nullable=False),
    sa.Column('tenant', sa.String(length=16), nullable=True),
    sa.Column('alarm', sa.String(length=16), nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('round', sa.Integer(), server_default='0', nullable=False),
    sa.Column('no', sa.Integer(), server_default='0', nullable=False),
    sa.Column('fence', sa.Integer(), server_default='0', nullable=False),
    sa.Column('due_ms', sa.BigInteger(), nullable=False),
    sa.Column('began_ms', sa.BigInteger(), nullable=False),
    sa.Column('round_ms', sa.BigInteger(), nullable=True),
    sa.Column('unanswered_ms', sa.BigInteger(), nullable=True),
    sa.Column('answered_ms', sa.BigInteger(), nullable=True),
    sa.Column('answered_by', sa.String(length=32), nullable=True),
    sa.Column('answered_name', sa.String(length=128), nullable=True),
    sa.Column('answered_via', sa.String(length=8), nullable=True),
    sa.Column('ended_ms', sa.BigInteger(), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_call_out'))
    )
    op.create_index('ix_call_out_ended_ms', 'call_out', ['ended_ms'], unique=False)
    op.create_index('ux_call_out_open_team', 'call_out', ['team'], unique=True, sqlite_where=sa.text("ended_ms IS NULL"), postgresql_where=sa.text("ended_ms IS NULL"))
    op.create_table('contact',
    sa.Column('id', sa.String(length=16), nullable=False),
    sa.Column('resident', sa.String(length=32), nullable=False),
    sa.Column('position', sa.Integer(), nullable=False),
    sa.Column('sealed', sa.LargeBinary(), nullable=False),
    sa.Column('agreement', sa.Text(), server_default='{}', nullable=False),
    sa.Column('source', sa.String(length=64), nullable=False),
    sa.Column('as_of_ms', sa.BigInteger(), nullable=False),
    sa.Column('written_ms', sa.BigInteger(), nullable=False),
    sa.Column('written_by', sa.String(length=32), nullable=False),
    sa.Column('ended_ms', sa.BigInteger(), nullable=True),
    sa.Column('ended_by', sa.String(length=32), nullable=True),
    sa.Column('version', sa.Integer(), server_default='1', nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_contact'))
    )
    op.create_index('ix_contact_resident_position', 'contact', ['resident', 'position'], unique=False)
    op.create_table('criteria_list',
    sa.Column('tenant', sa.String(length=16), nullable=False),
    sa.Column('version', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('content', sa.Text(), nullable=False),
    sa.Column('written_ms', sa.BigInteger(), nullable=False),
    sa.Column('written_by', sa.String(length=32), nullable=False),
    sa.Column('why', sa.String(length=256), server_default='', nullable=False),
    sa.PrimaryKeyConstraint('tenant', 'version', name=op.f('pk_criteria_list'))
    )
    op.create_table('dispatch',
    sa.Column('id', sa.String(length=16), nullable=False),
    sa.Column('alarm', sa.String(length=16), nullable=False),
    sa.Column('team', sa.String(length=16), nullable=True),
    sa.Column('account', sa.String(length=32), nullable=True),
    sa.Column('account_name', sa.String(length=128), nullable=True),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('resumes', sa.String(length=16), nullable=True),
    sa.Column('version', sa.Integer(), server_default='1', nullable=False),
    sa.Column('sent_ms', sa.BigInteger(), nullable=False),
    sa.Column('sent_by', sa.String(length=32), nullable=False),
    sa.Column('delivered_ms', sa.BigInteger(), nullable=True),
    sa.Column('answered_ms', sa.BigInteger(), nullable=True),
    sa.Column('on_the_way_ms', sa.BigInteger(), nullable=True),
    sa.Column('on_site_ms', sa.BigInteger(), nullable=True),
    sa.Column('done_ms', sa.BigInteger(), nullable=True),
    sa.Column('due_ms', sa.BigInteger(), nullable=True),
    sa.Column('ended_ms', sa.BigInteger(), nullable=True),
    sa.Column('reason', sa.Text(), server_default='', nullable=False),
    sa.Column('round', sa.Integer(), nullable=True),
    sa.Column('step', sa.Integer(), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_dispatch'))
    )
    op.create_index('ix_dispatch_alarm', 'dispatch', ['alarm'], unique=False)
    op.create_index('ux_dispatch_step', 'dispatch', ['alarm', 'round', 'step', 'team'], unique=True)
    op.create_index('ix_dispatch_ended_ms', 'dispatch', ['ended_ms'], unique=False)
    op.create_index('ix_dispatch_not_ended', 'dispatch', ['alarm'], unique=False, sqlite_where=sa.text('ended_ms IS NULL'), postgresql_where=sa.text('ended_ms IS NULL'))
    op.create_index('ix_dispatch_team_state', 'dispatch', ['team', 'state'], unique=False)
    op.create_index('ix_dispatch_unanswered_due_ms', 'dispatch', ['due_ms'], unique=False, sqlite_where=sa.text("state IN ('sent', 'delivered')"), postgresql_where=sa.text("state IN ('sent', 'delivered')"))
    op.create_table('duty',
    sa.Column('account', sa.String(length=32), nullable=False),
    sa.Column('console', sa.String(length=64), nullable=False),
    sa.Column('team', sa.String(length=16), nullable=False),
    sa.Column('account_name', sa.String(length=128), nullable=False),
    sa.Column('has_sound', sa.Boolean(), nullable=False),
    sa.Column('since_ms', sa.BigInteger(), nullable=False),
    sa.Column('seen_ms', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('account', 'console', 'team', name=op.f('pk_duty'))
    )
    op.create_index('ix_duty_team_seen_ms', 'duty', ['team', 'seen_ms'], unique=False)
    op.create_table('duty_address',
    sa.Column('account', sa.String(length=32), nullable=False),
    sa.Column('phone', sa.String(length=32), server_default='', nullable=False),
    sa.Column('email', sa.String(length=254), server_default='', nullable=False),
    sa.Column('changed_ms', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('account', name=op.f('pk_duty_address'))
    )
    op.create_table('escalation',
    sa.Column('alarm', sa.String(length=16), nullable=False),
    sa.Column('no', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('round', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('fence', sa.Integer(), server_default='0', nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('due_ms', sa.BigInteger(), nullable=False),
    sa.Column('started_ms', sa.BigInteger(), nullable=True),
    sa.Column('ended_ms', sa.BigInteger(), nullable=True),
    sa.Column('why', sa.String(length=48), server_default='', nullable=False),
    sa.PrimaryKeyConstraint('alarm', 'no', 'round', name=op.f('pk_escalation'))
    )
    op.create_index('ix_escalation_open_due_ms', 'escalation', ['due_ms'], unique=False, sqlite_where=sa.text("state IN ('due', 'running')"), postgresql_where=sa.text("state IN ('due', 'running')"))
    op.create_table('handover',
    sa.Column('id', sa.String(length=16), nullable=False),
    sa.Column('alarm', sa.String(length=16), nullable=False),
    sa.Column('from_account', sa.String(length=32), nullable=False),
    sa.Column('from_name', sa.String(length=128), nullable=False),
    sa.Column('to_account', sa.String(length=32), nullable=True),
    sa.Column('to_team', sa.String(length=16), nullable=True),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('offered_ms', sa.BigInteger(), nullable=False),
    sa.Column('expires_ms', sa.BigInteger(), nullable=False),
    sa.Column('answered_ms', sa.BigInteger(), nullable=True),
    sa.Column('answered_by', sa.String(length=32), nullable=True),
    sa.Column('note', sa.Text(), server_default='', nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_handover'))
    )
    op.create_index('ux_handover_open_alarm', 'handover', ['alarm'], unique=True, sqlite_where=sa.text("state = 'offered'"), postgresql_where=sa.text("state = 'offered'"))
    op.create_table('incident',
    sa.Column('id', sa.String(length=16), nullable=False),
    sa.Column('cell', sa.String(length=128), nullable=False),
    sa.Column('kind', sa.String(length=32), nullable=False),
    sa.Column('tenant', sa.String(length=16), nullable=True),
    sa.Column('unit', sa.String(length=16), nullable=True),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('count', sa.Integer(), nullable=False),
    sa.Column('critical', sa.Integer(), nullable=False),
    sa.Column('size', sa.Integer(), server_default='0', nullable=False),
    sa.Column('still_open', sa.Integer(), server_default='0', nullable=False),
    sa.Column('opened_ms', sa.BigInteger(), nullable=False),
    sa.Column('last_ms', sa.BigInteger(), nullable=False),
    sa.Column('ended_ms', sa.BigInteger(), nullable=True),
    sa.Column('owner', sa.String(length=32), nullable=True),
    sa.Column('owner_name', sa.String(length=128), nullable=True),
    sa.Column('claimed_ms', sa.BigInteger(), nullable=True),
    sa.Column('note', sa.Text(), nullable=True),
    sa.Column('noted_version', sa.Integer(), server_default='0', nullable=False),
    sa.Column('outcome', sa.String(length=32), nullable=True),
    sa.Column('closed_ms', sa.BigInteger(), nullable=True),
    sa.Column('closed_by', sa.String(length=128), nullable=True),
    sa.Column('version', sa.Integer(), server_default='1', nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_incident'))
    )
    op.create_index('ux_incident_open_cell_kind', 'incident', ['cell', 'kind'], unique=True, sqlite_where=sa.text("state <> 'closed'"), postgresql_where=sa.text("state <> 'closed'"))
    op.create_table('maintenance',
    sa.Column('id', sa.String(length=16), nullable=False),
    sa.Column('scope', sa.String(length=16), nullable=False),
    sa.Column('ref', sa.String(length=280), nullable=False),
    sa.Column('kind', sa.String(length=16), nullable=False),
    sa.Column('from_ms', sa.BigInteger(), nullable=False),
    sa.Column('to_ms', sa.BigInteger(), nullable=False),
    sa.Column('why', sa.Text(), nullable=False),
    sa.Column('written_by', sa.String(length=32), nullable=False),
    sa.Column('ended_ms', sa.BigInteger(), nullable=True),
    sa.Column('written_name', sa.String(length=128), server_default='', nullable=False),
    sa.Column('made_ms', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('tenant', sa.String(length=16), nullable=True),
    sa.Column('unit', sa.String(length=16), nullable=True),
    sa.Column('ended_by', sa.String(length=32), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_maintenance'))
    )
    op.create_index('ix_maintenance_ref_to_ms', 'maintenance', ['ref', 'to_ms'], unique=False)
    op.create_index('ix_maintenance_running_to_ms', 'maintenance', ['to_ms'], unique=False, sqlite_where=sa.text("ended_ms IS NULL"), postgresql_where=sa.text("ended_ms IS NULL"))
    op.create_table('notification',
    sa.Column('id', sa.String(length=16), nullable=False),
    sa.Column('key', sa.String(length=128), nullable=False),
    sa.Column('alarm', sa.String(length=16), nullable=True),
    sa.Column('step', sa.Integer(), nullable=True),
    sa.Column('channel', sa.String(length=16), nullable=False),
    sa.Column('team', sa.String(length=16), nullable=True),
    sa.Column('account', sa.String(length=32), nullable=True),
    sa.Column('contact', sa.String(length=16), nullable=True),
    sa.Column('what', sa.String(length=32), nullable=False),
    sa.Column('language', sa.String(length=8), server_default='nb', nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('fence', sa.Integer(), server_default='0', nullable=False),
    sa.Column('attempts', sa.Integer(), server_default='0', nullable=False),
    sa.Column('next_ms', sa.BigInteger(), nullable=False),
    sa.Column('made_ms', sa.BigInteger(), nullable=False),
    sa.Column('sent_ms', sa.BigInteger(), nullable=True),
    sa.Column('receipt_ms', sa.BigInteger(), nullable=True),
    sa.Column('provider_ref', sa.String(length=64), nullable=True),
    sa.Column('fault', sa.String(length=64), server_default='', nullable=False),
    sa.Column('round', sa.Integer(), nullable=True),
    sa.Column('dispatch', sa.String(length=16), nullable=True),
    sa.Column('mark', sa.String(length=32), nullable=True),
    sa.Column('code', sa.String(length=4), nullable=True),
    sa.Column('answer', sa.String(length=8), nullable=True),
    sa.Column('answered_ms', sa.BigInteger(), nullable=True),
    sa.Column('call_out', sa.String(length=16), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_notification')),
    sa.UniqueConstraint('key', name=op.f('uq_notification_key'))
    )
    op.create_index('ix_notification_alarm', 'notification', ['alarm'], unique=False)
    op.create_index('ix_notification_call_out', 'notification', ['call_out'], unique=False)
    op.create_index('ix_notification_dispatch', 'notification', ['dispatch'], unique=False)
    op.create_index('ix_notification_mark', 'notification', ['mark'], unique=False)
    op.create_index('ix_notification_pending_next_ms', 'notification', ['next_ms'], unique=False, sqlite_where=sa.text("state = 'pending'"), postgresql_where=sa.text("state = 'pending'"))
    op.create_index('ix_notification_channel_state_sent_ms', 'notification', ['channel', 'state', 'sent_ms'], unique=False)
    op.create_index('ix_notification_provider_ref', 'notification', ['provider_ref'], unique=False)
    op.create_table('outcome_list',
    sa.Column('tenant', sa.String(length=16), nullable=False),
    sa.Column('version', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('content', sa.Text(), nullable=False),
    sa.Column('written_ms', sa.BigInteger(), nullable=False),
    sa.Column('written_by', sa.String(length=32), nullable=False),
    sa.Column('why', sa.String(length=256), server_default='', nullable=False),
    sa.PrimaryKeyConstraint('tenant', 'version', name=op.f('pk_outcome_list'))
    )
    op.create_table('plan',
    sa.Column('id', sa.String(length=16), nullable=False),
    sa.Column('version', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('tenant', sa.String(length=16), nullable=True),
    sa.Column('service', sa.String(length=16), nullable=True),
    sa.Column('name', sa.String(length=128), nullable=False),
    sa.Column('content', sa.Text(), nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('written_ms', sa.BigInteger(), nullable=False),
    sa.Column('written_by', sa.String(length=32), nullable=False),
    sa.Column('why', sa.String(length=256), server_default='', nullable=False),
    sa.PrimaryKeyConstraint('id', 'version', name=op.f('pk_plan'))
    )
    op.create_index('ux_plan_active_id', 'plan', ['id'], unique=True, sqlite_where=sa.text("state = 'active'"), postgresql_where=sa.text("state = 'active'"))
    op.create_index('ux_plan_default', 'plan', ['tenant', 'service'], unique=True, sqlite_where=sa.text("state = 'active' AND service IS NOT NULL"), postgresql_where=sa.text("state = 'active' AND service IS NOT NULL"))
    op.create_table('resident_fact',
    sa.Column('id', sa.String(length=16), nullable=False),
    sa.Column('resident', sa.String(length=32), nullable=False),
    sa.Column('kind', sa.String(length=24), nullable=False),
    sa.Column('sealed', sa.LargeBinary(), nullable=False),
    sa.Column('source', sa.String(length=64), nullable=False),
    sa.Column('as_of_ms', sa.BigInteger(), nullable=False),
    sa.Column('written_ms', sa.BigInteger(), nullable=False),
    sa.Column('written_by', sa.String(length=32), nullable=False),
    sa.Column('ended_ms', sa.BigInteger(), nullable=True),
    sa.Column('ended_by', sa.String(length=32), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_resident_fact'))
    )
    op.create_index('ix_resident_fact_resident_ended_ms', 'resident_fact', ['resident', 'ended_ms'], unique=False)
    op.create_table('resident_key',
    sa.Column('resident', sa.String(length=32), nullable=False),
    sa.Column('wrapped', sa.LargeBinary(), nullable=True),
    sa.Column('master', sa.String(length=16), nullable=False),
    sa.Column('made_ms', sa.BigInteger(), nullable=False),
    sa.Column('erased_ms', sa.BigInteger(), nullable=True),
    sa.Column('is_held', sa.Boolean(), server_default=sa.text('false'), nullable=False),
    sa.PrimaryKeyConstraint('resident', name=op.f('pk_resident_key'))
    )
    op.create_table('rota_override',
    sa.Column('id', sa.String(length=16), nullable=False),
    sa.Column('team', sa.String(length=16), nullable=False),
    sa.Column('account', sa.String(length=32), nullable=True),
    sa.Column('instead_of', sa.String(length=32), nullable=True),
    sa.Column('from_ms', sa.BigInteger(), nullable=False),
    sa.Column('to_ms', sa.BigInteger(), nullable=False),
    sa.Column('why', sa.String(length=128), server_default='', nullable=False),
    sa.Column('written_by', sa.String(length=32), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_rota_override'))
    )
    op.create_index('ix_rota_override_team_to_ms', 'rota_override', ['team', 'to_ms'], unique=False)
    op.create_table('rota_shift',
    sa.Column('id', sa.String(length=16), nullable=False),
    sa.Column('team', sa.String(length=16), nullable=False),
    sa.Column('account', sa.String(length=32), nullable=True),
    sa.Column('weekdays', sa.Integer(), nullable=False),
    sa.Column('from_minute', sa.Integer(), nullable=False),
    sa.Column('to_minute', sa.Integer(), nullable=False),
    sa.Column('from_day', sa.String(length=10), nullable=False),
    sa.Column('to_day', sa.String(length=10), nullable=True),
    sa.Column('written_by', sa.String(length=32), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_rota_shift'))
    )
    op.create_index('ix_rota_shift_team', 'rota_shift', ['team'], unique=False)
    op.create_table('routine_card',
    sa.Column('id', sa.String(length=16), nullable=False),
    sa.Column('version', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('tenant', sa.String(length=16), nullable=False),
    sa.Column('kind', sa.String(length=32), server_default='', nullable=False),
    sa.Column('service', sa.String(length=16), server_default='', nullable=False),
    sa.Column('criterion', sa.String(length=32), server_default='', nullable=False),
    sa.Column('content', sa.Text(), nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('written_ms', sa.BigInteger(), nullable=False),
    sa.Column('written_by', sa.String(length=32), nullable=False),
    sa.Column('why', sa.String(length=256), server_default='', nullable=False),
    sa.PrimaryKeyConstraint('id', 'version', name=op.f('pk_routine_card'))
    )
    op.create_index('ux_routine_card_active_id', 'routine_card', ['id'], unique=True, sqlite_where=sa.text("state = 'active'"), postgresql_where=sa.text("state = 'active'"))
    op.create_index('ux_routine_card_active_subject', 'routine_card', ['tenant', 'kind', 'service', 'criterion'], unique=True, sqlite_where=sa.text("state = 'active'"), postgresql_where=sa.text("state = 'active'"))
    op.create_table('service',
    sa.Column('id', sa.String(length=16), nullable=False),
    sa.Column('resident', sa.String(length=32), nullable=False),
    sa.Column('kind', sa.String(length=16), nullable=False),
    sa.Column('plan', sa.String(length=16), nullable=True),
    sa.Column('from_ms', sa.BigInteger(), nullable=False),
    sa.Column('to_ms', sa.BigInteger(), nullable=True),
    sa.Column('source', sa.String(length=64), nullable=False),
    sa.Column('as_of_ms', sa.BigInteger(), nullable=False),
    sa.Column('written_by', sa.String(length=32), nullable=False),
    sa.Column('version', sa.Integer(), server_default='1', nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_service'))
    )
    op.create_index('ix_service_resident', 'service', ['resident'], unique=False)
    op.create_table('team',
    sa.Column('id', sa.String(length=16), nullable=False),
    sa.Column('kind', sa.String(length=16), nullable=False),
    sa.Column('name', sa.String(length=128), nullable=False),
    sa.Column('tenant', sa.String(length=16), nullable=True),
    sa.Column('unit', sa.String(length=16), nullable=True),
    sa.Column('phone', sa.String(length=32), server_default='', nullable=False),
    sa.Column('email', sa.String(length=254), server_default='', nullable=False),
    sa.Column('state', sa.String(length=16), server_default='active', nullable=False),
    sa.Column('version', sa.Integer(), server_default='1', nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_team'))
    )
    op.create_index('ix_team_name', 'team', ['name'], unique=False)
    op.create_index('ux_team_shared_name', 'team', ['name'], unique=True, sqlite_where=sa.text('tenant IS NULL'), postgresql_where=sa.text('tenant IS NULL'))
    op.create_index('ux_team_tenant_name', 'team', ['tenant', 'name'], unique=True)
    op.create_table('team_member',
    sa.Column('team', sa.String(length=16), nullable=False),
    sa.Column('account', sa.String(length=32), nullable=False),
    sa.PrimaryKeyConstraint('team', 'account', name=op.f('pk_team_member'))
    )
    op.create_table('team_tenant',
    sa.Column('team', sa.String(length=16), nullable=False),
    sa.Column('tenant', sa.String(length=16), nullable=False),
    sa.PrimaryKeyConstraint('team', 'tenant', name=op.f('pk_team_tenant'))
    )
    op.create_table('tenant',
    sa.Column('id', sa.String(length=16), nullable=False),
    sa.Column('name', sa.String(length=128), nullable=False),
    sa.Column('zone', sa.String(length=64), server_default='Europe/Oslo', nullable=False),
    sa.Column('language', sa.String(length=8), server_default='nb', nullable=False),
    sa.Column('settings', sa.Text(), server_default='{}', nullable=False),
    sa.Column('state', sa.String(length=16), server_default='active', nullable=False),
    sa.Column('created_ms', sa.BigInteger(), nullable=False),
    sa.Column('version', sa.Integer(), server_default='1', nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_tenant')),
    sa.UniqueConstraint('name', name=op.f('uq_tenant_name'))
    )
    op.create_table('unit',
    sa.Column('id', sa.String(length=16), nullable=False),
    sa.Column('tenant', sa.String(length=16), nullable=False),
    sa.Column('parent', sa.String(length=16), nullable=True),
    sa.Column('kind', sa.String(length=16), nullable=False),
    sa.Column('name', sa.String(length=128), nullable=False),
    sa.Column('settings', sa.Text(), server_default='{}', nullable=False),
    sa.Column('state', sa.String(length=16), server_default='active', nullable=False),
    sa.Column('version', sa.Integer(), server_default='1', nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_unit'))
    )
    op.create_index('ux_unit_tenant_name', 'unit', ['tenant', 'name'], unique=True)
    op.create_table('visit',
    sa.Column('id', sa.String(length=16), nullable=False),
    sa.Column('resident', sa.String(length=32), nullable=False),
    sa.Column('team', sa.String(length=16), nullable=True),
    sa.Column('from_ms', sa.BigInteger(), nullable=False),
    sa.Column('to_ms', sa.BigInteger(), nullable=False),
    sa.Column('state', sa.String(length=16), server_default='planned', nullable=False),
    sa.Column('source', sa.String(length=64), nullable=False),
    sa.Column('reference', sa.String(length=64), server_default='', nullable=False),
    sa.Column('changed_ms', sa.BigInteger(), nullable=False),
    sa.Column('changed_by', sa.String(length=32), nullable=False),
    sa.Column('version', sa.Integer(), server_default='1', nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_visit'))
    )
    op.create_index('ix_visit_planned_to_ms', 'visit', ['to_ms'], unique=False, sqlite_where=sa.text("state = 'planned'"), postgresql_where=sa.text("state = 'planned'"))
    op.create_index('ix_visit_resident_from_ms', 'visit', ['resident', 'from_ms'], unique=False)
    op.create_table('hub_heard',
    sa.Column('hub', sa.String(length=16), nullable=False),
    sa.Column('heard_ms', sa.BigInteger(), nullable=False),
    sa.Column('epoch', sa.String(length=16), nullable=False),
    sa.Column('content', sa.Text(), nullable=False),
    sa.PrimaryKeyConstraint('hub', name=op.f('pk_hub_heard'))
    )
    op.create_index('ix_hub_heard_heard_ms', 'hub_heard', ['heard_ms'], unique=False)
    op.create_table('hub_day',
    sa.Column('day', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('hub', sa.String(length=16), nullable=False),
    sa.Column('heard_00', sa.BigInteger(), nullable=False),
    sa.Column('heard_04', sa.BigInteger(), nullable=False),
    sa.Column('heard_08', sa.BigInteger(), nullable=False),
    sa.Column('heard_12', sa.BigInteger(), nullable=False),
    sa.Column('heard_16', sa.BigInteger(), nullable=False),
    sa.Column('heard_20', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('day', 'hub', name=op.f('pk_hub_day')),
    sqlite_with_rowid=False
    )
    op.create_index('ix_session_csrf', 'session', ['csrf'], unique=False)
    op.add_column('alarm', sa.Column('tenant', sa.String(length=16), nullable=True))
    op.add_column('alarm', sa.Column('unit', sa.String(length=16), nullable=True))
    op.add_column('alarm', sa.Column('criterion', sa.String(length=80), server_default='', nullable=False))
    op.add_column('alarm', sa.Column('deferred_visit', sa.String(length=16), nullable=True))
    op.add_column('alarm', sa.Column('deferred_until_ms', sa.BigInteger(), nullable=True))
    op.add_column('alarm', sa.Column('outcome_list', sa.String(length=32), server_default='', nullable=False))
    op.add_column('alarm', sa.Column('help', sa.String(length=16), nullable=True))
    op.add_column('alarm', sa.Column('escalation_round', sa.Integer(), server_default='0', nullable=False))
    op.add_column('alarm', sa.Column('escalation_no', sa.Integer(), server_default='0', nullable=False))
    op.add_column('alarm', sa.Column('incident', sa.String(length=16), nullable=True))
    op.add_column('alarm', sa.Column('quiet', sa.String(length=16), nullable=True))
    op.add_column('alarm', sa.Column('chatters', sa.Boolean(), server_default=sa.text('false'), nullable=False))
    op.create_index('ix_alarm_tenant_outcome', 'alarm', ['tenant', 'outcome'], unique=False, sqlite_where=sa.text("queue = 'personal' AND outcome IS NOT NULL"), postgresql_where=sa.text("queue = 'personal' AND outcome IS NOT NULL"))
    op.create_index('ix_alarm_technical_raised_ms', 'alarm', ['raised_ms'], unique=False, sqlite_where=sa.text("queue = 'technical' AND closed_ms IS NULL AND incident IS NULL AND quiet IS NULL"), postgresql_where=sa.text("queue = 'technical' AND closed_ms IS NULL AND incident IS NULL AND quiet IS NULL"))
    op.create_index('ix_alarm_technical_open', 'alarm', ['rank', 'raised_ms', 'id', 'kind', 'tenant', 'unit'], unique=False, sqlite_where=sa.text("queue = 'technical' AND closed_ms IS NULL AND incident IS NULL AND quiet IS NULL"), postgresql_where=sa.text("queue = 'technical' AND closed_ms IS NULL AND incident IS NULL AND quiet IS NULL"))
    op.create_index('ix_alarm_technical_counts', 'alarm', ['kind', 'unit', 'tenant', 'handling', 'rank'], unique=False, sqlite_where=sa.text("queue = 'technical' AND closed_ms IS NULL AND incident IS NULL AND quiet IS NULL"), postgresql_where=sa.text("queue = 'technical' AND closed_ms IS NULL AND incident IS NULL AND quiet IS NULL"))
    op.drop_index('ix_alarm_open', 'alarm')
    op.create_index('ix_alarm_personal_open', 'alarm', ['rank', 'raised_ms', 'id', 'handling', 'tenant', 'unit'], unique=False, sqlite_where=sa.text("queue = 'personal' AND closed_ms IS NULL"), postgresql_where=sa.text("queue = 'personal' AND closed_ms IS NULL"))
    op.create_index('ix_alarm_open_owner', 'alarm', ['owner'], unique=False, sqlite_where=sa.text("closed_ms IS NULL AND owner IS NOT NULL"), postgresql_where=sa.text("closed_ms IS NULL AND owner IS NOT NULL"))
    op.create_index('ix_alarm_happened_ms', 'alarm', ['happened_ms', 'queue', 'tenant', 'unit'], unique=False)
    op.drop_index('ix_alarm_closed_ms', 'alarm')
    op.create_index('ix_alarm_queue_closed_ms', 'alarm', ['queue', 'closed_ms'], unique=False, sqlite_where=sa.text("closed_ms IS NOT NULL"), postgresql_where=sa.text("closed_ms IS NOT NULL"))
    op.create_index('ix_alarm_incident', 'alarm', ['incident', 'closed_ms', 'rank', 'raised_ms', 'id'], unique=False, sqlite_where=sa.text("incident IS NOT NULL"), postgresql_where=sa.text("incident IS NOT NULL"))
    op.create_index('ix_alarm_strangers', 'alarm', ['hub'], unique=False, sqlite_where=sa.text("kind = 'unknown_hub' AND closed_ms IS NULL"), postgresql_where=sa.text("kind = 'unknown_hub' AND closed_ms IS NULL"))
    op.create_index('ix_alarm_quiet', 'alarm', ['quiet'], unique=False, sqlite_where=sa.text("quiet IS NOT NULL"), postgresql_where=sa.text("quiet IS NOT NULL"))
    op.create_index('ix_alarm_deferred_visit', 'alarm', ['deferred_visit'], unique=False, sqlite_where=sa.text("handling = 'deferred'"), postgresql_where=sa.text("handling = 'deferred'"))
    op.add_column('hub', sa.Column('tenant', sa.String(length=16), nullable=True))
    op.add_column('hub', sa.Column('unit', sa.String(length=16), nullable=True))
    op.add_column('hub', sa.Column('place_version', sa.Integer(), server_default='1', nullable=False))
    op.add_column('user_account', sa.Column('version', sa.Integer(), server_default='1', nullable=False))
    op.add_column('hub', sa.Column('operator', sa.String(length=64), server_default='', nullable=False))
    op.add_column('resident', sa.Column('tenant', sa.String(length=16), nullable=True))
    op.add_column('resident', sa.Column('unit', sa.String(length=16), nullable=True))
    op.add_column('resident', sa.Column('reference', sa.String(length=64), nullable=True))
    op.add_column('resident', sa.Column('state', sa.String(length=16), server_default='active', nullable=False))
    op.add_column('resident', sa.Column('created_ms', sa.BigInteger(), server_default='0', nullable=False))
    op.add_column('resident', sa.Column('version', sa.Integer(), server_default='1', nullable=False))
    op.create_index('ix_resident_tenant_unit', 'resident', ['tenant', 'unit'], unique=False)
    op.create_index('ux_resident_tenant_reference', 'resident', ['tenant', 'reference'], unique=True)
    op.create_index('ix_command_wanted', 'command', ['created_ms'], unique=False, sqlite_where=sa.text("state = 'wanted'"), postgresql_where=sa.text("state = 'wanted'"))
    op.create_table('command_part',
    sa.Column('command', sa.String(length=16), nullable=False),
    sa.Column('part', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('is_last', sa.Boolean(), nullable=False),
    sa.Column('content', sa.Text(), nullable=False),
    sa.PrimaryKeyConstraint('command', 'part', name=op.f('pk_command_part'))
    )
    if op.get_bind().dialect.name == 'postgresql':
        # Other processes hear of a change with its commit, not with their next look: see central.news.
        op.execute("""CREATE FUNCTION tell_of_change() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN NOTIFY vaktpost_change; RETURN NULL; END $$""")
        op.execute("""CREATE TRIGGER tell_of_change AFTER UPDATE ON counter FOR EACH STATEMENT
            EXECUTE FUNCTION tell_of_change()""")
