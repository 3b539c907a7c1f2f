"""What is kept of people is sealed: what the database holds, what rotation and erasure leave of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from central.errors import KeysError
from central.people.facts import FactKind
from central.people.keeping import AlarmOpenError
from central.people.master import MasterFiles, MasterKeys
from central.people.people import OPENED
from central.people.vault import DamagedError, ErasedError, HeldError
from central.views import Actor

ADMIN = Actor(id="admin", name="Ada Nes", role="administrator")
LEAD = Actor(id="lead", name="Lead One", role="lead")
PLAIN = ("Ragnhild", "Myklebust", "Solbakken", "4471-hemmelig", "Insulin", "Sunniva", "900 00 001", "ref-1234567")


async def test_nothing_in_the_database_names_anybody(town: Any, capsys: pytest.CaptureFixture[str]) -> None:
    resident = await town.resident(reference="ref-1234567")
    await town.people.reveal(LEAD, town.in_aure, resident, FactKind.KEY_CODE, keeps=True)
    await town.people.search(LEAD, town.in_aure, "myklebust", keeps=True)
    held = await town.held()
    assert resident.encode() in held
    assert [text for text in PLAIN if text.encode() in held] == []
    said = capsys.readouterr()
    assert [text for text in PLAIN if text in said.out + said.err] == []


async def test_a_sealed_text_opens_for_its_own_resident_row_and_kind_only(town: Any) -> None:
    resident, other = await town.resident(), await town.resident("r-2")
    async with town.bench.store.write() as connection:
        key = await town.people.vault.known_key(connection, resident)
        strange = await town.people.vault.known_key(connection, other)
    sealed = key.seal("00" * 8, "address", "Solbakken 214")
    assert key.open("00" * 8, "address", sealed) == "Solbakken 214"
    damaged = sealed[:-1] + bytes([sealed[-1] ^ 1])
    for opener, ref, kind, blob in (
        (strange, "00" * 8, "address", sealed),
        (key, "11" * 8, "address", sealed),
        (key, "00" * 8, "health", sealed),
        (key, "00" * 8, "address", damaged),
        (key, "00" * 8, "address", b"\x02" + sealed[1:]),
        (key, "00" * 8, "address", b""),
    ):
        with pytest.raises(DamagedError) as caught:
            opener.open(ref, kind, blob)
        assert "Solbakken" not in str(caught.value)
    assert "Solbakken" not in repr(key)


async def test_a_key_that_does_not_unwrap_hides_its_own_resident_and_nobody_else(town: Any) -> None:
    await town.resident()
    await town.resident("r-2")
    assert (await town.people.search(LEAD, town.in_aure, "myklebust", keeps=True))[1] == 2
    await town.bench.change(
        "UPDATE resident_key SET wrapped = (SELECT k.wrapped FROM resident_key k WHERE k.resident = 'r-1')"
        " WHERE resident = 'r-2'"
    )
    found, total = await town.people.search(LEAD, town.in_aure, "myklebust", keeps=True)
    assert ([hit.resident.pseudonym for hit in found], total) == (["r-1"], 1)
    everybody, _ = await town.people.search(LEAD, town.in_aure, "", keeps=True)
    assert [(hit.resident.pseudonym, hit.name) for hit in everybody] == [("r-2", ""), ("r-1", "Ragnhild Myklebust")]


async def test_a_fact_that_was_moved_to_another_resident_does_not_open(town: Any) -> None:
    await town.resident()
    await town.resident("r-2")
    await town.bench.change(
        "UPDATE resident_fact SET sealed = (SELECT f.sealed FROM resident_fact f WHERE f.resident = 'r-1'"
        " AND f.kind = 'address') WHERE resident = 'r-2' AND kind = 'address'"
    )
    with pytest.raises(DamagedError):
        await town.people.card(LEAD, town.in_aure, "r-2", keeps=True)


async def test_erasing_a_resident_leaves_nothing_that_opens(town: Any) -> None:
    resident = await town.resident()
    await town.people.keeping.erase(LEAD, resident)
    with pytest.raises(ErasedError):
        await town.people.card(LEAD, town.in_aure, resident, keeps=True)
    with pytest.raises(ErasedError):
        await town.people.keeping.record(LEAD, resident, FactKind.KNOW, "x", source="other")
    assert await town.bench.value("SELECT wrapped FROM resident_key WHERE resident = 'r-1'") is None
    assert (await town.people.search(LEAD, town.in_aure, "", keeps=True))[1] == 0
    await town.people.keeping.erase(LEAD, resident)  # twice is once


async def test_an_open_alarm_or_a_legal_hold_keeps_from_erasure(town: Any) -> None:
    resident = await town.resident()
    await town.bench.change("UPDATE resident_key SET is_held = true")
    with pytest.raises(HeldError):
        await town.people.keeping.erase(LEAD, resident)
    assert await town.bench.value("SELECT state FROM resident WHERE pseudonym = 'r-1'") == "active"
    await town.bench.change("UPDATE resident_key SET is_held = false")
    hub = await town.bench.enrolled()
    await town.bench.press(hub, resident=resident)
    with pytest.raises(AlarmOpenError):
        await town.people.keeping.erase(LEAD, resident)


async def test_rotation_wraps_every_key_again_and_the_old_master_opens_nothing(town: Any, open_bench: Any) -> None:
    resident = await town.resident(reference="A-1")
    settings = town.bench.services.settings
    old = settings.master_key.file.read_bytes()
    before = await town.bench.value("SELECT master FROM resident_key")
    count, kept = await town.people.rotate_master(ADMIN)
    assert count == 1
    assert Path(kept).read_bytes() == old
    assert Path(kept).stat().st_mode & 0o777 == 0o600
    assert settings.master_key.file.read_bytes() != old
    assert await town.bench.value("SELECT master FROM resident_key") != before
    assert (await town.people.card(LEAD, town.in_aure, resident, keeps=True)).name == "Ragnhild Myklebust"
    Path(kept).unlink()
    async with open_bench() as again:
        card = await again.services.people.card(LEAD, town.in_aure, resident, keeps=True)
        assert card.name == "Ragnhild Myklebust"
        async with again.store.write() as connection:
            hashed = await again.services.people.vault.reference_hash(connection, town.aure, "A-1")
        assert await again.value("SELECT reference FROM resident") == hashed


async def test_a_rotation_that_was_cut_short_is_finished_or_taken_back_at_the_next_start(
    town: Any, open_bench: Any
) -> None:
    await town.resident()
    master = town.bench.services.settings.master_key.file
    async with town.bench.store.write() as connection:
        await town.people.vault.wrap_again(connection)
    upcoming = master.with_suffix(".next").read_bytes()  # committed, and central died before the files were moved
    async with open_bench() as again:
        assert (await again.services.people.card(LEAD, town.in_aure, "r-1", keeps=True)).name
        assert master.read_bytes() == upcoming
    with pytest.raises(RuntimeError, match="cut"):
        async with town.bench.store.write() as connection:
            await town.people.vault.wrap_again(connection)
            raise RuntimeError("cut")
    async with open_bench() as again:
        assert (await again.services.people.card(LEAD, town.in_aure, "r-1", keeps=True)).name
        assert master.read_bytes() == upcoming
        assert not master.with_suffix(".next").exists()


async def test_another_process_notices_a_rotation_by_itself(town: Any, open_bench: Any) -> None:
    await town.resident()
    async with open_bench() as second:
        await town.people.rotate_master(ADMIN)
        people = second.services.people
        assert (await people.card(LEAD, town.in_aure, "r-1", keeps=True)).name == "Ragnhild Myklebust"
        await people.keeping.register(LEAD, tenant=town.aure, pseudonym="r-9", named={FactKind.FIRST_NAME: "Odd"})
    assert (await town.people.card(LEAD, town.in_aure, "r-9", keeps=True)).name == "Odd"


async def test_an_older_installation_gets_its_master_key_at_its_first_start(open_bench: Any, settings: Any) -> None:
    settings.master_key.file.unlink()
    async with open_bench():
        assert settings.master_key.file.stat().st_mode & 0o777 == 0o600


async def test_without_the_master_key_central_does_not_start_and_says_what_to_do(town: Any, open_bench: Any) -> None:
    await town.resident()
    file = town.bench.services.settings.master_key.file
    file.unlink()
    with pytest.raises(KeysError, match="Restore it from the copy"):
        async with open_bench():
            raise AssertionError("it must not open")
    file.write_bytes(bytes(32))
    file.chmod(0o600)
    with pytest.raises(KeysError, match="is missing"):
        async with open_bench():
            raise AssertionError("it must not open")
    file.chmod(0o644)
    with pytest.raises(KeysError, match="chmod 600"):
        async with open_bench():
            raise AssertionError("it must not open")


async def test_a_credential_of_systemd_takes_the_files_place(
    bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = MasterFiles(file=tmp_path / "none.key", credential="vaktpost.master")
    with pytest.raises(KeysError, match="LoadCredentialEncrypted"):
        list(files.read())
    (tmp_path / "vaktpost.master").write_bytes(bench.services.settings.master_key.file.read_bytes())
    (tmp_path / "vaktpost.master").chmod(0o440)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    masters = MasterKeys(files)
    async with bench.store.write() as connection:
        await masters.open(connection)
        assert (await masters.current(connection))[0] == await bench.value(
            "SELECT value FROM central_state WHERE name = 'master'"
        )
    with pytest.raises(KeysError, match="cannot write"):
        masters.add_upcoming()
    (tmp_path / "vaktpost.master").write_bytes(b"short")
    with pytest.raises(KeysError, match="5 bytes"):
        list(files.read())


def test_secrets_are_not_among_what_a_card_opens() -> None:
    assert FactKind.KEY_CODE not in OPENED
    assert FactKind.HEALTH not in OPENED
