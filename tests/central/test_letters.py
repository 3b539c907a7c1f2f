"""Letters over TLS to a real mail server, and settings of the ways that cannot work."""

from __future__ import annotations

from pathlib import Path

import pytest

from central.errors import SettingsError
from central.notify.channel import ChannelError, Message
from central.notify.letters import EmailCarrier
from central.settings import EmailSettings, load
from simulators.certificates import Authority
from simulators.mail_server import MailServer

LETTER = Message(subject="Vaktpost: æøå", text="En alarm venter. æøå")


def settings(port: int, ca: Path, password: Path) -> EmailSettings:
    return EmailSettings(
        host="127.0.0.1",
        port=port,
        tls="starttls",
        ca_file=ca,
        username="vaktpost",
        password_file=password,
        sender="vaktpost@kommune.example",
        timeout_s=5,
    )


async def test_a_letter_goes_sealed_and_signed_in_with_one_name_for_ever(tmp_path: Path) -> None:
    authority = Authority()
    (tmp_path / "ca.crt").write_bytes(authority.pem)
    (tmp_path / "password").write_text("en hemmelighet\n")
    async with MailServer(tls=authority.server_context(tmp_path / "tls"), password="en hemmelighet").running() as mail:
        channel = EmailCarrier(settings(mail.port, tmp_path / "ca.crt", tmp_path / "password"))
        for _ in range(2):
            await channel.send("vakt@kommune.example", LETTER, reference="abc")
        assert all(letter.was_sealed and letter.signed_in == "vaktpost" for letter in mail.letters)
        assert {letter.content["Message-ID"] for letter in mail.letters} == {"<abc@kommune.example>"}
        assert mail.letters[0].text.strip() == LETTER.text
        mail.password = "another"
        with pytest.raises(ChannelError, match="smtp_sign_in") as caught:
            await channel.send("vakt@kommune.example", LETTER, reference="abc")
        assert caught.value.is_final is False


async def test_no_letter_goes_to_a_server_that_somebody_else_vouches_for_or_that_does_not_encrypt(
    tmp_path: Path,
) -> None:
    (tmp_path / "ca.crt").write_bytes(Authority().pem)
    (tmp_path / "password").write_text("en hemmelighet")
    for tls in (Authority("another").server_context(tmp_path / "tls"), None):
        async with MailServer(tls=tls).running() as mail:
            channel = EmailCarrier(settings(mail.port, tmp_path / "ca.crt", tmp_path / "password"))
            with pytest.raises(ChannelError):
                await channel.send("vakt@kommune.example", LETTER, reference="abc")
            assert mail.letters == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[email]\nhost = "a.example"\nsender = "a@b"\ntls = "none"', "set tls to starttls or tls"),
        ('[email]\nhost = "a.example"\nsender = "a@b"\nusername = "x"', "given together"),
        ('[email]\nhost = "a.example"\nsendr = "a@b"', "Did you mean `sender`"),
        ("[notify]\ngive_up_after_s = 1", "notify.give_up_after_s"),
        ("[audit]\nevry_s = 1", "Did you mean `every_s`"),
        ('[audit.sms]\nnumber = "12"', "audit.sms.number"),
        ('[audit.email]\nhost = "a.example"\nsender = "a@b"\nto = ["x"]', "audit.email.to"),
    ],
)
def test_settings_that_cannot_work_are_answered_with_what_would(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "central.toml").write_text(text)
    with pytest.raises(SettingsError) as caught:
        load(tmp_path / "central.toml")
    assert said in str(caught.value)


def test_a_password_that_cannot_be_read_is_said_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="password_file"):
        EmailCarrier(settings(25, tmp_path / "no.crt", tmp_path / "nothing"))
