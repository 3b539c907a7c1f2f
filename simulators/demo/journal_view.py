"""What engineers ask to see: that the card holds ciphertext, and that the event log notices one flipped byte."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
from pathlib import Path

from simulators.demo.program import ProgramError, run, vaktpost
from simulators.demo.stage import Stage

NEWEST = 8
WORDS_LOOKED_FOR = (b"pendant_pressed", b"r-7f3a90", b"press")


async def card(stage: Stage) -> tuple[str, bool]:
    """The newest records as they lie on the card, and whether no clear word was found in its files."""
    words = ("hub", "journal", "--config", str(stage.hub_config), "--records", "--json")
    rows = [json.loads(line) for line in (await run("hub journal", vaktpost(*words))).splitlines()]
    rows.sort(key=lambda row: (row["lane"] in {"alarm", "care"}, row["wall_ms"] or 0))
    found = await asyncio.to_thread(_clear_words, stage.folder / "home" / "state")
    # The middle of a record is what is sealed; its head is the name it lies under.
    head = "\n".join(f"{row['lane']:<10}{row['seq']:>6}  …{row['hex'][-80:-56]}…" for row in rows[: -NEWEST - 1 : -1])
    verdict = (
        f"in clear on the card: {', '.join(found)}" if found else "no word of what happened is in clear on the card"
    )
    return f"{head}\n\n{verdict}", not found


def _clear_words(folder: Path) -> list[str]:
    found = set()
    for path in folder.rglob("*.db*"):
        data = path.read_bytes()
        found |= {word.decode() for word in WORDS_LOOKED_FOR[:2] if word in data}
    return sorted(found)


async def verify(stage: Stage) -> tuple[str, bool]:
    """The verdict of `verify-log` on the running database."""
    return await _verdict(
        "central verify-log", vaktpost("central", "verify-log", "--config", str(stage.central_config))
    )


async def flip(stage: Stage) -> tuple[str, bool]:
    """The verdict on a copy in which one byte of the newest entry was changed."""
    copy = stage.folder / "flipped"
    await asyncio.to_thread(_copy_and_flip, stage.folder / "central", copy)
    return await _verdict(
        "central verify-log", vaktpost("central", "verify-log", "--config", str(copy / stage.central_config.name))
    )


async def _verdict(name: str, command: list[str]) -> tuple[str, bool]:
    try:
        return (await run(name, command)).strip(), True
    except ProgramError as error:
        return str(error).partition("\n")[2].strip() or str(error), False


def _copy_and_flip(central: Path, copy: Path) -> None:
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir(mode=0o700)
    for name in ("central.toml",):
        shutil.copy(central / name, copy / name)
    for entry in central.iterdir():
        if entry.is_file() and not entry.name.startswith("central.db") and entry.suffix != ".sock":
            shutil.copy(entry, copy / entry.name)
        elif entry.is_dir() and entry.name != "offline":
            shutil.copytree(entry, copy / entry.name)
    with sqlite3.connect(central / "central.db") as source, sqlite3.connect(copy / "central.db") as target:
        source.backup(target)
        (number, content) = target.execute("SELECT no, content FROM log_entry ORDER BY no DESC LIMIT 1").fetchone()
        flipped = content.encode() if isinstance(content, str) else bytes(content)
        flipped = flipped[:-2] + bytes([flipped[-2] ^ 1]) + flipped[-1:]
        value = flipped.decode("utf-8", "replace") if isinstance(content, str) else flipped
        target.execute("UPDATE log_entry SET content = ? WHERE no = ?", (value, number))
    source.close()
    target.close()
