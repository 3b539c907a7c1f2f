"""A condition of a device: it begins, may have to last a while at certain hours, raises once, and is over.

- A condition that raises at once and one that has to last are the same machine with another delay.
- With hours, only time within them counts towards the delay. While the wall clock is not trusted they always apply.
- Latched: the same fact told again raises nothing, until the end is told. After a long silence it counts as new, since
  its end may have been lost on the way.
- Technical conditions that come and go are folded; what a person has to answer never is.
"""

from __future__ import annotations

from collections.abc import Mapping

from cloud_sync.vocabulary import Scalar
from config.profiles import Meaning
from gateway.triage.draft import Draft, key_of
from gateway.triage.folding import Fold, Told
from gateway.triage.moments import LOOK_AGAIN_MS, Moment, Now, recall
from gateway.triage.rules import DeviceRules


class Condition:
    """One condition of one device. `since` is set while it lasts, `is_raised` once it was told."""

    __slots__ = (
        "_delay_ms",
        "_fold",
        "_repeat_ms",
        "_seen",
        "_value",
        "device",
        "is_raised",
        "key",
        "meaning",
        "rule",
        "since",
    )

    def __init__(self, device: DeviceRules, name: str, meaning: Meaning, *, fold_ms: int, value: Scalar = None) -> None:
        """`value`: what an event says that is raised by time alone."""
        self.device = device
        self.meaning = meaning
        self.key = key_of(device.alias, name, meaning.lane)
        self.rule = f"{device.profile.name}/{name}"
        self.since: Moment | None = None
        self.is_raised = False
        self._seen: Moment | None = None
        self._value = value
        self._delay_ms = round(meaning.delay_s * 1000)
        self._repeat_ms = round(meaning.repeat_after_s * 1000)
        self._fold = Fold(fold_ms, pair=meaning.back is not None) if meaning.is_folded else None

    @property
    def is_on(self) -> bool:
        """Whether the condition lasts, told or not."""
        return self.since is not None

    def observe(
        self,
        now: Now,
        draft: Draft,
        *,
        is_on: bool,
        value: Scalar = None,
        details: Mapping[str, Scalar] | None = None,
    ) -> bool:
        """The device tells its state. Returns whether it changed."""
        is_change = is_on is not self.is_on
        if not is_on:
            if is_change:
                self._end(now, draft, value)
            return is_change
        if is_change:
            self.since = self._seen = now.moment()
            draft.touch(self)
            self._raise_when_due(now, draft, value, details)
        elif self._seen is not None and self._fold is None:
            gap_ms = now.boot_ms - self._seen.at_ms
            if gap_ms >= self._repeat_ms and self.is_raised:
                self._seen = now.moment()
                draft.touch(self)
                self._tell(draft, Told(is_on=True), value, {"repeated": True})
            elif gap_ms * 10 >= self._repeat_ms:
                self._seen = now.moment()
                draft.touch(self)
        return is_change

    def due_ms(self, now: Now) -> int | None:
        """When it has to be looked at again."""
        if self._fold is not None and (folded_ms := self._fold.due_ms()) is not None:
            return folded_ms
        if self.since is None or self.is_raised:
            return None
        raise_ms = self._raise_ms(self.since, now)
        if raise_ms is not None and raise_ms <= now.boot_ms:
            return raise_ms
        hours = self.meaning.hours
        if hours is None:
            return raise_ms
        if raise_ms is None:
            raise_ms = now.opens_ms(hours) + self._delay_ms
        # Both the clock and the word on whether it can be trusted may change.
        return min(raise_ms, now.boot_ms + LOOK_AGAIN_MS)

    def run(self, now: Now, draft: Draft) -> None:
        """Raise when it has lasted long enough; tell what was folded when it is time."""
        draft.touch(self)
        if self._fold is not None and (told := self._fold.run(is_on=self.is_raised, now=now)) is not None:
            self._tell(draft, told, self._value)
        self._raise_when_due(now, draft, self._value)

    def dump(self) -> str:
        fold = "" if self._fold is None else self._fold.dump()
        if self.since is None:
            return f"|||{fold}" if fold else ""
        seen = "" if self._seen is None else self._seen.text
        return f"{self.since.text}|{'raised' if self.is_raised else ''}|{seen}|{fold}"

    def restore(self, text: str, now: Now) -> None:
        """What lasted when the machine stopped counts as having lasted long enough when nobody knows how long."""
        since, _, rest = text.partition("|")
        raised, _, rest = rest.partition("|")
        seen, _, fold = rest.partition("|")
        if since:
            self.since = recall(since, now, assumed_ms=self._delay_ms)
            self.is_raised = raised == "raised"
            self._seen = recall(seen or since, now, assumed_ms=self._repeat_ms)
        if self._fold is not None and fold:
            self._fold.restore(fold, now)

    def _raise_when_due(
        self, now: Now, draft: Draft, value: Scalar, details: Mapping[str, Scalar] | None = None
    ) -> None:
        if self.since is None or self.is_raised:
            return
        raise_ms = self._raise_ms(self.since, now)
        if raise_ms is None or raise_ms > now.boot_ms:
            return
        self.is_raised = True
        extra = dict(details or {})
        if not self.since.is_known:
            extra["lasted"] = "unknown"
        elif self._delay_ms:
            extra["lasted_s"] = (now.boot_ms - self.since.at_ms) // 1000
        if self.meaning.hours is not None and not now.is_trusted:
            extra["hours"] = "clock_untrusted"
        self._change(now, draft, value, is_on=True, details=extra)

    def _raise_ms(self, since: Moment, now: Now) -> int | None:
        """When it has lasted long enough, as far as can be said now; None outside of its hours."""
        begin_ms = since.at_ms
        hours = self.meaning.hours
        if hours is not None and now.is_trusted:
            opened_ms = now.opened_ms(hours)
            if opened_ms is None:
                return None
            begin_ms = max(begin_ms, opened_ms)
        return begin_ms + self._delay_ms

    def _end(self, now: Now, draft: Draft, value: Scalar) -> None:
        was_raised = self.is_raised
        self.since = self._seen = None
        self.is_raised = False
        draft.touch(self)
        if was_raised:
            self._change(now, draft, value, is_on=False, details={})

    def _change(self, now: Now, draft: Draft, value: Scalar, *, is_on: bool, details: Mapping[str, Scalar]) -> None:
        told: Told | None = Told(is_on=is_on)
        if self._fold is not None:
            told = self._fold.change(is_on=is_on, now=now)
        if told is not None:
            self._tell(draft, told, value, details)

    def _tell(self, draft: Draft, told: Told, value: Scalar, details: Mapping[str, Scalar] | None = None) -> None:
        meaning = self.meaning
        if told.is_on:
            draft.tell(
                self.device,
                meaning.kind,
                lane=meaning.lane,
                action=meaning.action,
                value=value,
                details=details,
                rule=self.rule,
                count=told.count,
            )
        elif meaning.back is not None:
            draft.tell(
                self.device,
                meaning.back,
                lane=meaning.back_lane,
                value=value,
                details={"cleared": meaning.kind.word} if meaning.kind.is_alarm else None,
                rule=self.rule,
                count=told.count,
            )
