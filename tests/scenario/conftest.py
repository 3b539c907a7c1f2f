"""The whole product as real processes: brought up once per module, calm at the beginning of every test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from simulators import plans
from simulators.scene import Scene


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def raised_flat(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with Scene.open(tmp_path_factory.mktemp("f"), plans.FLAT) as scene:
        yield scene


@pytest_asyncio.fixture(loop_scope="module")
async def flat_scene(raised_flat: Scene) -> Scene:
    """A flat: pendant, door, motion and thermometers over Bluetooth, cord, smoke detector and bed mat by wire."""
    await raised_flat.calm()
    return raised_flat


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def raised_ward(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with Scene.open(tmp_path_factory.mktemp("w"), plans.WARD) as scene:
        yield scene


@pytest_asyncio.fixture(loop_scope="module")
async def ward_scene(raised_ward: Scene) -> Scene:
    """A ward: a nurse-call panel on a serial line, and a cord."""
    await raised_ward.calm()
    return raised_ward
