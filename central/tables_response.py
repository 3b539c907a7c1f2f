"""Tables of the answer to an alarm: plans, escalation, notifications, duty, dispatch, and technical incidents.

JSON and times as in `central.tables`. Nothing here is a timer in memory: what is due is a row with a time and a fence.
"""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Index, Integer, String, Table, Text, text

from central.tables import ID16, MS, metadata

# A plan never changes: an edit is a new version, and a running alarm keeps the snapshot it began with.
plan = Table(
    "plan",
    metadata,
    Column("id", ID16, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("tenant", ID16),  # NULL: the default of the installation
    Column("service", String(16)),  # the tenant's default for this service; NULL: only where named
    Column("name", String(128), nullable=False),
    Column("content", Text, nullable=False),  # JSON: central.routing.plan.Plan
    Column("state", String(16), nullable=False),  # active | replaced | ended
    Column("written_ms", MS, nullable=False),
    Column("written_by", String(32), nullable=False),
    Column("why", String(256), nullable=False, server_default=""),
    Index("ux_plan_active_id", "id", unique=True, sqlite_where=text("state = 'active'"),
          postgresql_where=text("state = 'active'")),
    Index("ux_plan_default", "tenant", "service", unique=True,
          sqlite_where=text("state = 'active' AND service IS NOT NULL"),
          postgresql_where=text("state = 'active' AND service IS NOT NULL")),
)  # fmt: skip

alarm_plan = Table(
    "alarm_plan",
    metadata,
    Column("alarm", ID16, primary_key=True),
    Column("plan", ID16),
    Column("plan_version", Integer),
    Column("variant", String(64), nullable=False, server_default=""),  # which hours applied
    Column("snapshot", Text, nullable=False),  # JSON: the steps as they were when the alarm was raised
    Column("made_ms", MS, nullable=False),
)

# One step of an alarm's plan. Exactly one is `due` or `running` while the alarm waits for a person.
escalation = Table(
    "escalation",
    metadata,
    Column("alarm", ID16, primary_key=True),
    Column("no", Integer, primary_key=True, autoincrement=False),
    Column("round", Integer, primary_key=True, autoincrement=False),  # a returned alarm begins a new round
    Column("fence", Integer, nullable=False, server_default="0"),
    Column("state", String(16), nullable=False),  # due | running | done | failed | cancelled
    Column("due_ms", MS, nullable=False),  # the database's clock: when it is to start, then when it is to be over
    Column("started_ms", MS),
    Column("ended_ms", MS),
    Column("why", String(48), nullable=False, server_default=""),
    Index("ix_escalation_open_due_ms", "due_ms", sqlite_where=text("state IN ('due', 'running')"),
          postgresql_where=text("state IN ('due', 'running')")),
)  # fmt: skip

# Whose queues show the alarm: grows as the plan goes on.
alarm_receiver = Table(
    "alarm_receiver",
    metadata,
    Column("alarm", ID16, primary_key=True),
    Column("team", ID16, primary_key=True),
    Column("since_ms", MS, nullable=False),
    Index("ix_alarm_receiver_team", "team"),
)

# Something to be said to somebody, at least once, never twice under one key.
notification = Table(
    "notification",
    metadata,
    Column("id", ID16, primary_key=True),
    Column("key", String(128), nullable=False, unique=True),
    Column("alarm", ID16),
    Column("step", Integer),
    Column("channel", String(16), nullable=False),  # console | sms | email | ...
    Column("team", ID16),
    Column("account", String(32)),
    Column("contact", ID16),  # the number is looked up and opened when it is sent
    Column("what", String(32), nullable=False),  # which text: central.notify.texts
    Column("language", String(8), nullable=False, server_default="nb"),
    Column("state", String(16), nullable=False),  # pending | sent | unconfirmed | delivered | given_up | cancelled
    Column("fence", Integer, nullable=False, server_default="0"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("next_ms", MS, nullable=False),
    Column("made_ms", MS, nullable=False),
    Column("sent_ms", MS),
    Column("receipt_ms", MS),
    Column("provider_ref", String(64)),
    Column("fault", String(64), nullable=False, server_default=""),
    Column("round", Integer),  # of the alarm's plan
    Column("dispatch", ID16),  # it tells of this one
    Column("mark", String(32)),  # keyed hash of the number that was asked: who answers is known by it
    Column("code", String(4)),  # tells several questions to one number apart
    Column("answer", String(8)),  # yes | no
    Column("answered_ms", MS),
    Column("call_out", ID16),  # technicians are called out by it
    Index("ix_notification_dispatch", "dispatch"),
    Index("ix_notification_call_out", "call_out"),
    Index("ix_notification_mark", "mark"),
    Index("ix_notification_pending_next_ms", "next_ms", sqlite_where=text("state = 'pending'"),
          postgresql_where=text("state = 'pending'")),
    Index("ix_notification_channel_state_sent_ms", "channel", "state", "sent_ms"),
    Index("ix_notification_alarm", "alarm"),
    Index("ix_notification_provider_ref", "provider_ref"),
)  # fmt: skip

# Technicians are called for faults that cannot wait: one row for all that waits for a team, and never two at once.
call_out = Table(
    "call_out",
    metadata,
    Column("id", ID16, primary_key=True),
    Column("team", ID16, nullable=False),
    Column("tenant", ID16),
    Column("alarm", ID16, nullable=False),  # the most urgent of them, when somebody was called last
    Column("state", String(16), nullable=False),  # due | running | unanswered | answered | over
    Column("round", Integer, nullable=False, server_default="0"),  # one walk through all who can be called
    Column("no", Integer, nullable=False, server_default="0"),  # the step that runs: central.technical.ladder
    Column("fence", Integer, nullable=False, server_default="0"),
    Column("due_ms", MS, nullable=False),  # when the next step is due
    Column("began_ms", MS, nullable=False),
    Column("round_ms", MS),
    Column("unanswered_ms", MS),  # since when everybody has been called in vain
    Column("answered_ms", MS),
    Column("answered_by", String(32)),  # an account; a team, by its duty telephone
    Column("answered_name", String(128)),
    Column("answered_via", String(8)),  # sms | console
    Column("ended_ms", MS),
    Index("ux_call_out_open_team", "team", unique=True, sqlite_where=text("ended_ms IS NULL"),
          postgresql_where=text("ended_ms IS NULL")),
    Index("ix_call_out_ended_ms", "ended_ms"),
)  # fmt: skip

# How somebody is reached while on duty away from any console. They give it themselves, and take it back.
duty_address = Table(
    "duty_address",
    metadata,
    Column("account", String(32), primary_key=True),
    Column("phone", String(32), nullable=False, server_default=""),
    Column("email", String(254), nullable=False, server_default=""),
    Column("changed_ms", MS, nullable=False),
)

# Who is on duty now, at which console, with or without sound that was heard. Seen again every few seconds.
duty = Table(
    "duty",
    metadata,
    Column("account", String(32), primary_key=True),
    Column("console", String(64), primary_key=True),
    Column("team", ID16, primary_key=True),
    Column("account_name", String(128), nullable=False),
    Column("has_sound", Boolean, nullable=False),
    Column("since_ms", MS, nullable=False),
    Column("seen_ms", MS, nullable=False),
    Index("ix_duty_team_seen_ms", "team", "seen_ms"),
)

# Who ought to be on duty: a weekly pattern in the tenant's own time, and exceptions to it.
rota_shift = Table(
    "rota_shift",
    metadata,
    Column("id", ID16, primary_key=True),
    Column("team", ID16, nullable=False),
    Column("account", String(32)),  # NULL: whoever answers the team's duty telephone
    Column("weekdays", Integer, nullable=False),  # bit 0 is Monday
    Column("from_minute", Integer, nullable=False),  # minutes since local midnight
    Column("to_minute", Integer, nullable=False),  # not after from_minute: ends on the next day
    Column("from_day", String(10), nullable=False),  # ISO dates, both included
    Column("to_day", String(10)),
    Column("written_by", String(32), nullable=False),
    Index("ix_rota_shift_team", "team"),
)

rota_override = Table(
    "rota_override",
    metadata,
    Column("id", ID16, primary_key=True),
    Column("team", ID16, nullable=False),
    Column("account", String(32)),  # who instead; NULL: nobody
    Column("instead_of", String(32)),
    Column("from_ms", MS, nullable=False),
    Column("to_ms", MS, nullable=False),
    Column("why", String(128), nullable=False, server_default=""),
    Column("written_by", String(32), nullable=False),
    Index("ix_rota_override_team_to_ms", "team", "to_ms"),
)

# A patrol sent to somebody. `version` rises with each change; the newest open one says what home is told.
dispatch = Table(
    "dispatch",
    metadata,
    Column("id", ID16, primary_key=True),
    Column("alarm", ID16, nullable=False),
    Column("team", ID16),  # NULL: whoever has the alarm goes
    Column("account", String(32)),  # who accepted
    Column("account_name", String(128)),
    # sent|delivered|accepted|declined|unanswered|on_the_way|on_site|done|cancelled
    Column("state", String(16), nullable=False),
    Column("resumes", String(16)),  # the alarm was closed over it: the state that taking this back brings back
    Column("version", Integer, nullable=False, server_default="1"),
    Column("sent_ms", MS, nullable=False),
    Column("sent_by", String(32), nullable=False),
    Column("delivered_ms", MS),
    Column("answered_ms", MS),
    Column("on_the_way_ms", MS),
    Column("on_site_ms", MS),
    Column("done_ms", MS),
    Column("due_ms", MS),  # when the next answer is due: acceptance, then being on site
    Column("ended_ms", MS),  # declined, done or called off
    Column("reason", Text, nullable=False, server_default=""),  # why declined or cancelled; typed ones sealed
    Column("round", Integer),  # sent by this step of the alarm's plan; NULL: by a person
    Column("step", Integer),
    Index("ix_dispatch_alarm", "alarm"),
    Index("ux_dispatch_step", "alarm", "round", "step", "team", unique=True),
    Index("ix_dispatch_team_state", "team", "state"),
    Index("ix_dispatch_ended_ms", "ended_ms"),
    Index("ix_dispatch_not_ended", "alarm", sqlite_where=text("ended_ms IS NULL"),
          postgresql_where=text("ended_ms IS NULL")),
    Index("ix_dispatch_unanswered_due_ms", "due_ms", sqlite_where=text("state IN ('sent', 'delivered')"),
          postgresql_where=text("state IN ('sent', 'delivered')")),
)  # fmt: skip

handover = Table(
    "handover",
    metadata,
    Column("id", ID16, primary_key=True),
    Column("alarm", ID16, nullable=False),
    Column("from_account", String(32), nullable=False),
    Column("from_name", String(128), nullable=False),
    Column("to_account", String(32)),
    Column("to_team", ID16),
    Column("state", String(16), nullable=False),  # offered | accepted | declined | withdrawn | expired
    Column("offered_ms", MS, nullable=False),
    Column("expires_ms", MS, nullable=False),
    Column("answered_ms", MS),
    Column("answered_by", String(32)),
    Column("note", Text, nullable=False, server_default=""),  # sealed: central.people.words
    Index("ux_handover_open_alarm", "alarm", unique=True, sqlite_where=text("state = 'offered'"),
          postgresql_where=text("state = 'offered'")),
)  # fmt: skip

call_attempt = Table(
    "call_attempt",
    metadata,
    Column("id", ID16, primary_key=True),
    Column("alarm", ID16, nullable=False),
    Column("called", String(16), nullable=False),  # resident | contact | team | emergency
    Column("contact", ID16),
    Column("result", String(16), nullable=False),  # answered | no_answer | wrong_number | busy
    Column("at_ms", MS, nullable=False),
    Column("actor", String(32), nullable=False),
    Column("actor_name", String(128), nullable=False),
    Index("ix_call_attempt_alarm_at_ms", "alarm", "at_ms"),
)

# What to do, written for the substitute on night duty. Ours are in the catalogue; a tenant's own stand here, for a kind
# of alarm (and perhaps a criterion) or for a service. A card never changes: an edit is a new version.
routine_card = Table(
    "routine_card",
    metadata,
    Column("id", ID16, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("tenant", ID16, nullable=False),
    Column("kind", String(32), nullable=False, server_default=""),
    Column("service", String(16), nullable=False, server_default=""),
    Column("criterion", String(32), nullable=False, server_default=""),
    Column("content", Text, nullable=False),  # JSON: central.routines.cards.CardText
    Column("state", String(16), nullable=False),  # active | replaced | ended
    Column("written_ms", MS, nullable=False),
    Column("written_by", String(32), nullable=False),
    Column("why", String(256), nullable=False, server_default=""),
    Index("ux_routine_card_active_id", "id", unique=True, sqlite_where=text("state = 'active'"),
          postgresql_where=text("state = 'active'")),
    Index("ux_routine_card_active_subject", "tenant", "kind", "service", "criterion", unique=True,
          sqlite_where=text("state = 'active'"), postgresql_where=text("state = 'active'")),
)  # fmt: skip

# A tenant's criteria, the whole short list at once. An alarm names a version of it and one of its criteria.
criteria_list = Table(
    "criteria_list",
    metadata,
    Column("tenant", ID16, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("content", Text, nullable=False),  # JSON: central.routines.criteria.CriteriaList; "" is the one we ship
    Column("written_ms", MS, nullable=False),
    Column("written_by", String(32), nullable=False),
    Column("why", String(256), nullable=False, server_default=""),
)

# What a tenant's alarms may turn out to have been, the whole list at once. A closed alarm names tenant and version.
outcome_list = Table(
    "outcome_list",
    metadata,
    Column("tenant", ID16, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("content", Text, nullable=False),  # JSON: central.outcomes.OutcomeList
    Column("written_ms", MS, nullable=False),
    Column("written_by", String(32), nullable=False),
    Column("why", String(256), nullable=False, server_default=""),
)

# Many technical alarms of one area, operator or firmware at once: one row for people, the alarms visible under it.
incident = Table(
    "incident",
    metadata,
    Column("id", ID16, primary_key=True),
    Column("cell", String(128), nullable=False),  # what they have in common: "unit:…", "operator:…", "software:…"
    Column("kind", String(32), nullable=False),  # central.technical.cells.family
    Column("tenant", ID16),  # NULL: of several tenants
    Column("unit", ID16),
    Column("state", String(16), nullable=False),  # open | over | closed
    Column("count", Integer, nullable=False),
    Column("critical", Integer, nullable=False),  # how many of them at a critical resident
    Column("size", Integer, nullable=False, server_default="0"),  # hubs in the cell when it was opened
    Column("still_open", Integer, nullable=False, server_default="0"),  # members that are open
    Column("opened_ms", MS, nullable=False),
    Column("last_ms", MS, nullable=False),  # when the newest member was raised
    Column("ended_ms", MS),  # when the last member ended
    Column("owner", String(32)),
    Column("owner_name", String(128)),
    Column("claimed_ms", MS),
    Column("note", Text),  # sealed
    Column("noted_version", Integer, nullable=False, server_default="0"),  # the first that had this note
    Column("outcome", String(32)),
    Column("closed_ms", MS),
    Column("closed_by", String(128)),
    Column("version", Integer, nullable=False, server_default="1"),
    Index("ux_incident_open_cell_kind", "cell", "kind", unique=True, sqlite_where=text("state <> 'closed'"),
          postgresql_where=text("state <> 'closed'")),
)  # fmt: skip

# Work that was announced, or somebody away: its technical alarms wait quietly until the end time.
maintenance = Table(
    "maintenance",
    metadata,
    Column("id", ID16, primary_key=True),
    Column("scope", String(16), nullable=False),  # tenant | unit | hub | device | resident
    Column("ref", String(280), nullable=False),
    Column("kind", String(16), nullable=False),  # maintenance | absence
    Column("from_ms", MS, nullable=False),
    Column("to_ms", MS, nullable=False),
    Column("why", Text, nullable=False),  # sealed when it is about one home
    Column("written_by", String(32), nullable=False),
    Column("ended_ms", MS),
    Column("written_name", String(128), nullable=False, server_default=""),
    Column("made_ms", MS, nullable=False, server_default="0"),
    Column("tenant", ID16),  # whose it is; NULL: nobody's yet
    Column("unit", ID16),
    Column("ended_by", String(32)),
    Index("ix_maintenance_ref_to_ms", "ref", "to_ms"),
    Index("ix_maintenance_running_to_ms", "to_ms", sqlite_where=text("ended_ms IS NULL"),
          postgresql_where=text("ended_ms IS NULL")),
)  # fmt: skip

# What the auditor saw and said, so that silence of the auditor itself is noticed.
audit_mark = Table(
    "audit_mark",
    metadata,
    Column("name", String(48), primary_key=True),
    Column("at_ms", MS, nullable=False),
    Column("content", Text, nullable=False, server_default="{}"),
)
