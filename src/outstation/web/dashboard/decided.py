"""What the node decides by: its standing alerts, its rules, its settings."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from urllib.parse import urlencode

from outstation.core import explaining
from outstation.core.decisions import Decisions
from outstation.core.readings import SEVERITIES, Alert
from outstation.core.rules import RuleState
from outstation.core.settings import SettingSpec
from outstation.core.windows import DAY, HOUR
from outstation.web.dashboard import wording
from outstation.web.dashboard.acts import alert_acts, left, setting_said, why_of
from outstation.web.dashboard.view import View, text, time_element

SHOWN = 50
"""Of each kind, at most: more are for the API."""


_SPANS = {"6h": 6 * HOUR, "24h": DAY, "7d": 7 * DAY, "30d": 30 * DAY, "1y": 365 * DAY}
"""Of a plot that begins before an alert: the least in which it has a quarter of its length before it."""

_MOST_DRAWN = 6
"""Sensors in one plot: ui/plot.js."""


def alerts_section(standing: Sequence[Alert], view: View, known: Collection[str] = ()) -> Iterator[str]:
    """Return the alerts that stand, the most urgent and of these the newest first. known: what has a plot."""
    if not standing:
        return
    urgent = sorted(standing, key=lambda alert: (SEVERITIES.index(alert.severity), alert.id), reverse=True)
    yield "<section id=alerts class=alerts>\n<h2>Alerts</h2>\n<ul>\n"
    yield from (_alert(alert, view, known) for alert in urgent[:SHOWN])
    yield f"</ul>\n{_more(len(standing), '/api/alerts')}</section>\n"


def rules_section(decisions: Decisions, view: View) -> Iterator[str]:
    """Return the rules, and how each is."""
    decisions.sight.at, decisions.sight.now = view.moment
    said = {name: _rule(state, decisions, view) for name, state in decisions.rules.items()}
    said |= {spec.name: "disabled" for spec in decisions.disabled}
    rows = [_row("rule", name, name, why_of(name, each)) for name, each in said.items()]
    return _list("Rules", rows, "/api/rules")


def settings_section(decisions: Decisions, view: View) -> Iterator[str]:
    """Return the settings, and what each is."""
    rows = [
        _row("setting", spec.name, spec.label or wording.human(spec.name), _setting(spec, decisions, view))
        for spec in decisions.setting_specs.values()
    ]
    return _list("Settings", rows, "/api/settings")


def _alert(alert: Alert, view: View, known: Collection[str]) -> str:
    seen = f" · seen by {text(alert.acknowledged_by)}" if alert.state == "acknowledged" else ""
    where = f"{alert.node}: " if alert.node else ""
    return (
        f'<li class="{alert.severity}" data-alert="{alert.id}"><b>{alert.severity}</b> {text(where + alert.message)}'
        f"<p class=when>since {time_element(alert.raised_at, view)}{seen}{_plot_of(alert, view, known)}</p>"
        f"{alert_acts(alert, view)}</li>\n"
    )


def _plot_of(alert: Alert, view: View, known: Collection[str]) -> str:
    """Return a link to the plot of what an alert is about."""
    where = f"{alert.node}/" if alert.node else ""
    names = [name for each in (*alert.values, alert.subject) if (name := where + each) in known][:_MOST_DRAWN]
    if not names:
        return ""
    passed = view.moment.at - alert.raised_at
    last = next((words for words, span in _SPANS.items() if passed <= span * 3 // 4), "5y")
    query = urlencode([*(("sensor", name) for name in names), ("last", last), ("units", view.units.temperature)])
    plotted = text(",".join(names))
    return f' · <a href="{text(f"/api/plot.svg?{query}")}" data-plot="{plotted}" data-last={last}>plot</a>'


def _rule(state: RuleState, decisions: Decisions, view: View) -> str:
    step = view.moment.at - view.moment.now
    if state.failed:
        return "failed"
    if state.since is not None:
        return f"fires since {time_element(state.since + step, view)}"
    if state.truth is None:
        return _unknown(state, decisions, view)
    if state.asked is not None:
        fires_at = state.asked + state.spec.hold + step
        since = time_element(state.asked + step, view)
        return f"about to fire: true since {since}, fires in {left(fires_at, view)}"
    return "waits"


def _unknown(state: RuleState, decisions: Decisions, view: View) -> str:
    why = ", ".join(explaining.unknowns(state, decisions.sight))
    since = (
        ""
        if state.unknown is None
        else f" since {time_element(state.unknown + view.moment.at - view.moment.now, view)}"
    )
    return f"unknown{since}{': ' if why else ''}{text(why)}"


def _setting(spec: SettingSpec, decisions: Decisions, view: View) -> str:
    saved, value = decisions.set_by.get(spec.name), decisions.settings[spec.name]
    by = f" · by {text(saved.who)}" if saved else ""
    return setting_said(spec, value, f"{value:g} {text(spec.unit)}{by}", view)


def _list(title: str, rows: Sequence[str], address: str) -> Iterator[str]:
    if not rows:
        return
    yield f"<section id={title.lower()}>\n<h2>{title}</h2>\n<dl class=list>\n"
    yield from rows[:SHOWN]
    yield f"</dl>\n{_more(len(rows), address)}</section>\n"


def _row(kind: str, name: str, label: str, said: str) -> str:
    """Return one row; what is said is escaped already."""
    return f'<div data-{kind}="{text(name)}"><dt>{text(label)}</dt><dd>{said}</dd></div>\n'


def _more(count: int, address: str) -> str:
    return f'<p class=more>and {count - SHOWN} more: <a href="{address}">{address}</a></p>\n' if count > SHOWN else ""
