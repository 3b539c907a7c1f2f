"""Telling somebody by e-mail: SMTP with the standard library, in a thread."""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from email.message import EmailMessage
from email.utils import formatdate
from pathlib import Path

from central.errors import SettingsError
from central.notify.channel import ChannelError, Message
from central.settings import EmailSettings


def password_in(path: Path, key: str) -> str:
    """What a password file holds, without the line end. Raises SettingsError."""
    try:
        return path.read_text("utf-8").strip("\r\n")
    except OSError as error:
        raise SettingsError([f"{key}: {path} cannot be read: {error.strerror}."]) from None
    except UnicodeDecodeError:
        raise SettingsError([f"{key}: {path} is no text."]) from None


class EmailChannel:
    """See `central.notify.channel.Channel`. A new connection for each letter: there are few."""

    def __init__(self, settings: EmailSettings, section: str = "email") -> None:
        self._settings = settings
        file = settings.password_file
        self._password = "" if file is None else password_in(file, f"{section}.password_file")
        try:
            self._context = ssl.create_default_context(cafile=settings.ca_file and str(settings.ca_file))
        except OSError as error:
            raise SettingsError([f"{section}.ca_file: {settings.ca_file} cannot be used: {error.strerror}."]) from None

    async def send(self, address: str, message: Message, *, reference: str) -> str:
        """See `central.notify.channel.Channel`. The reference is the letter's Message-ID."""
        letter = EmailMessage()
        name = self._settings.sender.rpartition("@")[2]
        letter["Message-ID"] = f"<{reference}@{name}>"
        letter["Date"] = formatdate(localtime=False)
        letter["From"], letter["To"], letter["Subject"] = self._settings.sender, address, message.subject
        letter["Auto-Submitted"] = "auto-generated"
        letter.set_content(message.text)
        await asyncio.to_thread(self._hand_over, letter)
        return ""

    def _hand_over(self, letter: EmailMessage) -> None:
        settings = self._settings
        try:
            with self._connected() as server:
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

    def _connected(self) -> smtplib.SMTP:
        settings = self._settings
        if settings.tls == "tls":
            return smtplib.SMTP_SSL(settings.host, settings.port, timeout=settings.timeout_s, context=self._context)
        server = smtplib.SMTP(settings.host, settings.port, timeout=settings.timeout_s)
        if settings.tls == "starttls":
            try:
                server.starttls(context=self._context)
            except BaseException:
                server.close()
                raise
        return server
