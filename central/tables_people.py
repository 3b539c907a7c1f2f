"""Tables of the people and places that central serves. What names a person is sealed with a key per resident.

JSON and times as in `central.tables`. Nothing cascades: history names who somebody was.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, String, Table, Text, text

from central.tables import ID16, MS, NUMBER, metadata

# A municipality. Every alarm, resident and hub belongs to one; a response centre may serve many.
tenant = Table(
    "tenant",
    metadata,
    Column("id", ID16, primary_key=True),
    Column("name", String(128), nullable=False, unique=True),
    Column("zone", String(64), nullable=False, server_default="Europe/Oslo"),
    Column("language", String(8), nullable=False, server_default="nb"),
    Column("settings", Text, nullable=False, server_default="{}"),  # JSON: central.people.tenants.TenantSettings
    Column("state", String(16), nullable=False, server_default="active"),  # active | ended
    Column("created_ms", MS, nullable=False),
    Column("version", Integer, nullable=False, server_default="1"),
)

# A zone, a ward or a house of a tenant; units may lie in one another.
unit = Table(
    "unit",
    metadata,
    Column("id", ID16, primary_key=True),
    Column("tenant", ID16, nullable=False),
    Column("parent", ID16),
    Column("kind", String(16), nullable=False),  # zone | ward | house
    Column("name", String(128), nullable=False),
    Column("settings", Text, nullable=False, server_default="{}"),  # JSON; presence_claims for a ward (tenant's rule)
    Column("state", String(16), nullable=False, server_default="active"),
    Column("version", Integer, nullable=False, server_default="1"),
    Index("ux_unit_tenant_name", "tenant", "name", unique=True),
)

# Who receives alarms together: the desks of a centre, a patrol, the staff of a ward, the technicians.
team = Table(
    "team",
    metadata,
    Column("id", ID16, primary_key=True),
    Column("kind", String(16), nullable=False),  # centre | patrol | ward | technical
    Column("name", String(128), nullable=False),
    Column("tenant", ID16),  # NULL: serves those named in team_tenant
    Column("unit", ID16),
    Column("phone", String(32), nullable=False, server_default=""),  # a duty telephone, nobody's own
    Column("email", String(254), nullable=False, server_default=""),
    Column("state", String(16), nullable=False, server_default="active"),
    Column("version", Integer, nullable=False, server_default="1"),
    # A name is one municipality's own: what another one calls its teams is not told by a refusal.
    Index("ux_team_tenant_name", "tenant", "name", unique=True),
    Index("ix_team_name", "name"),
    Index("ux_team_shared_name", "name", unique=True,
          sqlite_where=text("tenant IS NULL"), postgresql_where=text("tenant IS NULL")),
)  # fmt: skip

team_tenant = Table(
    "team_tenant",
    metadata,
    Column("team", ID16, primary_key=True),
    Column("tenant", ID16, primary_key=True),
)

team_member = Table(
    "team_member",
    metadata,
    Column("team", ID16, primary_key=True),
    Column("account", String(32), primary_key=True),
)

# A role of an account beyond the whole installation: in a tenant, or in a unit of it and what lies in that.
assignment = Table(
    "assignment",
    metadata,
    Column("id", ID16, primary_key=True),
    Column("account", String(32), nullable=False),
    Column("role", String(16), nullable=False),
    Column("tenant", ID16),  # NULL: every tenant
    Column("unit", ID16),  # NULL: every unit of the tenant
    Column("from_ms", MS, nullable=False),
    Column("to_ms", MS),
    Column("given_by", String(32), nullable=False),
    Index("ix_assignment_account", "account"),
)

# One thing known about a resident, sealed; a newer one ends the older, which is kept with its author.
resident_fact = Table(
    "resident_fact",
    metadata,
    Column("id", ID16, primary_key=True),
    Column("resident", String(32), nullable=False),
    Column("kind", String(24), nullable=False),  # central.people.facts.FactKind
    Column("sealed", LargeBinary, nullable=False),
    Column("source", String(64), nullable=False),  # who says so: "resident", "next_of_kin", "epj", ...
    Column("as_of_ms", MS, nullable=False),  # when it was true according to the source
    Column("written_ms", MS, nullable=False),
    Column("written_by", String(32), nullable=False),
    Column("ended_ms", MS),
    Column("ended_by", String(32)),
    Index("ix_resident_fact_resident_ended_ms", "resident", "ended_ms"),
)

# Next of kin and others, in the order in which they are to be called; under an agreement.
contact = Table(
    "contact",
    metadata,
    Column("id", ID16, primary_key=True),
    Column("resident", String(32), nullable=False),
    Column("position", Integer, nullable=False),
    Column("sealed", LargeBinary, nullable=False),  # name, relation, telephone, language
    Column("agreement", Text, nullable=False, server_default="{}"),  # JSON: central.people.contacts.Agreement
    Column("source", String(64), nullable=False),
    Column("as_of_ms", MS, nullable=False),
    Column("written_ms", MS, nullable=False),
    Column("written_by", String(32), nullable=False),
    Column("ended_ms", MS),
    Column("ended_by", String(32)),
    Column("version", Integer, nullable=False, server_default="1"),
    Index("ix_contact_resident_position", "resident", "position"),
)

# What a resident has been granted, and by which plan its alarms are answered.
service = Table(
    "service",
    metadata,
    Column("id", ID16, primary_key=True),
    Column("resident", String(32), nullable=False),
    Column("kind", String(16), nullable=False),  # central.people.services.ServiceKind: TA, DT, RT, MD, GPS, DHO
    Column("plan", ID16),  # NULL: the tenant's plan for the service
    Column("from_ms", MS, nullable=False),
    Column("to_ms", MS),
    Column("source", String(64), nullable=False),  # who says so, as of a fact
    Column("as_of_ms", MS, nullable=False),
    Column("written_by", String(32), nullable=False),
    Column("version", Integer, nullable=False, server_default="1"),
    Index("ix_service_resident", "resident"),
)

# A visit on somebody's work list: "next visit" binds an alarm to one of these.
visit = Table(
    "visit",
    metadata,
    Column("id", ID16, primary_key=True),
    Column("resident", String(32), nullable=False),
    Column("team", ID16),
    Column("from_ms", MS, nullable=False),
    Column("to_ms", MS, nullable=False),
    Column("state", String(16), nullable=False, server_default="planned"),  # planned | done | missed | cancelled
    Column("source", String(64), nullable=False),
    Column("reference", String(64), nullable=False, server_default=""),  # the work list's own name for it
    Column("changed_ms", MS, nullable=False),
    Column("changed_by", String(32), nullable=False),
    Column("version", Integer, nullable=False, server_default="1"),
    Index("ix_visit_resident_from_ms", "resident", "from_ms"),
    Index("ix_visit_planned_to_ms", "to_ms", sqlite_where=text("state = 'planned'"),
          postgresql_where=text("state = 'planned'")),
)  # fmt: skip

# Who has looked at what about whom, and why. Written in the transaction that reads.
access_entry = Table(
    "access_entry",
    metadata,
    Column("no", NUMBER, primary_key=True),
    Column("at_ms", MS, nullable=False),
    Column("actor", String(32), nullable=False),
    Column("actor_name", String(128), nullable=False),
    Column("resident", String(32), nullable=False),
    Column("what", String(64), nullable=False),  # kinds of facts, "contacts", "search", ...
    Column("purpose", String(16), nullable=False),  # alarm | visit | administration | break_glass
    Column("ref", String(32)),  # the alarm or the visit
    Column("reason", Text, nullable=False, server_default=""),  # for break-glass: why; typed ones sealed
    Index("ix_access_entry_resident_no", "resident", "no"),
    Index("ix_access_entry_actor_no", "actor", "no"),
)

# Besides those of residents: of what is known of nobody in particular in a home ("hub/<id>/<number>"), and of what is
# written about an incident ("incident/<id>").
resident_key = Table(
    "resident_key",
    metadata,
    Column("resident", String(32), primary_key=True),
    Column("wrapped", LargeBinary),  # sealed under the master key; NULL: erased, and with it all that it opened
    Column("master", ID16, nullable=False),  # which master key
    Column("made_ms", BigInteger, nullable=False),
    Column("erased_ms", MS),
    Column("is_held", Boolean, nullable=False, server_default=text("false")),  # a legal hold keeps it from erasure
)
