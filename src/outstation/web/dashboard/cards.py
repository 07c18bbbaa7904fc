"""One card a sensor, one card an output.

What is wrong with a card is said in words and by its shape, never by colour alone.
"""

from __future__ import annotations

from outstation.core import standing
from outstation.core.actuation import ActuatorState
from outstation.core.readings import Quality, Reading, Value
from outstation.core.sensors import SensorState
from outstation.web.api.status import ends_at
from outstation.web.dashboard import wording
from outstation.web.dashboard.acts import left, output_acts
from outstation.web.dashboard.view import View, text, time_element

_ERROR_SHOWN = 200
"""Characters of an error on a card: the first line says what happened, the log has the rest."""

_WIDE, _HUGE = 6, 9
"""Characters of a value from which on it is set smaller, so that it fits a card of half a phone."""

_LONG = 12
"""Characters of a text above which it is read as a sentence and no longer as a state."""

_MINUS = "\u2212"


def sensor_card(state: SensorState, view: View, spark: str = "") -> str:
    """Return the card of one sensor. spark: its last hours, as a picture."""
    marks = _sensor_marks(state, view)
    picture = f"<div class=picture>{spark}</div>" if spark else ""
    return (
        f'<li class="card{_kind(marks)}"{_for_scripts(state, view)}>{_plot_title(state, view)}{_value(state, view)}'
        f"<p class=when>{_when(state, view)}</p>{_said(marks, state.error)}{picture}</li>\n"
    )


def wall_card(state: SensorState, view: View) -> str:
    """Return one sensor as it stands on the wall: by its device, where it is another's.

    That it failed is said, and not how: what an error says is for who looks after the node.
    """
    marks = _sensor_marks(state, view)
    spec = state.spec
    whose = f"{text(spec.device)} · " if spec.device else ""
    return (
        f'<li class="one{_kind(marks)}" title="{text(spec.name)}"><h2>{whose}{_label(spec.name, spec.label)}</h2>'
        f"{_value(state, view)}<p class=when>{_when(state, view)}</p>{_said(marks, '')}</li>\n"
    )


def output_card(state: ActuatorState, view: View) -> str:
    """Return the card of one output."""
    spec = state.spec
    marks = ["failed"] if state.error else []
    if state.lock:
        marks.append("locked")
    if spec.name in view.simulated:
        marks.append("simulated")
    shape = "unknown" if state.level is None else "lit" if state.level else "dark"
    return (
        f'<li class="card output{_kind(marks)}" data-output="{text(spec.name)}">'
        f'<h3 title="{text(spec.name)}">{_label(spec.name, spec.label)}</h3>'
        f'<p class="value state {shape}">{wording.level(state.level)}</p>'
        f"<p class=when>{_decided(state, view)}</p>{_said(marks, state.error)}{output_acts(state, view)}</li>\n"
    )


def _kind(marks: list[str]) -> str:
    return " bad" if "failed" in marks else " doubtful" if set(marks) - {"simulated"} else ""


def _said(marks: list[str], error: str) -> str:
    """Return what is to be said about a sensor or an output, in words."""
    shown = "".join(f"<li {_mark_kind(mark)}>{mark}</li>" for mark in marks)
    return (
        f"<div class=said>{f'<ul class=marks>{shown}</ul>' if shown else ''}"
        f"{f'<p class=error>{text(_first_line(error))}</p>' if error else ''}</div>"
    )


def _for_scripts(state: SensorState, view: View) -> str:
    """Return what a script needs to go on with a card by itself."""
    spec, age = state.spec, state.age(view.moment.now)
    words = wording.state_words(spec.name)
    found = {"sensor": spec.name, "unit": spec.unit, "words": "" if words == ("on", "off") else ",".join(words)}
    if age is not None:
        found |= {"at": str(view.moment.at - age), "limit": str(state.stale_limit())}
    return "".join(f' data-{key}="{text(value)}"' for key, value in found.items() if value)


def _plot_title(state: SensorState, view: View) -> str:
    name = state.spec.name
    where = text(f"/api/plot.svg?sensor={name}&last={view.last}&units={view.units.temperature}")
    link = f'href="{where}" data-plot="{text(name)}" data-last={view.last} title="{text(name)}"'
    return f"<h3><a {link}>{_label(name, state.spec.label)}</a></h3>"


def _label(name: str, label: str) -> str:
    return text(label or wording.human(name))


def _value(state: SensorState, view: View) -> str:
    newest = state.newest
    if newest is None or newest.value is None:
        return '<p class="value none">\u2013</p>'
    shown, unit = wording.value_and_unit(state.spec.name, newest.value, state.spec.unit, view.units)
    kind = _size(newest.value, shown)
    suffix = f"<span class=unit> {text(unit)}</span>" if unit else ""
    return f'<p class="value{kind}">{_inner(newest.value, shown)}{suffix}</p>'


def _size(value: Value, shown: str) -> str:
    if isinstance(value, str | bool):
        return " words" if len(shown) <= _LONG else " long"
    return " huge" if len(shown) >= _HUGE else " wide" if len(shown) >= _WIDE else ""


def _inner(value: Value, shown: str) -> str:
    """Return a number with a true minus sign, its plain form for programs; a text in its own direction."""
    if isinstance(value, str):
        return f"<bdi>{text(shown)}</bdi>"
    if isinstance(value, bool):
        return shown
    return f'<data value="{shown}">{shown.replace("-", _MINUS)}</data>'


def _when(state: SensorState, view: View) -> str:
    newest, age = state.newest, state.age(view.moment.now)
    if newest is None or age is None:
        return "no reading yet"
    return f"<span class=age>{wording.age(age)}</span><span class=at> · {time_element(newest.at, view)}</span>"


def _sensor_marks(state: SensorState, view: View) -> list[str]:
    marks = ["failed"] if state.error else []
    if state.newest is not None:
        if state.is_stale(view.moment.now):
            marks.append(_old(state, view))
        marks += _quality_mark(state.newest)
    if state.spec.name in view.simulated:
        marks.append("simulated")
    return marks


def _old(state: SensorState, view: View) -> str:
    """Return since when the newest reading counts no longer."""
    since = view.moment.at - (state.age(view.moment.now) or 0) + state.stale_limit()
    return f"old since {wording.clock_time(wording.local(since, view.zone), view.today)}"


def _quality_mark(newest: Reading) -> list[str]:
    return [] if newest.quality is Quality.OK else [newest.quality.name.lower().replace("_", " ")]


def _mark_kind(mark: str) -> str:
    if mark in ("failed", "simulated"):
        return f"class={mark}"
    return "class=warn data-old" if mark.startswith("old") else "class=warn"


def _decided(state: ActuatorState, view: View) -> str:
    """Return since when, who decides and until when, and what comes next."""
    who = standing.who(state, at=view.moment.at, now=view.moment.now)
    parts = []
    until = ends_at(state.claim) if who.line == "manual" else who.until
    if until is not None:
        parts.append(f"until {time_element(until, view)}, {left(until, view)} left")
    elif state.changed_at is not None and state.level is not None:
        parts.append(f"since {time_element(state.changed_at, view)}")
    if by := _BY.get(who.line, "by its limit {}").format(text(who.who or who.line)):
        parts.append(by)
    if who.pending:
        at = f" at {time_element(who.pending.effective_at, view)}" if who.pending.effective_at else ""
        parts.append(f"then {wording.level(who.pending.level)}{at} by {text(who.pending.who)}")
    return " · ".join(parts)


_BY = {
    "lock-out": "locked by {}",
    "safety": "by the safety rule {}",
    "interlock": "waits for {}",
    "max_on": "by its limit max_on",
    "manual": "by {}",
    "rule": "by the rule {}",
    "default": "",
}
"""Who decides, by the line of the order: a name is put in."""


def _first_line(error: str) -> str:
    line = error.strip().partition("\n")[0]
    return line if len(line) <= _ERROR_SHOWN else f"{line[: _ERROR_SHOWN - 1]}…"
