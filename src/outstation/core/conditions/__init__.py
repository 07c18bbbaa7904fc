"""The rule language: text -> tree -> true, false or unknown.

`tokens`, `cursor`, `quantities` and `grammar` read a text into the `tree`; `checking` compares the tree with what the
node has; `evaluation` decides, `explanation` says why, `waking` when to ask again without being told
of anything. The reference for those who write conditions is docs/reference/rules.md.
"""

from outstation.core.conditions.checking import Known, check, unit_of
from outstation.core.conditions.evaluation import Decide, Local, Measure, View, decider, evaluate, measurer
from outstation.core.conditions.explanation import Part, explain, lines
from outstation.core.conditions.grammar import parse, parse_value
from outstation.core.conditions.mistakes import ConditionError, Mistake
from outstation.core.conditions.tree import Condition, Expression, actuators, asks_for_the_sun, sensors, settings, spans
from outstation.core.conditions.waking import Look, Minutes, Outlook, ager, minuter, next_aging, next_change
from outstation.core.conditions.writing import written

__all__ = [
    "Condition",
    "ConditionError",
    "Decide",
    "Expression",
    "Known",
    "Local",
    "Look",
    "Measure",
    "Minutes",
    "Mistake",
    "Outlook",
    "Part",
    "View",
    "actuators",
    "ager",
    "asks_for_the_sun",
    "check",
    "decider",
    "evaluate",
    "explain",
    "lines",
    "measurer",
    "minuter",
    "next_aging",
    "next_change",
    "parse",
    "parse_value",
    "sensors",
    "settings",
    "spans",
    "unit_of",
    "written",
]
