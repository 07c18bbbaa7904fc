"""From the tables of a config to what the core decides with: rules, settings, and the limits of outputs.

No hardware is touched for it, so that rules can also be tried on what was recorded. The config has been
checked before: what cannot be parsed raises here.
"""

from __future__ import annotations

from outstation.config.models import ActuatorTable, AlertClause, Config
from outstation.core import messages
from outstation.core.claims import ActuatorSpec
from outstation.core.conditions import Condition, parse, written
from outstation.core.conditions.tree import Sensor
from outstation.core.readings import Millis
from outstation.core.rules import AlertSpec, RuleSpec
from outstation.core.settings import SettingSpec


def actuator_spec(table: ActuatorTable, *, dimmable: bool, ruled: bool) -> ActuatorSpec:
    """Return an output's spec. dimmable: its driver can. ruled: some rule may claim it."""
    return ActuatorSpec(
        table.name,
        table.label,
        safe=table.safe == "on",
        default=table.default == "on",
        dimmable=dimmable,
        min_on=table.min_on or 0,
        min_off=table.min_off or 0,
        max_on=table.max_on,
        interlock=table.interlock,
        lease=table.lease,
        manual_for=table.manual_for,
        ruled=ruled,
    )


def ruled(config: Config) -> frozenset[str]:
    """Return the outputs that some rule may claim."""
    return frozenset(name for table in config.rules for name in table.claim)


def setting_specs(config: Config) -> list[SettingSpec]:
    """Return the settings, in the order of the file."""
    return [
        SettingSpec(table.name, table.value, table.min, table.max, table.unit, table.label) for table in config.settings
    ]


def rule_specs(config: Config) -> list[RuleSpec]:
    """Return the rules in the order of the file, and behind them one for each output with feedback."""
    outputs, settings = [table.name for table in config.actuators], [table.name for table in config.settings]

    def condition(text: str) -> Condition:
        return parse(text, actuators=outputs, settings=settings)

    repeat = config.alerts.repeat
    rules = [
        RuleSpec(
            table.name,
            condition(table.when),
            None if table.until is None else condition(table.until),
            table.hold or 0,
            0 if table.priority == "safety" else table.priority,
            table.priority == "safety",
            table.enabled,
            table.claim,
            _alert_spec(table.alert, repeat) if table.alert else None,
            table.after_restart == "restart",
        )
        for table in config.rules
    ]
    return [*rules, *(_feedback_rule(table, repeat) for table in config.actuators if table.feedback)]


def feedback_name(output: str) -> str:
    """Return the name of the rule that compares an output with its feedback."""
    return f"feedback of {output}"


def _alert_spec(clause: AlertClause, repeat: Millis | None) -> AlertSpec:
    again = repeat if clause.repeat is None else clause.repeat
    return AlertSpec(messages.parse(clause.message), clause.severity, again)


def _feedback_rule(table: ActuatorTable, repeat: Millis | None) -> RuleSpec:
    """Return the rule that says when an output does not do what it is told."""
    output, sensor = (written(Sensor(name)) for name in (table.name, table.feedback or ""))
    differ = f"({output} is on and {sensor} is off) or ({output} is off and {sensor} is on)"
    called = (table.label or table.name).replace("{", "{{").replace("}", "}}")
    words = f"{called} does not do what it is told: it was set to {{{table.name}}}, and {table.feedback} says "
    message = messages.parse(f"{words}{{{table.feedback}}}. Look at its wiring, its relay and its fuse.")
    return RuleSpec(
        feedback_name(table.name),
        parse(differ, actuators=[table.name]),
        hold=table.feedback_within,
        alert=AlertSpec(message, "critical", repeat),
    )
