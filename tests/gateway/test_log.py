from __future__ import annotations

import io
import json
import logging
from typing import Any

import pytest
import structlog

from gateway import log


@pytest.fixture
def stream() -> io.StringIO:
    stream = io.StringIO()
    log.configure(level="debug", as_json=True, stream=stream)
    return stream


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


SECRETS = ("Operator One", "01017012345", "r-7f3a90", "opensesame", "first@example.org", "4815")


def test_personal_data_and_secrets_do_not_get_through_however_they_are_given(stream: io.StringIO) -> None:
    logger = structlog.get_logger().bind(resident="r-7f3a90")
    logger.info("pressed", name="Operator One", birth_number="01017012345", device="pendant-1")
    logger.info("pressed", details={"resident": "r-7f3a90", "door": {"key_box_code": "4815"}, "list": ["r-7f3a90"]})
    logger.warning("failed", error=ValueError("no such resident r-7f3a90, mail first@example.org"))
    logger.info("typed", code="AAAA-BBBB", password="opensesame", note="Operator One is ill")
    logger.info("raw", frame=b"opensesame" * 4, hub=b"\x01\x02\x03\x04\x05\x06\x07\x08")
    logger.error("crashed", exc_info=RuntimeError("01017012345 r-7f3a90"))
    logging.getLogger("some.library").warning("resident %s of %s", "r-7f3a90", "01017012345")
    text = stream.getvalue()
    assert [secret for secret in SECRETS if secret in text] == []
    found = lines(stream)
    assert found[0]["device"] == "pendant-1"
    assert found[4]["hub"] == "0102030405060708"
    assert found[4]["frame"] == "[40 bytes]"
    assert found[-1]["level"] == "warning"


def test_a_log_that_nobody_reads_any_more_stops_nothing() -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    log.configure(as_json=True, stream=Gone())
    structlog.get_logger().info("still_here")


def test_a_fact_is_one_line_of_json_with_time_and_level(stream: io.StringIO) -> None:
    structlog.get_logger().info("driver_recovered", driver="inputs")
    assert lines(stream)[0] | {"timestamp": ""} == {
        "driver": "inputs",
        "event": "driver_recovered",
        "level": "info",
        "timestamp": "",
    }
