"""Enrolment against a real central: a code works once, for the central it was made for, and for nobody else."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path

import pytest

from cloud_sync.trust import EnrolmentCode
from gateway import enrol, identity_store
from gateway.enrol import EnrolmentError
from simulators.demo.program import Program, run, vaktpost


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_a_code_enrols_one_hub_at_one_central(tmp_path: Path) -> None:
    port, console_port = _free_port(), _free_port()
    config = tmp_path / "central" / "central.toml"
    words = ("--data", str(config.parent), "--hub-port", str(port), "--console-port", str(console_port))
    await run("central init", vaktpost("central", "init", *words))
    central = Program("central", vaktpost("central", "run", "--config", str(config)), tmp_path / "central.log")
    await central.start()
    try:
        async with asyncio.timeout(30):
            while not await asyncio.to_thread(_listens, port):
                central.check()
                await asyncio.sleep(0.1)
        told = await run("code", vaktpost("central", "code", "--config", str(config), "--json"))
        code = json.loads(told)["code"]
        address = f"https://127.0.0.1:{port}"

        another = str(EnrolmentCode.generate(b"\x07" * 32))
        with pytest.raises(EnrolmentError, match="not the central that this code was made for"):
            await asyncio.to_thread(enrol.enrol, tmp_path / "one", address, another, software="test")

        with pytest.raises(EnrolmentError, match="certificate for another name"):
            await asyncio.to_thread(enrol.enrol, tmp_path / "one", f"https://127.1:{port}", code, software="test")

        typed = code.lower().replace("-", " ")
        identity = await asyncio.to_thread(enrol.enrol, tmp_path / "one", address, typed, software="test")
        assert identity_store.load(tmp_path / "one").hub == identity.hub

        with pytest.raises(EnrolmentError, match="central refused the code"):
            await asyncio.to_thread(enrol.enrol, tmp_path / "two", address, code, software="test")
        assert not identity_store.is_enrolled(tmp_path / "two")
    finally:
        await central.stop()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
