"""No settings file, however odd, gets anything but an answer in words."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

import config
from config.devices import DEVICE_KINDS, DeviceSettings
from config.loader import SECTIONS
from config.profiles import PROFILES

WORDS = [
    *SECTIONS,
    *DeviceSettings.model_fields,
    *("type", "url", "inputs", "pin", "address", "mapping", "value", "main", "radio", "outputs"),
]
values = st.recursive(
    st.one_of(
        st.booleans(),
        st.integers(-(2**40), 2**40),
        st.floats(),
        st.text(max_size=8),
        st.sampled_from(["ble", "gpio", "espa", "https", "mqtt", "pendant", "door", "pendant-1", "22:00", "r-7f3a90"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(WORDS), inner, max_size=4),
    ),
    max_leaves=12,
)


def _toml(value: Any) -> str:
    """An inline value; floats that TOML cannot say are not made here."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            escaped = "".join(each if each.isalnum() or each in "-:. " else f"\\U{ord(each):08x}" for each in value)
            return f'"{escaped}"'
        case list():
            return "[" + ", ".join(map(_toml, value)) + "]"
        case dict():
            return "{" + ", ".join(f"{key} = {_toml(each)}" for key, each in value.items()) + "}"
        case _:
            return repr(value).replace("infinity", "inf")


def _check(text: str) -> config.Checked:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "hub.toml"
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        checked = config.check(path)
    assert (checked.settings is None) == any(each.severity == "error" for each in checked.problems)
    for problem in checked.problems:
        assert str(problem)
        assert len(problem.message) < 1000
    return checked


@given(content=st.dictionaries(st.sampled_from(WORDS), values, max_size=6))
@settings(max_examples=300, deadline=None)
def test_whatever_stands_in_a_file_is_answered_and_never_a_traceback(content):
    _check("\n".join(f"{key} = {_toml(value)}" for key, value in content.items()))


@given(text=st.text(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_text_at_all_is_answered(text):
    _check(text)


overrides = st.fixed_dictionaries(
    {"profile": st.sampled_from(sorted(PROFILES))},
    optional={
        "kind": st.sampled_from(DEVICE_KINDS),
        "lane": st.sampled_from(["alarm", "care", "technical"]),
        "action": st.sampled_from(["none", "lamp"]),
        "delay_s": st.sampled_from([0.0, 5.0]),
        "active_between": st.just(("22:00", "06:00")),
        "missing_after_s": st.sampled_from([0.0, 60.0]),
        "inactivity_after_s": st.sampled_from([0.0, 60.0]),
        "above": st.floats(0, 10),
        "below": st.floats(0, 10),
        "hysteresis": st.floats(0, 1),
        "quantity": st.just("spo2"),
    },
)


@given(device=overrides)
@settings(max_examples=500, deadline=None)
def test_overrides_that_are_accepted_never_delay_or_demote_life_and_fire(device):
    found = DeviceSettings(alias="x", **device)
    if list(found.objections()):
        return
    profile = found.resolved
    for meaning in (*profile.meanings.values(), profile.limit, profile.inactivity):
        if meaning.kind.is_alarm:
            assert meaning.lane.is_urgent
        if meaning.kind.is_alarm and meaning.kind.rank <= 1:
            assert meaning.delay_s == 0
            assert meaning.hours is None
