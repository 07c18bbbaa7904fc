"""What flaps does not fill the journal."""

from __future__ import annotations

from outstation.core.readings import Note
from outstation.engine.chatter import AT_ONCE, MINUTE, Chatter


def fires(subject: str = "ventilate") -> Note:
    return Note("rule fires", subject, "air > 30", 0)


def test_so_many_lines_a_minute_and_then_a_count() -> None:
    chatter = Chatter()
    written = [chatter.written(fires(), now) for now in range(0, 50_000, 100)]
    assert [len(lines) for lines in written] == [1] * AT_ONCE + [0] * (500 - AT_ONCE)
    told, note = chatter.written(fires(), MINUTE)
    assert told == Note("rule fires", "ventilate", f"and {500 - AT_ONCE} times more within a minute: it flaps", 0)
    assert note == fires()


def test_one_that_flaps_silences_no_other() -> None:
    chatter = Chatter()
    for now in range(100):
        chatter.written(fires(), now)
    assert chatter.written(fires("heat"), 100) == [fires("heat")]


def test_what_people_do_is_always_written() -> None:
    chatter, note = Chatter(), Note("command", "vent", "on by anna", 0)
    assert all(chatter.written(note, now) == [note] for now in range(200))
