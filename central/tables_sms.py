"""Tables of what comes and goes by SMS: stubs of alarms, probes, and the answers to them."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, String, Table, text

from central.tables import ID16, MS, NUMBER, metadata

# One per stub that was heard, kept for ever: an old one that is played again has no effect.
stub = Table(
    "stub",
    metadata,
    Column("hub", ID16, primary_key=True),
    Column("epoch", ID16, primary_key=True),
    Column("lane", Integer, primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("alarm", ID16),  # NULL: nothing that a person answers
    Column("number", String(20), nullable=False),  # where it came from first, and where answers go
    Column("received_ms", MS, nullable=False),
    Column("completed_ms", MS),  # when the full record had come
    Column("told", Integer),  # the last state the hub was told by SMS (cloud_sync.stub_answer.AnswerState)
    Column("told_ms", MS),
    Column("asked_ms", MS, nullable=False),  # when it came last
    Index("ix_stub_alarm", "alarm"),
)

# The way by SMS to each hub, as its probes and stubs show it.
hub_sms = Table(
    "hub_sms",
    metadata,
    Column("hub", ID16, primary_key=True),
    Column("heard_ms", MS, nullable=False),
    Column("probe_ms", MS),  # last probe, central's clock
    Column("probe_epoch", ID16),
    Column("probe_hub_ms", MS),  # the hub's clock in it
    Column("answered_ms", MS),  # last answer by machine
)

# Answers that are due or were given. A row says whom to answer; what is said is made when it is sent.
sms_answer = Table(
    "sms_answer",
    metadata,
    Column("id", NUMBER, primary_key=True),
    Column("hub", ID16, nullable=False),
    Column("epoch", ID16, nullable=False),
    Column("lane", Integer, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("number", String(20), nullable=False),
    Column("is_asked", Boolean, nullable=False, server_default=text("false")),  # also when nothing has changed
    Column("created_ms", MS, nullable=False),
    Column("due_ms", MS, nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("state", Integer),  # what was said
    Column("reference", String(64)),  # the provider's
    Column("done_ms", MS),  # the provider has it, or it was given up
    Column("delivered_ms", MS),
    Column("error", String(96)),
    Index("ix_sms_answer_due", "due_ms", sqlite_where=text("done_ms IS NULL"),
          postgresql_where=text("done_ms IS NULL")),
    Index("ix_sms_answer_reference", "reference"),
    Index("ix_sms_answer_done_ms", "done_ms"),
)  # fmt: skip
