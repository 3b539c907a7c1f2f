"""The SQL that differs from lane to lane, written once per lane."""
# ruff: noqa: S608  # the only thing put into a text is a lane's word, from a closed list

from __future__ import annotations

from dataclasses import dataclass

from cloud_sync.identity import Lane


@dataclass(frozen=True, slots=True)
class LaneSql:
    """Statements on one lane's table."""

    insert: str
    insert_memo: str
    first: str
    last: str
    memos: str
    sizes: str
    rows: str
    delete: str
    run: str
    head: str
    tail: str
    walk: str
    lengths: str


def _lane_sql(table: str) -> LaneSql:
    between = f"FROM {table} WHERE id BETWEEN ? AND ?"
    return LaneSql(
        insert=f"INSERT OR IGNORE INTO {table} (id, raw) VALUES (?, ?)",
        insert_memo=f"INSERT OR IGNORE INTO {table} (id, raw, memo) VALUES (?, ?, ?)",
        first=f"SELECT min(id) {between}",
        last=f"SELECT max(id) {between}",
        memos=f"SELECT memo FROM {table} WHERE id > ? AND memo IS NOT NULL ORDER BY id",
        sizes=f"SELECT avg(length(raw)) FROM (SELECT raw FROM {table} ORDER BY id DESC LIMIT 20)",
        rows=f"SELECT id, raw {between} ORDER BY id LIMIT ?",
        delete=f"DELETE {between}",
        run=f"SELECT max(id), count(*) FROM (SELECT id {between} ORDER BY id LIMIT ?)",
        head=f"SELECT id FROM {table} ORDER BY id LIMIT ?",
        tail=f"SELECT id, raw FROM {table} ORDER BY id DESC",
        lengths=f"SELECT id, length(raw) FROM {table} ORDER BY id",
        walk=f"SELECT id FROM {table} WHERE id > ? ORDER BY id LIMIT ?",
    )


LANE_SQL = {lane: _lane_sql(lane.word) for lane in Lane}
