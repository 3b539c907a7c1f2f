"""The tables of central, as SQLAlchemy Core. Columns that end in `_ms` are milliseconds UTC by central's clock.

Hub ids, epochs, alarm ids and command ids are sixteen hex digits. Lists and maps are JSON text, so that SQLite and
PostgreSQL hold the same. The schema itself is made by central/migrations; a test compares the two.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

ID16 = String(16)
NUMBER = BigInteger().with_variant(Integer(), "sqlite")  # SQLite counts upwards only in INTEGER PRIMARY KEY
MS = BigInteger()

central_state = Table(
    "central_state",
    metadata,
    Column("name", String(32), primary_key=True),  # "lineage", "probe"
    Column("value", Text, nullable=False),
)

# Rows that are locked until commit, so that numbers come out in the order of commits: "feed" and "log".
counter = Table(
    "counter",
    metadata,
    Column("name", String(16), primary_key=True),
    Column("value", BigInteger, nullable=False),
    Column("hash", String(64), nullable=False, server_default=""),
)

hub = Table(
    "hub",
    metadata,
    Column("id", ID16, primary_key=True),
    Column("label", String(64), nullable=False, server_default=""),
    Column("public_key", LargeBinary, nullable=False),
    Column("suite", Integer, nullable=False),  # agreed at enrolment; less is refused
    Column("state", String(16), nullable=False, server_default="active"),  # active | revoked
    Column("enrolled_ms", MS, nullable=False),
    Column("software", String(64), nullable=False, server_default=""),
    Column("config_hash", String(64), nullable=False, server_default=""),
    Column("epoch", ID16),  # the run heard last
    Column("presence", String(16), nullable=False, server_default="new"),  # new | present | late | silent
    Column("presence_ms", MS, nullable=False, server_default="0"),  # since when
    Column("is_critical", Boolean, nullable=False, server_default=text("false")),
    Column("tenant", ID16),
    Column("unit", ID16),
    Column("place_version", Integer, nullable=False, server_default="1"),  # of tenant and unit
    Column("operator", String(64), nullable=False, server_default=""),  # of the mobile network, where it is known
)

# What several processes of central tell each other about whom they heard. One process alone keeps it in memory.
hub_heard = Table(
    "hub_heard",
    metadata,
    Column("hub", ID16, primary_key=True),
    Column("heard_ms", MS, nullable=False),
    Column("epoch", ID16, nullable=False),
    Column("content", Text, nullable=False),  # JSON: paths with their times, and what waits
    Index("ix_hub_heard_heard_ms", "heard_ms"),
)

# When a hub was heard: a UTC day, four hours to a column, a bit for each five minutes of them, the first one lowest.
# Hub "" is central itself: when it listened. The day comes first in the key, so that what is written together lies
# together, and what is too old goes together. See central.availability.
hub_day = Table(
    "hub_day",
    metadata,
    Column("day", Integer, primary_key=True, autoincrement=False),  # since 1970
    Column("hub", ID16, primary_key=True),
    *(Column(f"heard_{hour:02d}", BigInteger, nullable=False) for hour in range(0, 24, 4)),
    sqlite_with_rowid=False,
)

hub_epoch = Table(
    "hub_epoch",
    metadata,
    Column("hub", ID16, primary_key=True),
    Column("epoch", ID16, primary_key=True),
    Column("header", LargeBinary, nullable=False),
    Column("before_epoch", ID16),
    Column("before_last", Text, nullable=False, server_default="{}"),  # {"1": last seq of lane 1, ...}
    Column("before_is_clean", Boolean),
    Column("suite", Integer, nullable=False),
    Column("central_key", ID16, nullable=False),
    Column("boot_id", String(32), nullable=False),
    Column("started_ms", MS, nullable=False),  # the hub's clock
    Column("software", String(64), nullable=False),
    Column("first_seen_ms", MS, nullable=False),
    Index("ix_hub_epoch_hub_before_epoch", "hub", "before_epoch"),
)

sender_window = Table(
    "sender_window",
    metadata,
    Column("hub", ID16, primary_key=True),
    Column("epoch", ID16, primary_key=True),
    Column("window", LargeBinary, nullable=False),  # cloud_sync.frames.ReplayWindow
    Column("updated_ms", MS, nullable=False),
)

high_water = Table(
    "high_water",
    metadata,
    Column("hub", ID16, primary_key=True),
    Column("epoch", ID16, primary_key=True),
    Column("lane", Integer, primary_key=True),
    Column("stored", Text, nullable=False),  # [[first, last], ...]; gaps and unopened count as stored
    Column("unopened", Text, nullable=False, server_default="[]"),
    Column("gaps", Text, nullable=False, server_default="[]"),  # dropped by the hub for want of space
    Column("updated_ms", MS, nullable=False),
)

event = Table(
    "event",
    metadata,
    Column("hub", ID16, primary_key=True),
    Column("epoch", ID16, primary_key=True),
    Column("lane", Integer, primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", Integer),  # code of cloud_sync.vocabulary; NULL: unreadable
    Column("device", String(256), nullable=False),
    Column("resident", String(256)),
    Column("value", Text),  # JSON; what was measured of people: [value, details], sealed (central.people.words)
    Column("details", Text),  # JSON
    Column("rule", String(256)),
    Column("count", Integer, nullable=False),
    Column("hub_ms", MS, nullable=False),  # the hub's wall clock
    Column("boot_ms", MS, nullable=False),
    Column("is_wall_trusted", Boolean, nullable=False),
    Column("device_ms", MS),
    Column("happened_ms", MS, nullable=False),  # corrected to central's clock
    Column("received_ms", MS, nullable=False),
    Column("unreadable", String(64)),  # why, when it could not be opened or understood
    Index("ix_event_happened_ms", "happened_ms"),
    sqlite_with_rowid=False,
)

# The sealed bytes as they came: of alarm and care, and of everything that could not be read. What was measured of
# people is sealed once more, with the key that opens the event.
event_raw = Table(
    "event_raw",
    metadata,
    Column("hub", ID16, primary_key=True),
    Column("epoch", ID16, primary_key=True),
    Column("lane", Integer, primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("raw", LargeBinary, nullable=False),
)

# Frames signed by nobody we know, and what lies in authentic ones without being a record. Bounded; for people.
quarantine = Table(
    "quarantine",
    metadata,
    Column("id", NUMBER, primary_key=True),
    Column("sender", ID16, nullable=False),
    Column("lane", Integer),
    Column("path", String(16), nullable=False),
    Column("digest", String(64), nullable=False),  # SHA-256 of the bytes
    Column("content", LargeBinary, nullable=False),
    Column("received_ms", MS, nullable=False),
    Index("ux_quarantine_sender_digest", "sender", "digest", unique=True),
)

_PERSONAL_OPEN = "queue = 'personal' AND closed_ms IS NULL"
_OWNED = "closed_ms IS NULL AND owner IS NOT NULL"
_NAMED = "queue = 'personal' AND outcome IS NOT NULL"
_LOUD = "queue = 'technical' AND closed_ms IS NULL AND incident IS NULL AND quiet IS NULL"
_STRANGERS = "kind = 'unknown_hub' AND closed_ms IS NULL"

alarm = Table(
    "alarm",
    metadata,
    Column("id", ID16, primary_key=True),
    Column("queue", String(16), nullable=False),  # personal | technical | test
    Column("kind", String(32), nullable=False),  # a word of the vocabulary, or of central.lifecycle.CENTRAL_KINDS
    Column("alarm_class", Integer, nullable=False),
    Column("rank", Integer, nullable=False),  # shown by; may rise by repeats and returns
    Column("first_rank", Integer, nullable=False),
    Column("lifted", Integer, nullable=False, server_default="0"),  # how often: orders within a rank, before age
    Column("hub", ID16, nullable=False),
    Column("device", String(256), nullable=False, server_default=""),
    Column("resident", String(256)),
    Column("fold_key", Text, nullable=False),  # repeats join the open alarm with the same key
    Column("condition", String(16), nullable=False, server_default="active"),  # active | cleared
    Column("handling", String(16), nullable=False, server_default="waiting"),  # waiting|claimed|deferred|closed
    Column("dispatch", String(16), nullable=False, server_default="none"),  # none|sent|accepted|on_the_way|on_site
    Column("version", Integer, nullable=False, server_default="1"),
    Column("happened_ms", MS, nullable=False),  # first event, central's clock
    Column("raised_ms", MS, nullable=False),
    Column("committed_ms", MS),
    Column("last_event_ms", MS, nullable=False),
    Column("repeats", Integer, nullable=False, server_default="0"),
    Column("returned", Integer, nullable=False, server_default="0"),  # how often a lease ran out
    Column("sound_no", Integer, nullable=False, server_default="1"),  # rises when it has to sound again
    Column("owner", String(32)),  # user_account.id
    Column("owner_name", String(128)),
    Column("claim_no", Integer, nullable=False, server_default="0"),
    Column("claimed_ms", MS),
    Column("first_claimed_ms", MS),  # time to answer is counted to here
    Column("lease_until_ms", MS),
    Column("closed_ms", MS),
    Column("closed_by", String(128)),
    Column("disposition", String(32)),
    Column("outcome", String(32)),
    Column("outcome_list", String(32), nullable=False, server_default=""),  # whose words: central.routines.outcomes
    Column("help", String(16)),  # which kind of help was needed: health | practical | technical | none
    Column("note", Text),  # sealed: central.people.words
    Column("before_alarm", ID16),  # the closed alarm of the same kind and place before this one
    Column("undo_until_ms", MS),
    Column("undo_by", String(32)),
    Column("undo_to", String(32)),  # the word of the stage that an undo leads back to
    Column("shown_ms", MS),  # first on a console
    Column("lamp_state", String(16)),  # what the hub says that its lamp shows for this alarm
    Column("lamp_version", Integer),
    Column("lamp_ms", MS),
    Column("reassured_ms", MS),  # when the lamp first showed that a person has it
    Column("value", Text),  # JSON, of the newest event about the equipment; of people it is with the event
    Column("details", Text),
    Column("is_complete", Boolean, nullable=False, server_default=text("true")),  # false: known by its stub only
    Column("tenant", ID16),
    Column("unit", ID16),
    Column("criterion", String(80), nullable=False, server_default=""),  # central.routines.criteria: "3/fallen"
    Column("deferred_visit", ID16),  # handling is deferred: the planned visit that it waits for
    Column("deferred_until_ms", MS),  # fixed when it was deferred: it comes back then, wherever the visit is
    Column("escalation_round", Integer, nullable=False, server_default="0"),
    Column("escalation_no", Integer, nullable=False, server_default="0"),  # how often it went on in this round
    Column("incident", ID16),
    Column("quiet", ID16),  # technical: the maintenance or absence that it waits for
    Column("chatters", Boolean, nullable=False, server_default=text("false")),  # technical: came and went and came
    Index("ux_alarm_open_fold_key", "fold_key", unique=True, sqlite_where=text("closed_ms IS NULL"),
          postgresql_where=text("closed_ms IS NULL")),
    Index("ix_alarm_personal_open", "rank", "raised_ms", "id", "handling", "tenant", "unit",
          sqlite_where=text(_PERSONAL_OPEN), postgresql_where=text(_PERSONAL_OPEN)),
    Index("ix_alarm_open_owner", "owner", sqlite_where=text(_OWNED), postgresql_where=text(_OWNED)),
    Index(
        "ix_alarm_open_lease_until_ms",
        "lease_until_ms",
        sqlite_where=text("closed_ms IS NULL"),
        postgresql_where=text("closed_ms IS NULL"),
    ),
    Index("ix_alarm_deferred_visit", "deferred_visit", sqlite_where=text("handling = 'deferred'"),
          postgresql_where=text("handling = 'deferred'")),
    Index("ix_alarm_tenant_outcome", "tenant", "outcome", sqlite_where=text(_NAMED), postgresql_where=text(_NAMED)),
    Index("ix_alarm_technical_raised_ms", "raised_ms", sqlite_where=text(_LOUD), postgresql_where=text(_LOUD)),
    # What the technical page sorts, filters and counts by, so that a hundred thousand are counted without being read.
    Index("ix_alarm_technical_open", "rank", "raised_ms", "id", "kind", "tenant", "unit", sqlite_where=text(_LOUD),
          postgresql_where=text(_LOUD)),
    Index("ix_alarm_technical_counts", "kind", "unit", "tenant", "handling", "rank", sqlite_where=text(_LOUD),
          postgresql_where=text(_LOUD)),
    Index("ix_alarm_incident", "incident", "closed_ms", "rank", "raised_ms", "id",
          sqlite_where=text("incident IS NOT NULL"), postgresql_where=text("incident IS NOT NULL")),
    Index("ix_alarm_quiet", "quiet", sqlite_where=text("quiet IS NOT NULL"),
          postgresql_where=text("quiet IS NOT NULL")),
    Index("ix_alarm_strangers", "hub", sqlite_where=text(_STRANGERS), postgresql_where=text(_STRANGERS)),
    Index("ix_alarm_hub_raised_ms", "hub", "raised_ms"),
    Index("ix_alarm_queue_closed_ms", "queue", "closed_ms", sqlite_where=text("closed_ms IS NOT NULL"),
          postgresql_where=text("closed_ms IS NOT NULL")),
    Index("ix_alarm_happened_ms", "happened_ms", "queue", "tenant", "unit"),
    Index("ix_alarm_fold_key_closed_ms", "fold_key", "closed_ms"),
)  # fmt: skip

alarm_event = Table(
    "alarm_event",
    metadata,
    Column("hub", ID16, primary_key=True),
    Column("epoch", ID16, primary_key=True),
    Column("lane", Integer, primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("alarm", ID16, nullable=False),
    Column("role", String(16), nullable=False),  # raised | repeat | cleared | presence
    Column("happened_ms", MS, nullable=False),
    Index("ix_alarm_event_alarm_happened_ms", "alarm", "happened_ms"),
)

# How long an alarm took on the hub, as the hub measured it: ms since the device was heard.
trace = Table(
    "trace",
    metadata,
    Column("hub", ID16, primary_key=True),
    Column("epoch", ID16, primary_key=True),
    Column("lane", Integer, primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("judged_ms", Float),
    Column("durable_ms", Float),
    Column("sent_ms", Float),
    Column("receipt_ms", Float),
)

# The event log. Each hash covers the one before it and the entry's own content: see central.event_log.
log_entry = Table(
    "log_entry",
    metadata,
    Column("no", BigInteger, primary_key=True, autoincrement=False),
    Column("at_ms", MS, nullable=False),
    Column("what", String(48), nullable=False),
    Column("alarm", ID16),
    Column("hub", ID16),
    Column("actor", String(32), nullable=False),  # user_account.id, or "system", or "hub"
    Column("actor_name", String(128), nullable=False),
    Column("content", Text, nullable=False),  # canonical JSON
    Column("hash", String(64), nullable=False),
    Index("ix_log_entry_alarm_no", "alarm", "no"),
    Index("ix_log_entry_hub_no", "hub", "no"),
)

feed = Table(
    "feed",
    metadata,
    Column("no", BigInteger, primary_key=True, autoincrement=False),
    Column("at_ms", MS, nullable=False),
    Column("topic", String(16), nullable=False),  # alarm | hub | check
    Column("ref", String(32), nullable=False),
    Column("what", String(48), nullable=False),
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", NUMBER, primary_key=True),
    Column("kind", String(16), nullable=False),  # reply
    Column("hub", ID16, nullable=False),
    Column("ref", String(32), nullable=False),
    Column("created_ms", MS, nullable=False),
)

user_account = Table(
    "user_account",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", String(128), nullable=False, unique=True),
    Column("role", String(16), nullable=False),  # responder | lead | technician | installer | administrator
    Column("language", String(8)),
    Column("password_hash", String(256)),
    Column("state", String(16), nullable=False, server_default="active"),  # active | disabled
    Column("created_ms", MS, nullable=False),
    Column("last_sign_in_ms", MS),
    Column("settings", Text, nullable=False, server_default="{}"),  # JSON: theme, keys, sounds
    Column("version", Integer, nullable=False, server_default="1"),  # of role and state
)

session = Table(
    "session",
    metadata,
    Column("token_hash", String(64), primary_key=True),
    Column("account", String(32), nullable=False),
    Column("csrf", String(64), nullable=False),
    Column("created_ms", MS, nullable=False),
    Column("expires_ms", MS, nullable=False),
    Column("last_used_ms", MS, nullable=False),
    Column("ended_ms", MS),
    Index("ix_session_account", "account"),
    Index("ix_session_csrf", "csrf"),
)

login_link = Table(
    "login_link",
    metadata,
    Column("token_hash", String(64), primary_key=True),
    Column("account", String(32), nullable=False),
    Column("created_ms", MS, nullable=False),
    Column("expires_ms", MS, nullable=False),
    Column("used_ms", MS),
)

enrolment_code = Table(
    "enrolment_code",
    metadata,
    Column("secret_hash", String(64), primary_key=True),
    Column("label", String(64), nullable=False, server_default=""),
    Column("created_ms", MS, nullable=False),
    Column("expires_ms", MS, nullable=False),
    Column("created_by", String(32), nullable=False),
    Column("used_ms", MS),
    Column("hub", ID16),
)

command = Table(
    "command",
    metadata,
    Column("id", ID16, primary_key=True),
    Column("hub", ID16, nullable=False),
    Column("epoch", ID16, nullable=False),
    Column("number", BigInteger, nullable=False),  # rises within the hub's epoch
    Column("name", String(32), nullable=False),
    Column("arguments", Text, nullable=False),
    Column("actor", String(32), nullable=False),
    Column("created_ms", MS, nullable=False),
    Column("expires_ms", MS, nullable=False),
    Column("state", String(16), nullable=False),  # wanted | sent | answered | no_answer | no_link
    Column("answered_ms", MS),
    Column("result", Text),  # JSON
    Index("ux_command_hub_epoch_number", "hub", "epoch", "number", unique=True),
    Index(
        "ix_command_wanted",
        "created_ms",
        sqlite_where=text("state = 'wanted'"),
        postgresql_where=text("state = 'wanted'"),
    ),
)

command_part = Table(
    "command_part",
    metadata,
    Column("command", ID16, primary_key=True),  # its answer came to another process than the one that asked
    Column("part", Integer, primary_key=True, autoincrement=False),
    Column("is_last", Boolean, nullable=False),
    Column("content", Text, nullable=False),  # JSON
)

health_check = Table(
    "health_check",
    metadata,
    Column("id", ID16, primary_key=True),  # the command's
    Column("hub", ID16, nullable=False),
    Column("actor", String(32), nullable=False),
    Column("asked_ms", MS, nullable=False),
    Column("answered_ms", MS),
    Column("state", String(16), nullable=False),  # waiting | answered | no_answer | no_link
    Column("result", Text),  # JSON: {"version": 1, "lines": [...]}
    Index("ix_health_check_hub_asked_ms", "hub", "asked_ms"),
)

security_event = Table(
    "security_event",
    metadata,
    Column("id", NUMBER, primary_key=True),
    Column("at_ms", MS, nullable=False),
    Column("reason", String(48), nullable=False),
    Column("hub", ID16),  # as claimed; not verified
    Column("path", String(16), nullable=False),
    Column("count", Integer, nullable=False),
    Column("detail", String(256), nullable=False, server_default=""),
    Index("ix_security_event_at_ms", "at_ms"),
)

resident = Table(
    "resident",
    metadata,
    Column("pseudonym", String(32), primary_key=True),
    Column("label", String(128), nullable=False, server_default=""),
    Column("hub", ID16),
    Column("is_critical", Boolean, nullable=False, server_default=text("false")),
    Column("tenant", ID16),
    Column("unit", ID16),
    Column("reference", String(64)),  # keyed hash of the municipality's own reference
    Column("state", String(16), nullable=False, server_default="active"),  # active | ended | erased
    Column("created_ms", MS, nullable=False, server_default="0"),
    Column("version", Integer, nullable=False, server_default="1"),
    Index("ix_resident_tenant_unit", "tenant", "unit"),
    Index("ux_resident_tenant_reference", "tenant", "reference", unique=True),
)
