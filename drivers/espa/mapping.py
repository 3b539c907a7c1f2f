"""What a block means in this house: the installation's mapping table, applied.

Every maker fills the records in its own way, so nothing is taken for granted: the first rule that fits decides, and a
block that no rule fits is still a call, from the panel itself, with its text and `unmapped` among the details. Only a
rule that says so can make a block mean nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2s

from drivers.contract import ALIAS, Scalar
from drivers.espa.charset import Charset, decode_text
from drivers.espa.codec import Block
from drivers.espa.pattern import compile_pattern
from drivers.espa.settings import TEMPLATE_FIELD, EspaSettings, MappingRule

ALIAS_LENGTH = 16
_ASCII = str.maketrans({"æ": "ae", "ø": "oe", "å": "aa", "ä": "ae", "ö": "oe", "ü": "ue", "é": "e"})
_NOT_ALIAS = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """`value` is one of the nurse-call values of the contract, or "ignore"."""

    value: str
    device: str
    details: Mapping[str, Scalar] = field(default_factory=dict)


def make_alias(text: str) -> str | None:
    """A device alias out of free text, None when nothing is left. Long texts end in a digest, so two never meet."""
    plain = _NOT_ALIAS.sub("-", text.lower().translate(_ASCII)).strip("-")
    if len(plain) > ALIAS_LENGTH:
        digest = blake2s(plain.encode(), digest_size=2).hexdigest()
        plain = f"{plain[: ALIAS_LENGTH - 5].rstrip('-')}-{digest}"
    return plain if ALIAS.match(plain) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rule:
    number: int
    settings: MappingRule
    text: re.Pattern[str] | None
    address: re.Pattern[str] | None

    def groups(self, seen: Mapping[str, str]) -> dict[str, str] | None:
        """The named groups when every condition holds, else None."""
        wanted = self.settings
        for codes, name in ((wanted.call_type, "call_type"), (wanted.priority, "priority"), (wanted.header, "header")):
            if codes is not None and seen[name] not in codes:
                return None
        found: dict[str, str] = {}
        for pattern, name in ((self.text, "text"), (self.address, "call_address")):
            if pattern is None:
                continue
            match = pattern.search(seen[name])
            if match is None:
                return None
            found.update({group: (text or "").strip() for group, text in match.groupdict().items()})
        return found


class MappingTable:
    """The rules of one panel, compiled."""

    def __init__(self, settings: EspaSettings) -> None:
        self._alias = settings.alias
        self._charset: Charset = settings.charset
        self._rules = [
            _Rule(
                number=number,
                settings=rule,
                text=None if rule.text is None else compile_pattern(rule.text),
                address=None if rule.address is None else compile_pattern(rule.address),
            )
            for number, rule in enumerate(settings.mapping, start=1)
        ]

    def meaning(self, block: Block) -> Meaning:
        seen = {
            "header": block.header,
            "call_address": decode_text(block.record("1"), self._charset),
            "text": decode_text(block.record("2"), self._charset),
            "call_type": decode_text(block.record("4"), self._charset),
            "priority": decode_text(block.record("6"), self._charset),
        }
        details: dict[str, Scalar] = {
            name: seen[name] for name in ("header", "call_address", "call_type", "priority") if seen[name]
        }
        for rule in self._rules:
            groups = rule.groups(seen)
            if groups is None:
                continue
            details["rule"] = rule.number
            details.update({name: text for name, text in groups.items() if text})
            device = self._device(rule.settings.device, groups)
            if device is None:
                # The table knows the kind of call but not its room: whoever answers needs the panel's own words.
                details["text"] = seen["text"]
            return Meaning(value=rule.settings.value, device=device or self._alias, details=details)
        details["unmapped"] = True
        details["text"] = seen["text"]
        return Meaning(value="call", device=self._alias, details=details)

    @staticmethod
    def _device(template: str | None, groups: Mapping[str, str]) -> str | None:
        if template is None or any(not groups[name] for name in TEMPLATE_FIELD.findall(template)):
            return None
        return make_alias(TEMPLATE_FIELD.sub(lambda field_: groups[field_[1]], template))
