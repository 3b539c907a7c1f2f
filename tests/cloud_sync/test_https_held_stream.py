"""The held connection of the HTTPS path, when the other end keeps to the protocol and when it does not."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cloud_sync import signing, uplinks
from cloud_sync.errors import RefusedError, UplinkError
from cloud_sync.frames import KEEP_ALIVE, MAX_FRAME, join
from cloud_sync.settings import HttpsSettings
from cloud_sync.trust import KeyCertificate, Purpose, TrustBundle
from simulators.certificates import Authority

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
ROOT = Ed25519PrivateKey.from_private_bytes(bytes(32))


def chunk(octets):
    return b"%x\r\n%s\r\n" % (len(octets), octets)


def trust_in(authority):
    certificate = KeyCertificate(purpose=Purpose.TLS_CA, key_id=b"tlsca001", key=authority.der, created_ms=1)
    return TrustBundle.read(TrustBundle.write(signing.raw_public(ROOT.public_key()), [certificate.signed(ROOT)]))


@pytest.fixture(scope="module")
def authority():
    return Authority()


@asynccontextmanager
async def central(authority, folder, *said, then="hang up", idle_s=15.0, certificate=None, days=30):
    """A central that says these bytes to whoever greets it; the uplink to it."""
    heard = []

    async def serve(reader, writer):
        try:
            heard.append(await reader.readuntil(b"\r\n\r\n"))
            for octets in said:
                writer.write(octets)
                await writer.drain()
                await asyncio.sleep(0.01)
            if then == "stay":
                await reader.read()
            elif then == "break off":
                writer.transport.abort()
        except (OSError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    tls = (certificate or authority).server_context(folder / "tls", days=days)
    listener = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    port = listener.sockets[0].getsockname()[1]
    settings = HttpsSettings(url=f"https://127.0.0.1:{port}", connect_timeout_s=2).model_copy(
        update={"idle_timeout_s": idle_s}
    )
    try:
        yield uplinks.build("main", settings, trust=trust_in(authority), hub=b"hubhubhu", hub_epoch=b"epochepo"), heard
    finally:
        listener.close()
        for _ in range(5):
            await asyncio.sleep(0.01)


async def frames_and_fault(uplink):
    """All that comes down, and why it ended."""
    found = []
    async with asyncio.timeout(5), uplink.open(b"hello") as session:
        try:
            async for frame in session.frames():
                found.append(frame)  # noqa: PERF401  # the end of the stream is an exception
        except UplinkError as error:
            return found, str(error)


async def test_frames_come_down_in_any_cutting(authority, tmp_path):
    stream = KEEP_ALIVE + join([b"one", b"two" * 9000, b"three"])
    whole = HEAD + b"".join(chunk(stream[at : at + 1013]) for at in range(0, len(stream), 1013)) + chunk(b"")
    pieces = [whole[at : at + 700] for at in range(0, len(whole), 700)]
    async with central(authority, tmp_path, *pieces) as (uplink, _):
        found, why = await frames_and_fault(uplink)
    assert found == [b"one", b"two" * 9000, b"three"]
    assert why == "central closed the held connection"


@pytest.mark.parametrize("then", ["hang up", "break off"])
@pytest.mark.parametrize(
    "said",
    [HEAD, HEAD + b"1", HEAD + chunk(join([b"one"])) + b"7\r\n\0\0", HEAD + chunk(join([b"one"]))[:-4]],
    ids=["nothing", "half a length", "half a chunk", "a chunk without its end"],
)
async def test_a_stream_that_breaks_off_ends_the_path(authority, tmp_path, said, then):
    async with central(authority, tmp_path, said, then=then) as (uplink, _):
        found, why = await frames_and_fault(uplink)
    assert found in ([], [b"one"])
    assert why


@pytest.mark.parametrize(
    "said",
    [chunk(b"<html>sorry</html>"), chunk((MAX_FRAME + 1).to_bytes(4, "big")), b"zz\r\n", b"-5\r\n", b"\0" * 100],
    ids=["a page", "a frame too long", "no length", "less than nothing", "zeros"],
)
async def test_a_stream_of_rubbish_ends_the_path(authority, tmp_path, said):
    async with central(authority, tmp_path, HEAD + said, then="stay", idle_s=0.5) as (uplink, _):
        found, why = await frames_and_fault(uplink)
    assert not found
    assert why


async def test_a_silent_stream_ends_the_path(authority, tmp_path):
    async with central(authority, tmp_path, HEAD, then="stay", idle_s=0.2) as (uplink, _):
        assert await frames_and_fault(uplink) == ([], "no answer in time")


@pytest.mark.parametrize("status", [301, 302, 204, 500, 502, 503, 408, 429])
async def test_only_central_itself_can_refuse_for_good(authority, tmp_path, status):
    said = b"HTTP/1.1 %d Word\r\nContent-Length: 2\r\nLocation: https://elsewhere.example\r\n\r\nno" % status
    if status == 204:
        said = b"HTTP/1.1 204 Word\r\n\r\n"
    async with central(authority, tmp_path, said, then="stay") as (uplink, heard):
        with pytest.raises(UplinkError) as fault:
            await frames_and_fault(uplink)
    assert not isinstance(fault.value, RefusedError)
    assert str(status) in str(fault.value)
    assert len(heard) == 1


async def test_a_refusal_with_a_book_of_reasons_is_a_refusal(authority, tmp_path):
    said = b"HTTP/1.1 401 Word\r\nContent-Length: 99999999\r\n\r\n" + bytes(9999)
    async with central(authority, tmp_path, said, then="stay") as (uplink, _):
        with pytest.raises(RefusedError, match="401"):
            await frames_and_fault(uplink)


async def test_an_expired_certificate_is_believed_and_a_stranger_s_is_not(authority, tmp_path):
    async with central(authority, tmp_path / "old", HEAD, days=-300) as (uplink, heard):
        await frames_and_fault(uplink)
        assert heard
    async with central(authority, tmp_path / "other", HEAD, certificate=Authority()) as (uplink, heard):
        with pytest.raises(UplinkError, match="CERTIFICATE_VERIFY_FAILED"):
            await frames_and_fault(uplink)
        assert not heard


async def test_a_central_that_never_answers_the_greeting_is_given_up(authority, tmp_path):
    async with central(authority, tmp_path, then="stay") as (uplink, _):
        uplink._settings = uplink._settings.model_copy(update={"connect_timeout_s": 0.2})
        with pytest.raises(UplinkError, match="no answer in time"):
            await frames_and_fault(uplink)
