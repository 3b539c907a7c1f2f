"""More alarms at once than a home can watch over: who is forgotten."""

from __future__ import annotations

from cloud_sync.identity import EventId, Lane
from cloud_sync.stub import LocalAction
from cloud_sync.vocabulary import AlarmClass
from gateway.local_response.watched import MAX_WATCHED, Watched, surplus


def watched(number: int, device: str, *, is_gone: bool = False) -> Watched:
    return Watched(
        event=EventId(b"h" * 8, b"e" * 8, Lane.ALARM, number),
        device=device,
        alarm_class=AlarmClass.PERSONAL,
        action=LocalAction.LAMP_AND_BUZZER,
        moment="",
        raised_s=float(number),
        is_gone=is_gone,
    )


def test_nothing_is_forgotten_while_there_is_room() -> None:
    assert surplus([watched(number, "button-1", is_gone=True) for number in range(MAX_WATCHED)]) == []


def test_what_is_over_goes_before_what_was_called_for_again_and_that_before_the_oldest() -> None:
    rooms = [watched(number, f"room-{number}") for number in range(MAX_WATCHED - 2)]
    pressed, again = watched(100, "room-5"), watched(101, "room-5")
    over = watched(102, "room-999", is_gone=True)
    assert surplus([*rooms, pressed, again, over]) == [over.event]
    assert surplus([*rooms, watched(99, "room-5"), pressed, again]) == [rooms[5].event]
    assert surplus([*rooms, watched(99, "room-6"), pressed, again]) == [rooms[5].event]
    others = [watched(200 + number, f"room-{number + 200}") for number in range(3)]
    assert surplus([*rooms, *others]) == [rooms[0].event]


def test_who_presses_and_presses_has_nobody_else_forgotten() -> None:
    others = [watched(number, f"room-{number}") for number in range(MAX_WATCHED - 1)]
    held = [*others]
    for number in range(200):
        held.append(watched(1000 + number, "button-1"))
        gone = set(surplus(held))
        held = [one for one in held if one.event not in gone]
    assert held[:-1] == others
    assert held[-1].event.seq == 1199
