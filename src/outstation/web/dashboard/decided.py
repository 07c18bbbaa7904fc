"""What the node decides by: its standing alerts, its rules, its settings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from outstation.core.decisions import Decisions
from outstation.core.readings import SEVERITIES, Alert
from outstation.core.rules import RuleState
from outstation.core.settings import SettingSpec
from outstation.web.dashboard import wording
from outstation.web.dashboard.view import View, text, time_element

SHOWN = 50
"""Of each kind, at most: more are for the API."""


def alerts_section(standing: Sequence[Alert], view: View) -> Iterator[str]:
    """Return the alerts that stand, the most urgent and of these the newest first."""
    if not standing:
        return
    urgent = sorted(standing, key=lambda alert: (SEVERITIES.index(alert.severity), alert.id), reverse=True)
    yield "<section class=alerts>\n<h2>Alerts</h2>\n<ul>\n"
    yield from (_alert(alert, view) for alert in urgent[:SHOWN])
    yield f"</ul>\n{_more(len(standing), '/api/alerts')}</section>\n"


def rules_section(decisions: Decisions, view: View) -> Iterator[str]:
    """Return the rules, and how each is."""
    step = view.moment.at - view.moment.now
    rows = [(state.spec.name, _rule(state, step, view)) for state in decisions.rules.values()]
    rows += [(spec.name, "disabled") for spec in decisions.disabled]
    return _list("Rules", rows, "/api/rules")


def settings_section(decisions: Decisions) -> Iterator[str]:
    """Return the settings, and what each is."""
    specs = decisions.setting_specs.values()
    rows = [(spec.label or wording.human(spec.name), _setting(spec, decisions)) for spec in specs]
    return _list("Settings", rows, "/api/settings")


def _alert(alert: Alert, view: View) -> str:
    seen = f" · seen by {text(alert.acknowledged_by)}" if alert.state == "acknowledged" else ""
    where = f"{alert.node}: " if alert.node else ""
    return (
        f'<li class="{alert.severity}"><b>{alert.severity}</b> {text(where + alert.message)}'
        f"<p class=when>since {time_element(alert.raised_at, view)}{seen}</p></li>\n"
    )


def _rule(state: RuleState, step: int, view: View) -> str:
    if state.failed:
        return "failed"
    if state.since is not None:
        return f"fires since {time_element(state.since + step, view)}"
    if state.truth is None:
        return "unknown"
    if state.asked is not None:
        return f"fires at {time_element(state.asked + state.spec.hold + step, view)}"
    return "waits"


def _setting(spec: SettingSpec, decisions: Decisions) -> str:
    saved = decisions.set_by.get(spec.name)
    by = f" · by {text(saved.who)}" if saved else ""
    return f"{decisions.settings[spec.name]:g} {text(spec.unit)}{by}"


def _list(title: str, rows: Sequence[tuple[str, str]], address: str) -> Iterator[str]:
    """Return rows of a name, not escaped yet, and of what is said of it, which is."""
    if not rows:
        return
    yield f"<section>\n<h2>{title}</h2>\n<dl class=list>\n"
    yield from _rows(rows[:SHOWN])
    yield f"</dl>\n{_more(len(rows), address)}</section>\n"


def _rows(rows: Iterable[tuple[str, str]]) -> Iterator[str]:
    return (f"<div><dt>{text(name)}</dt><dd>{said}</dd></div>\n" for name, said in rows)


def _more(count: int, address: str) -> str:
    return f'<p class=more>and {count - SHOWN} more: <a href="{address}">{address}</a></p>\n' if count > SHOWN else ""
