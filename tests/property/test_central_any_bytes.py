"""Whatever bytes come in, central refuses them with a reason, stores nothing, and goes on."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from central.daemon import Central, open_central
from central.founding import Plan, found
from central.settings import load
from central.sql import Sql
from cloud_sync import canonical, frames
from cloud_sync.errors import WireError
from cloud_sync.frames import HEAD_LENGTH, MAGIC, FrameType
from simulators.frame_hub import FrameHub


class Standing:
    """One central for all examples, on a loop of its own."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="vaktpost-bytes-"))
        found(Plan(data_dir=self.folder / "c", names=["localhost"]), 1_790_000_000_000)
        self.runner = asyncio.Runner()
        self.context = open_central(load(self.folder / "c" / "central.toml"))
        self.central: Central = self.runner.run(self.context.__aenter__())
        self.hub = FrameHub(self.central.services.keys.trust)
        self.runner.run(self._enrol())

    async def _enrol(self) -> None:
        hubs = self.central.services.hubs
        self.hub.take_grant(await hubs.enrol(self.hub.claim(await hubs.new_code("x", "test"))))
        self.hub.start()

    def refuses(self, frame: bytes) -> None:
        """The frame is refused with a reason, and no event comes of it."""
        with pytest.raises(WireError) as refusal:
            self.runner.run(self.central.reception.receive(frame, "https"))
        assert refusal.value.reason.replace("_", "").isalnum()
        assert self.count("SELECT count(*) FROM event") == 0

    def count(self, statement: str) -> int:
        async def look() -> int:
            async with self.central.services.store.read() as connection:
                return int(await Sql(statement).value(connection))

        return self.runner.run(look())

    def close(self) -> None:
        self.runner.run(self.context.__aexit__(None, None, None))
        self.runner.close()
        shutil.rmtree(self.folder)


@pytest.fixture(scope="module")
def standing() -> Iterator[Standing]:
    standing = Standing()
    yield standing
    standing.close()


@given(st.binary(max_size=2000))
def test_any_bytes(standing: Standing, data: bytes) -> None:
    standing.refuses(data)


@given(st.sampled_from(list(FrameType)), st.binary(max_size=500))
def test_any_bytes_in_the_name_of_a_hub_that_is_known(standing: Standing, frame_type: FrameType, body: bytes) -> None:
    standing.refuses(MAGIC + bytes([frame_type]) + standing.hub.id + bytes(64) + body)


scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=20)
values = st.recursive(
    scalars | st.binary(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.integers(0, 20), inner, max_size=4),
    max_leaves=12,
)


@given(st.sampled_from(list(FrameType)), st.dictionaries(st.integers(0, 20), values, max_size=12))
def test_nonsense_that_is_properly_signed(standing: Standing, frame_type: FrameType, body: dict[int, object]) -> None:
    hub = standing.hub
    standing.refuses(frames.pack(frame_type, hub.id, hub.key, dict(body)))


@given(st.integers(0, 400), st.integers(1, 255))
def test_a_good_frame_with_one_byte_flipped(standing: Standing, at: int, flip: int) -> None:
    frame = bytearray(standing.hub.envelope(standing.hub.seal("pendant_pressed")))
    at = min(at, len(frame) - 1)
    frame[at] ^= flip
    standing.refuses(bytes(frame))


@given(st.dictionaries(st.sampled_from([10, 11, 12, 13, 14]), values, min_size=1, max_size=3))
def test_an_envelope_with_fields_that_are_wrong(standing: Standing, wrong: dict[int, object]) -> None:
    hub = standing.hub
    good = canonical.load_map(hub.envelope(lane=None)[HEAD_LENGTH + 64 :])
    body = {**good, **wrong}
    frame = frames.pack(FrameType.ENVELOPE, hub.id, hub.key, body)
    with contextlib.suppress(WireError):
        standing.runner.run(standing.central.reception.receive(frame, "https"))
    assert standing.count("SELECT count(*) FROM event") == 0
