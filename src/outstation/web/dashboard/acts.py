"""What a reader may do: sign in; move outputs and simulated inputs, change settings, acknowledge alerts.

The law of this file: what is rendered here is sent by ui/act.js, `form[data-act]` by its submitter's value, and what
came of it is said in the form's own `<output>`. Without scripts nothing of it is shown. What may be moved is rendered
for who may: the gate decides anyway.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

from outstation.core import standing
from outstation.core.actuation import ActuatorSpec, ActuatorState
from outstation.core.claims import Want
from outstation.core.node import Node
from outstation.core.readings import Alert, Millis
from outstation.core.sensors import SensorState
from outstation.core.settings import SettingSpec
from outstation.web.dashboard import wording
from outstation.web.dashboard.view import View, text, time_element

_TIMES: tuple[Millis, ...] = (300_000, 600_000, 1_800_000, 3_600_000, 14_400_000, 43_200_000, 86_400_000)
"""For how long a person moves an output: from looking what it does to a day of work beside it."""

_MOVES: tuple[Millis, ...] = (60_000, 600_000)
"""For how long a simulated input is moved: it comes back by itself."""

_SHOWN = 50

_SAID = '<output data-keep tabindex="-1"></output>'


def session_bar(view: View) -> str:
    """Return who the reader is, and the way in or out."""
    if not view.who:
        said = "<button type=button data-sign-in aria-haspopup=dialog>Sign in</button>"
    else:
        said = f"<span>Signed in as {text(view.who)}</span> <button type=button data-sign-out>Sign out</button>"
    return (
        f'<p class=session data-session="{text(view.who)}">{said}</p>\n<output class=session-said data-keep></output>\n'
    )


def sign_in(why: str, node: str) -> str:
    """Return the dialog that takes a key. why: it is needed; node: by whose name browsers keep it."""
    return (
        "<dialog id=sign-in aria-labelledby=sign-in-title data-keep>\n<form method=dialog autocomplete=on>\n"
        "<h2 id=sign-in-title>Sign in</h2>\n"
        f"<p>{text(why)} One is made on the machine that the node runs on:"
        " <code>outstation keys create phone --scope control</code></p>\n"
        f'<input name=username autocomplete=username value="{text(node)}" readonly hidden>\n'
        "<label for=sign-in-key>Key</label>\n"
        "<input id=sign-in-key type=password name=password autocomplete=current-password autocapitalize=none"
        ' spellcheck=false required maxlength=256 aria-describedby="sign-in-said sign-in-kept">\n'
        "<label class=tick><input type=checkbox data-show-key> Show the key</label>\n"
        "<output id=sign-in-said class=refused></output>\n"
        "<p id=sign-in-kept class=kept>This browser then stays signed in for 90 days, or until you sign out."
        " The key itself is not kept by this page.</p>\n"
        "<p class=buttons><button class=first>Sign in</button>"
        "<button type=button data-close>Cancel</button></p>\n</form>\n</dialog>\n"
    )


def output_acts(state: ActuatorState, view: View) -> str:
    """Return who wants an output, and what may be done with it."""
    form = _output_form(state) if view.may_control else _may_not(state, view)
    lock = _lock(state) if view.may_control and not state.lock else ""
    why = f"Why is it {wording.level(state.level)}?"
    return f"{form}<details class=wants><summary>{why}</summary>{_wants(state, view)}</details>{lock}"


def setting_said(spec: SettingSpec, value: float, said: str, view: View) -> str:
    """Return what a setting is, ready to be changed by who may. said: escaped already."""
    if not view.may_control:
        return said
    label = text(spec.label or wording.human(spec.name))
    low, high = (f' {key}="{_plain(bound)}"' if bound is not None else "" for key, bound in _bounds(spec))
    return (
        f"<details><summary>{said}</summary>"
        f'<form data-act=setting data-name="{text(spec.name)}" novalidate>'
        f"<label><span class=unseen>{label}</span><input type=number name=value inputmode=decimal step=any required"
        f'{low}{high} value="{_plain(value)}"> {text(spec.unit)}</label> '
        f"<button class=first value=save>Save</button>"
        f"<button value=default>Default: {_plain(spec.default)}</button><p class=hint>{_bounds_words(spec)}</p>{_SAID}"
        "</form></details>"
    )


def alert_acts(alert: Alert, view: View) -> str:
    """Return what may be done about an alert of this node, and why its rule is as it is."""
    if alert.node:
        return ""
    why = why_of(alert.subject, "Why?") if alert.kind == "rule" else ""
    if not view.may_control:
        return why
    button = (
        f'<button aria-label="Acknowledge: {text(alert.message)}">Acknowledge</button>'
        if alert.state == "raised"
        else ""
    )
    return f'<form data-act=alert data-name="{alert.id}">{button}{_SAID}</form>{why}'


def why_of(rule: str, said: str) -> str:
    """Return what is said of a rule, and when it is opened, why. said: escaped already."""
    address = text(f"/api/rules/{quote(rule, safe='')}/explain")
    return (
        f'<details data-why="{text(rule)}"><summary>{said}</summary>'
        f'<div class=why data-keep><a href="{address}">{address}</a></div></details>'
    )


def simulated_section(node: Node, view: View) -> Iterator[str]:
    """Return the simulated inputs, to be moved by who may."""
    states = [state for state in node.sensors.values() if state.spec.name in view.simulated and state.newest]
    if not (states and view.may_control):
        return
    yield "<section id=simulated>\n<h2>Simulated inputs</h2>\n<dl class=list>\n"
    yield from (_simulated(state) for state in states[:_SHOWN])
    yield "</dl>\n</section>\n"


def left(until: Millis, view: View) -> str:
    """Return how long it is until then, counted down by ui/why.js."""
    return f'<span data-until="{until}">{_left(until - view.moment.at)}</span>'


def _output_form(state: ActuatorState) -> str:
    name, spec = _name(state), state.spec
    if state.lock:
        inner = _button("unlock", "Unlock", name, "first")
    else:
        release = "Release: let the rules decide" if spec.ruled else "Release"
        inner = f"{_moves(state, name)}<label>for {_times(spec)}</label>"
        inner += _button("release", release, name) if state.claim else ""
    return f'<form data-act=output data-name="{text(spec.name)}" novalidate>{inner}{_SAID}</form>'


def _may_not(state: ActuatorState, view: View) -> str:
    if view.who:
        return "<p class=hint>To switch it takes a key with the scope “control”; yours may only look.</p>"
    words = "Sign in to switch it"
    return f'<p><button type=button data-sign-in aria-label="{words}: {_name(state)}">{words}</button></p>'


def _lock(state: ActuatorState) -> str:
    return (
        "<details class=wants><summary>Lock it, for work on what it drives</summary>"
        f'<form data-act=output data-name="{text(state.spec.name)}"><p class=hint>A lock keeps it off, whatever rules'
        f" and people ask for, until it is unlocked.</p>{_button('lock', 'Lock', _name(state))}</form></details>"
    )


def _name(state: ActuatorState) -> str:
    return text(state.spec.label or wording.human(state.spec.name))


def _moves(state: ActuatorState, name: str) -> str:
    buttons = _button("on", "Switch on", name, "first") + _button("off", "Switch off", name, "first")
    if not state.spec.dimmable:
        return buttons
    percent = round(float(state.level or 0) * 100)
    field = f'<input type=number name=value min=0 max=100 value="{percent}" aria-label="{name}, in percent"> % '
    return f"{buttons}<span>{field}{_button('set', 'Set', name)}</span>"


def _button(value: str, label: str, of: str, kind: str = "") -> str:
    of_class = f' class="{kind}"' if kind else ""
    return f'<button value="{value}"{of_class} aria-label="{label}: {of}">{label}</button>'


def _times(spec: ActuatorSpec) -> str:
    """Return the times to choose from; what the node would take by itself is chosen."""
    limit = spec.manual_limit
    times = sorted({*_TIMES, *([] if limit is None else [limit])})
    options = [("", "ever, until released")] if limit is None else []
    options += [(_word(time), _left(time)) for time in times]
    chosen = "" if limit is None else _word(limit)
    return f"<select name=for>{''.join(_option(*each, chosen) for each in options)}</select>"


def _option(value: str, label: str, chosen: str) -> str:
    return f'<option value="{value}"{" selected" if value == chosen else ""}>{label}</option>'


def _wants(state: ActuatorState, view: View) -> str:
    who = standing.who(state, at=view.moment.at, now=view.moment.now)
    wants = [_want(want, view) for want in sorted(state.wants, key=lambda want: (not want.safety, -want.priority))]
    if claim := state.claim:
        since = time_element(claim.since + view.moment.at - view.moment.now, view)
        wants.insert(0, f"<li><b>{wording.level(claim.level)}</b>: {text(claim.who)}, since {since}</li>")
    listed = f"<ul>{''.join(wants)}</ul>" if wants else ""
    safe = f"If the program ends, it is switched {wording.level(state.spec.safe)}."
    return f"<p>Now {text(who.text)}.</p>{listed}<p>{safe}</p>"


def _want(want: Want, view: View) -> str:
    since = time_element(want.since + view.moment.at - view.moment.now, view)
    kind = "the safety rule" if want.safety else "the rule"
    doubt = "" if want.decided else "; it cannot be decided just now"
    said = f"<b>{wording.level(want.level)}</b>: {kind} {text(want.rule)}, since {since}{doubt}"
    return f'<li data-rule="{text(want.rule)}">{why_of(want.rule, said)}</li>'


def _simulated(state: SensorState) -> str:
    """Return the row of a simulated input: a contact by its two words, a number by a field."""
    spec, value = state.spec, state.newest.value if state.newest else None
    label = text(spec.label or wording.human(spec.name))
    if isinstance(value, bool):
        kind, words = "bool", wording.state_words(spec.name)
        field = "".join(_button(word, said, label) for word, said in zip(("true", "false"), words, strict=True))
    else:
        kind = "text" if isinstance(value, str) else "number"
        rest = "maxlength=255" if kind == "text" else "step=any inputmode=decimal"
        field = f'<input type={kind} name=value {rest} required aria-label="{label}"> {text(spec.unit)} '
        field += _button("move", "Move", label)
    times = "".join(_option(_word(time), _left(time), _word(_MOVES[0])) for time in _MOVES)
    select = f'<label>for <select name=for>{times}<option value="">good</option></select></label>'
    return (
        f'<div id="simulated-{text(spec.name)}"><dt>{label}</dt><dd>'
        f'<form data-act=simulate data-name="{text(spec.name)}" data-kind={kind}>{field}{select}{_SAID}</form>'
        "</dd></div>\n"
    )


def _bounds(spec: SettingSpec) -> tuple[tuple[str, float | None], tuple[str, float | None]]:
    return ("min", spec.low), ("max", spec.high)


def _bounds_words(spec: SettingSpec) -> str:
    if spec.low is not None and spec.high is not None:
        return f"From {_plain(spec.low)} to {_plain(spec.high)}"
    if spec.low is not None:
        return f"From {_plain(spec.low)} on"
    return "Any number" if spec.high is None else f"Up to {_plain(spec.high)}"


def _plain(value: float) -> str:
    """Return a number with all that it says, for a field."""
    return f"{value:.15g}"


def _word(time: Millis) -> str:
    """Return a time as the API takes it."""
    return f"{time}ms" if time < 10**9 else f"{time // 1000}s"


def _left(millis: Millis) -> str:
    """Return a time that is to pass, in its two largest units."""
    parts, rest = [], max(0, millis) // 1000
    for unit, seconds in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        count, rest = divmod(rest, seconds)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2]) or "0 s"
