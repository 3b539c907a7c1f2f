from __future__ import annotations

import asyncio
import json
import socket
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from gateway import control
from gateway.errors import HubError


async def echo(question: Mapping[str, Any]) -> Mapping[str, Any]:
    if question.get("ask") == "fail":
        raise HubError("that cannot be told")
    if question.get("ask") == "crash":
        raise ZeroDivisionError
    return {"asked": question["ask"]}


async def test_a_question_gets_its_answer(tmp_path: Path) -> None:
    async with control.serve(tmp_path, echo):
        answer = await asyncio.to_thread(control.ask, tmp_path, {"ask": "status"})
    assert answer == {"asked": "status"}


async def test_only_the_owner_can_reach_the_socket(tmp_path: Path) -> None:
    async with control.serve(tmp_path, echo):
        assert stat.S_IMODE((tmp_path / control.NAME).stat().st_mode) == 0o600


async def test_a_refusal_is_told_in_words_and_a_fault_does_not_end_the_server(tmp_path: Path) -> None:
    async with control.serve(tmp_path, echo):
        with pytest.raises(HubError, match="that cannot be told"):
            await asyncio.to_thread(control.ask, tmp_path, {"ask": "fail"})
        with pytest.raises(HubError, match="ZeroDivisionError"):
            await asyncio.to_thread(control.ask, tmp_path, {"ask": "crash"})
        assert await asyncio.to_thread(control.ask, tmp_path, {"ask": "on"}) == {"asked": "on"}


def test_when_no_hub_runs_that_is_said(tmp_path: Path) -> None:
    with pytest.raises(control.NotRunningError):
        control.ask(tmp_path, {"ask": "status"})
    (tmp_path / control.NAME).touch()
    with pytest.raises(control.NotRunningError):
        control.ask(tmp_path, {"ask": "status"})


async def test_a_socket_left_by_a_killed_hub_is_replaced(tmp_path: Path) -> None:
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(tmp_path / control.NAME))
    left.close()
    async with control.serve(tmp_path, echo):
        assert await asyncio.to_thread(control.ask, tmp_path, {"ask": "on"}) == {"asked": "on"}
    assert not (tmp_path / control.NAME).exists()


async def test_a_state_folder_with_a_very_long_name_works_too(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 120)
    deep.mkdir()
    async with control.serve(deep, echo):
        assert await asyncio.to_thread(control.ask, deep, {"ask": "on"}) == {"asked": "on"}


async def test_junk_and_endless_lines_are_turned_away(tmp_path: Path) -> None:
    async with control.serve(tmp_path, echo):
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / control.NAME))
        writer.write(b"\xff\xfe junk\n[1]\n")
        assert "not understood" in json.loads(await reader.readline())["error"]
        assert "an object" in json.loads(await reader.readline())["error"]
        writer.write(b"x" * (control.MAX_ASKED * 3))
        async with asyncio.timeout(5):
            assert await reader.read() == b""
        writer.close()
        assert await asyncio.to_thread(control.ask, tmp_path, {"ask": "on"}) == {"asked": "on"}


async def test_it_ends_although_somebody_holds_the_line(tmp_path: Path) -> None:
    async with asyncio.timeout(5):
        async with control.serve(tmp_path, echo):
            reader, writer = await asyncio.open_unix_connection(str(tmp_path / control.NAME))
            writer.write(b'{"ask": "on"}\n')
            await reader.readline()
        assert await reader.read() == b""
        writer.close()
