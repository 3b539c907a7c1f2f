"""Blocks that are about the same thing go one after the other, in the order in which they came; others beside them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class InTurn(Generic[K]):
    """A lock for each thing that somebody is at."""

    def __init__(self) -> None:
        self._locks: dict[K, tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def one(self, key: K) -> AsyncIterator[None]:
        """In this block nobody else is at it."""
        lock, count = self._locks.get(key, (asyncio.Lock(), 0))
        self._locks[key] = (lock, count + 1)
        try:
            async with lock:
                yield
        finally:
            _, count = self._locks.pop(key)
            if count > 1:
                self._locks[key] = (lock, count - 1)
