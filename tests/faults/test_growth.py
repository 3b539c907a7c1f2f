"""A program that grows is found out, and one that has warmed up is not."""

from __future__ import annotations

import os

import pytest

from simulators.faults import growth

MIB = 1024 * 1024


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(growth.time, "monotonic", lambda: now[0])
    return now


def looked_on(clock, monkeypatch, sizes_mib, every_s=10.0):
    looking = growth.Looking()
    for size in sizes_mib:
        told = growth.Size(rss_bytes=size * MIB, fds=1, threads=1)
        monkeypatch.setattr(growth, "size_of", lambda _pid, told=told: told)
        looking.look(7)
        clock[0] += every_s
    return looking.grown("hub", 7)


def test_what_grows_to_the_end_leaks(clock, monkeypatch):
    found = looked_on(clock, monkeypatch, [60 + 2 * number for number in range(20)])
    assert found
    assert found[0].startswith("hub still grows: ")


def test_what_was_as_large_at_half_time_does_not(clock, monkeypatch):
    assert looked_on(clock, monkeypatch, [60, 75, 85, 90, 91, 92, 92, 91, 93, 92, 94, 95, 95, 96, 96]) == []


def test_a_burst_at_the_very_end_is_no_growth(clock, monkeypatch):
    assert looked_on(clock, monkeypatch, [70] * 18 + [95, 97]) == []


def test_what_is_kept_of_every_fault_is_growth(clock, monkeypatch):
    assert looked_on(clock, monkeypatch, [60 + 5 * (number // 2) for number in range(20)])


def test_a_short_life_is_judged_by_its_beginning_alone(clock, monkeypatch):
    assert looked_on(clock, monkeypatch, [60, 60, 90, 95], every_s=5.0) == []
    before, after = (growth.Size(rss_bytes=size * MIB, fds=20, threads=4) for size in (60, 101))
    assert growth.grown("hub", before, after) == [f"hub has grown from {60 * MIB} to {101 * MIB} bytes of memory"]


def test_a_process_is_measured_by_what_the_kernel_says_of_it():
    size = growth.size_of(os.getpid())
    assert size is not None
    assert 10 * MIB < size.rss_bytes < 4096 * MIB
    assert growth.size_of(2**22 + 1) is None


def test_a_bounded_cache_may_fill_as_far_as_there_is_something_to_keep(tmp_path):
    database = tmp_path / "central.db"
    assert growth.cached_of(database) == 0
    database.write_bytes(bytes(3 * MIB))
    (tmp_path / "central.db-wal").write_bytes(bytes(MIB))
    assert growth.cached_of(database) == 4 * MIB
    before, after = (growth.Size(rss_bytes=size * MIB, fds=20, threads=4) for size in (60, 103))
    assert growth.grown("central", before, after, 4 * MIB) == []
    assert growth.grown("central", before, after, 2 * MIB)
