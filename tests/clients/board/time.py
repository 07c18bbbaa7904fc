"""Time: it passes while the board sleeps, and at no other moment. Timers are heard meanwhile."""

_PERIOD = 1 << 30  # MicroPython, docs/library/time.rst: the counter of a board begins anew

_now = 0
timers = []


def ticks_ms() -> int:
    """Return milliseconds of a counter that begins anew after 12.4 days."""
    return _now % _PERIOD


def ticks_diff(later: int, earlier: int) -> int:
    """Return how long it is from one to the other."""
    return (later - earlier + _PERIOD // 2) % _PERIOD - _PERIOD // 2


def sleep_ms(millis: int) -> None:
    """Let time pass."""
    global _now  # noqa: PLW0603  a clock has one state
    until = _now + millis
    while True:
        due = [timer for timer in timers if timer.due <= until]
        if not due:
            break
        timer = min(due, key=lambda timer: timer.due)
        _now = timer.due
        timer.due += timer.period
        timer.callback(timer)
    _now = until
