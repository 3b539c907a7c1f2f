"""AT lines in any chunking, replies with chatter between, and PDUs: read or refused, never grown, never confused."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_sync.modem import pdu
from cloud_sync.modem.codec import MAX_LINE, Command, Cutter, Dialogue, Finished, Mark, Unsolicited, Write
from cloud_sync.modem.errors import Reason, refusal
from cloud_sync.modem.state import Registration, operator_in, registration_in, signal_in
from simulators.modem import delivered, submitted


def chunked(data, cuts):
    ends = [*sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[a:b] for a, b in zip([0, *ends], ends, strict=False)]


def run(dialogue, data, cuts=()):
    return [step for chunk in chunked(data, cuts) for step in dialogue.feed(chunk)]


@given(st.lists(st.integers(0, 200), max_size=6))
def test_a_reply_is_the_same_in_any_chunking_and_chatter_between_stays_apart(cuts):
    dialogue = Dialogue()
    assert dialogue.begin(Command(text="AT+CREG?", prefix="+CREG:")) == b"AT+CREG?\r"
    steps = run(dialogue, b'AT+CREG?\r\r\n+CREG: 1,5\r\n\r\n+CMTI: "SM",3\r\n+CREG: 2\r\n\r\nOK\r\n', cuts)
    assert steps == [
        Unsolicited(line='+CMTI: "SM",3'),
        Unsolicited(line="+CREG: 2"),
        Finished(final="OK", lines=("+CREG: 1,5",)),
    ]
    assert dialogue.echoes == 1


@given(st.lists(st.integers(0, 60), max_size=6))
def test_the_body_goes_out_at_the_prompt_once(cuts):
    dialogue = Dialogue()
    dialogue.begin(Command(text="AT+CMGS=23", prefix="+CMGS:", body="0011"))
    assert run(dialogue, b"\r\nRING\r\n\r\n> ", cuts) == [Unsolicited(line="RING"), Write(b"0011\x1a")]
    assert run(dialogue, b"\r\n> \r\n0011\x1a\r\n+CMGS: 7\r\n\r\nOK\r\n", cuts) == [
        Finished(final="OK", lines=("+CMGS: 7",))
    ]


def test_no_prompt_is_believed_that_nobody_asked_for():
    dialogue = Dialogue()
    assert run(dialogue, b"> > \r\n") == []
    dialogue.begin(Command(text="AT"))
    assert run(dialogue, b"> \r\nOK\r\n") == [Finished(final="OK")]


def test_a_message_that_says_ok_is_not_the_end_of_its_reply():
    digits = delivered("+4790000000", "\r\nOK\r\n")
    dialogue = Dialogue()
    dialogue.begin(Command(text="AT+CMGR=1", prefix="+CMGR:", has_pdus=True))
    (step,) = run(dialogue, f"\r\n+CMGR: 0,,30\r\n{digits}\r\n\r\nOK\r\n".encode())
    assert step == Finished(final="OK", lines=("+CMGR: 0,,30",), pdus=(digits,))
    assert pdu.deliver(digits).text == "\r\nOK\r\n"


def test_a_message_that_is_pushed_in_the_middle_of_a_list_is_not_mixed_up_with_it():
    dialogue = Dialogue()
    dialogue.begin(Command(text="AT+CMGL=4", prefix="+CMGL:", has_pdus=True))
    steps = run(
        dialogue, b"+CMGL: 1,1,,2\r\nAABB\r\n+CMT: ,2\r\nCCDD\r\n+CMGL: 2,1,,2\r\n+CMGL: 3,1,,2\r\nEEFF\r\nOK\r\n"
    )
    assert steps[0] == Unsolicited(line="+CMT: ,2", body="CCDD")
    assert steps[1].pdus == ("AABB", "", "EEFF")
    assert len(steps[1].lines) == 3


def test_an_overlong_line_is_dropped_and_what_follows_is_read():
    cutter = Cutter()
    pieces = list(cutter.feed(b"x" * (MAX_LINE * 50)))
    assert pieces == [Mark.OVERLONG]
    assert len(cutter._line) == 0
    assert list(cutter.feed(b"yyy\r\nOK\r\n")) == ["OK"]


@given(st.lists(st.binary(max_size=300), max_size=20), st.booleans())
def test_any_bytes_give_steps_and_nothing_grows(chunks, is_asking):
    dialogue = Dialogue()
    if is_asking:
        dialogue.begin(Command(text="AT+CMGL=4", prefix="+CMGL:", has_pdus=True, body="00"))
    for chunk in chunks:
        for step in dialogue.feed(chunk):
            assert isinstance(step, Unsolicited | Finished | Write)
    assert len(dialogue._cutter._line) <= MAX_LINE


@given(st.binary(max_size=400))
def test_after_any_garbage_an_answer_is_found_again(garbage):
    dialogue = Dialogue()
    list(dialogue.feed(garbage))
    list(dialogue.feed(b"\r\n\r\n"))
    dialogue.begin(Command(text="AT"))
    assert Finished(final="OK") in list(dialogue.feed(b"\r\nOK\r\n"))


@pytest.mark.parametrize(
    ("line", "reason", "code"),
    [
        ("+CMS ERROR: 331", Reason.NO_NETWORK, 331),
        ("+CMS ERROR: 322", Reason.STORAGE_FULL, 322),
        ("+CMS ERROR: 38", Reason.NO_NETWORK, 38),
        ("+CMS ERROR: 500", Reason.REFUSED, 500),
        ("+CME ERROR: 10", Reason.NO_SIM, 10),
        ("+CME ERROR: 12", Reason.SIM_BLOCKED, 12),
        ("+CME ERROR: SIM busy", Reason.REFUSED, None),
        ("ERROR", Reason.REFUSED, None),
    ],
)
def test_a_refusal_says_what_it_means(line, reason, code):
    error = refusal(line)
    assert (error.reason, error.code) == (reason, code)
    assert str(error).startswith(reason.value)


def test_registration_signal_and_operator_are_read():
    assert registration_in("+CREG: 1,5") is Registration.ROAMING
    assert registration_in("+CREG: 1") is Registration.HOME
    assert registration_in('+CEREG: 2,1,"00C3","0A1B",7') is Registration.HOME
    assert registration_in("+CREG: what") is Registration.UNKNOWN
    assert (signal_in("+CSQ: 17,99"), signal_in("+CSQ: 99,99"), signal_in("+CSQ:")) == (-79, None, None)
    assert operator_in('+COPS: 0,0,"Telenor, Norge",7') == "Telenor, Norge"
    assert operator_in("+COPS: 0") == ""


def test_the_published_pdu_is_written():
    """From a public example: 'hellohello' to +46708251358, valid for four days."""
    message = pdu.submit("+46708251358", "hellohello", valid_minutes=4 * 24 * 60)
    assert (message.pdu, message.length) == ("0011000B916407281553F80000AA0AE8329BFD4697D9EC37", 23)


gsm = st.text(st.sampled_from("@£$¥èéùìòÇØøÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !#¤%&'()*+,-./0123456789abcXYZäöñüà§¿"), max_size=160)


@given(gsm | st.text(max_size=35), st.from_regex(r"\+[1-9][0-9]{6,13}", fullmatch=True))
def test_what_is_written_is_what_the_other_end_reads(text, number):
    message = pdu.submit(number, text, valid_minutes=60)
    assert submitted(message.pdu) == (number, text.encode("utf-16", "replace").decode("utf-16"))
    assert message.length == len(message.pdu) // 2 - 1


@given(
    gsm | st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=35),  # a control character is no text
    st.sampled_from(["+4790000000", "+479", "Nett"]),
)
def test_what_arrives_is_read_as_it_was_sent(text, sender):
    assert pdu.deliver(delivered(sender, text)) == pdu.Message(sender=sender, text=text)


@given(st.binary(max_size=200) | st.text(max_size=400))
def test_any_digits_are_a_message_or_refused(raw):
    with contextlib.suppress(pdu.PduError):
        pdu.deliver(raw if isinstance(raw, str) else raw.hex())


def test_norwegian_letters_cost_nothing_and_other_letters_half_the_room():
    assert pdu.fits("æøåÆØÅ" * 26 + "abcd")
    assert not pdu.fits("æøåÆØÅ" * 26 + "abcde")
    assert pdu.fits("č" * 70)
    assert not pdu.fits("č" * 71)
    assert pdu.submit("+4790000000", "čaj", valid_minutes=60).pdu.endswith("010D00610" + "06A")


@pytest.mark.parametrize("number", ["", "+", "+47abc", "12", "+4712345678901234", "+47\u0663\u0664\u0665"])
def test_a_number_that_is_none_is_refused(number):
    with pytest.raises(pdu.PduError, match="number"):
        pdu.submit(number, "x", valid_minutes=60)
