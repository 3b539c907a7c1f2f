"""Telling somebody by e-mail: SMTP with the standard library, in a thread."""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from email.message import EmailMessage
from email.utils import formatdate
from pathlib import Path

from central.errors import SettingsError
from central.lines import blocking
from central.notify.channel import Address, ChannelError, Line, Message, Promise
from central.settings import CentralSettings, EmailSettings


def password_in(path: Path, key: str) -> str:
    """What a password file holds, without the line end. Raises SettingsError."""
    try:
        return path.read_text("utf-8").strip("\r\n")
    except OSError as error:
        raise SettingsError([f"{key}: {path} cannot be read: {error.strerror}."]) from None
    except UnicodeDecodeError:
        raise SettingsError([f"{key}: {path} is no text."]) from None


GREETED = 220


class EmailChannel:
    """See `central.notify.channel.Channel`."""

    promise = Promise(name="email", address=Address.EMAIL)

    def line(self, settings: CentralSettings) -> Line | None:
        """See `central.notify.channel.Channel`. Through the mail server of `[email]`, which is spoken to in turns."""
        email = settings.email
        return None if email is None else Line(carrier=EmailCarrier(email), slowest_s=2 * email.timeout_s)


class EmailCarrier:
    """See `central.notify.channel.Carrier`. A new connection for each letter: there are few."""

    def __init__(self, settings: EmailSettings, section: str = "email") -> None:
        self._settings = settings
        file = settings.password_file
        self._password = "" if file is None else password_in(file, f"{section}.password_file")
        try:
            self._context = ssl.create_default_context(cafile=settings.ca_file and str(settings.ca_file))
        except OSError as error:
            raise SettingsError([f"{section}.ca_file: {settings.ca_file} cannot be used: {error.strerror}."]) from None

    async def send(self, address: str, message: Message, *, reference: str) -> str:
        """See `central.notify.channel.Carrier`. The reference is the letter's Message-ID."""
        letter = EmailMessage()
        name = self._settings.sender.rpartition("@")[2]
        letter["Message-ID"] = f"<{reference}@{name}>"
        letter["Date"] = formatdate(localtime=False)
        letter["From"], letter["To"], letter["Subject"] = self._settings.sender, address, message.subject
        letter["Auto-Submitted"] = "auto-generated"
        letter.set_content(message.text)
        server = await asyncio.to_thread(self._server)  # it looks up what this machine is called
        await blocking(lambda: self._hand_over(server, letter), lambda: server.sock)
        return ""

    def _hand_over(self, server: smtplib.SMTP, letter: EmailMessage) -> None:
        settings = self._settings
        try:
            with self._connected(server):
                if settings.username:
                    server.login(settings.username, self._password)
                server.send_message(letter)
        except smtplib.SMTPRecipientsRefused as error:
            codes = [code for code, _ in error.recipients.values()]
            raise ChannelError("smtp_recipient", is_final=all(code >= 500 for code in codes)) from None
        except smtplib.SMTPAuthenticationError:
            raise ChannelError("smtp_sign_in") from None  # somebody may mend the password while it is tried
        except smtplib.SMTPResponseException as error:
            is_final = error.smtp_code >= 500 and not isinstance(error, smtplib.SMTPConnectError)
            raise ChannelError(f"smtp_{error.smtp_code}", is_final=is_final) from None
        except TimeoutError:
            raise ChannelError("timeout") from None
        except ssl.SSLError:
            raise ChannelError("smtp_tls") from None
        except (OSError, smtplib.SMTPException, ValueError) as error:
            raise ChannelError(f"unreachable: {type(error).__name__}") from None

    def _server(self) -> smtplib.SMTP:
        """Not connected yet. Its certificate is to be for the name of the settings, which `connect` does not note."""
        settings = self._settings
        if settings.tls == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(timeout=settings.timeout_s, context=self._context)
        else:
            server = smtplib.SMTP(timeout=settings.timeout_s)
        server._host = settings.host  # type: ignore[attr-defined]  # noqa: SLF001  # the only way before it connects
        return server

    def _connected(self, server: smtplib.SMTP) -> smtplib.SMTP:
        try:
            self._greet(server)
        except BaseException:
            server.close()
            raise
        return server

    def _greet(self, server: smtplib.SMTP) -> None:
        settings = self._settings
        code, said = server.connect(settings.host, settings.port)
        if code != GREETED:
            raise smtplib.SMTPConnectError(code, said)
        if settings.tls == "starttls":
            server.starttls(context=self._context)


CHANNEL = EmailChannel()
