-- alarm.db, version 1: the lanes alarm and care.
--
-- id = epoch number << 40 | seq, so that the order of a table is the order of a lane, a receipt's range is a range of
-- ids, new rows go to the end, and no index is written besides. Records stay in one piece in their page for carving.
-- memo: what the record's device asked to remember, as JSON [tick, {key: value}], until it is folded into `memory`:
-- one page less to write per alarm.
CREATE TABLE alarm (id INTEGER PRIMARY KEY, raw BLOB NOT NULL, memo TEXT);
CREATE TABLE care (id INTEGER PRIMARY KEY, raw BLOB NOT NULL, memo TEXT);

-- ended: NULL, or JSON {lane: last seq} when the daemon stopped in good order.
CREATE TABLE epoch (no INTEGER PRIMARY KEY, epoch BLOB NOT NULL, header BLOB NOT NULL, ended TEXT);

-- Settled records that stay for a while: closed ranges of ids, and the day (since 1970) they were settled;
-- day 0: settled by a central that has lost them since, so that they are offered again.
CREATE TABLE kept (
    lane INTEGER NOT NULL, day INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
    PRIMARY KEY (lane, day, first)
) WITHOUT ROWID;

-- Records that will never come: closed ranges of ids.
CREATE TABLE gap (
    lane INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
    PRIMARY KEY (lane, first)
) WITHOUT ROWID;

-- tick: which of two entries is the newer, over both files. An empty text means forgotten.
CREATE TABLE memory (key TEXT PRIMARY KEY, value NOT NULL, tick INTEGER NOT NULL) WITHOUT ROWID;

CREATE TABLE meta (key TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
