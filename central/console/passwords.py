"""Passwords: argon2id hashes, checked in a thread and never more than two at a time."""

from __future__ import annotations

import asyncio
import secrets

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

MIN_LENGTH = 12
MAX_LENGTH = 256


def fault(password: str, name: str) -> str | None:
    """Why a password will not do, as the last part of a text key, or None.

    Length is what counts: no rules about signs, no expiry, passphrases welcome (NIST SP 800-63B, 3.1.1.2).
    """
    if len(password) < MIN_LENGTH:
        return "short"
    if len(password) > MAX_LENGTH:
        return "long"
    if len(set(password)) < 4:
        return "same"
    if name and name.casefold() in password.casefold():
        return "name"
    return None


class Passwords:
    """Hashes and checks. Each check takes 64 MiB and some 50 ms of a core, which alarms must not wait for."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._at_once = asyncio.Semaphore(2)
        self._nobody = self._hasher.hash(secrets.token_urlsafe(16))

    async def hash(self, password: str) -> str:
        """The hash to keep, with its parameters in it."""
        async with self._at_once:
            return await asyncio.to_thread(self._hasher.hash, password)

    async def matches(self, kept: str | None, password: str) -> bool:
        """Whether the password is right. Without a kept hash it takes just as long and is wrong."""
        if len(password) > MAX_LENGTH:
            password = password[: MAX_LENGTH + 1]
        async with self._at_once:
            right = await asyncio.to_thread(self._verify, kept or self._nobody, password)
        return right and kept is not None

    def is_outdated(self, kept: str) -> bool:
        """Whether the hash was made with weaker parameters than today's."""
        try:
            return self._hasher.check_needs_rehash(kept)
        except InvalidHashError:
            return True

    def _verify(self, kept: str, password: str) -> bool:
        try:
            return self._hasher.verify(kept, password)
        except (Argon2Error, InvalidHashError):
            return False
