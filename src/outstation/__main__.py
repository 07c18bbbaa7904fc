"""The command line: `outstation`, or `python -m outstation`."""

from __future__ import annotations

import os

from outstation.cli import (
    alerts,
    backtest,
    backup,
    demo,
    devices,
    doctor,
    drill,
    exchange,
    keys,
    machine,
    nodes,
    outputs,
    proxy,
    questions,
    reading,
    reporting,
    retention,
    rules,
    sensors,
    services,
    uplinks,
)
from outstation.cli.root import root

__all__ = ["main", "root"]

COMMANDS = (
    nodes,
    devices,
    demo,
    machine,
    reading,
    questions,
    rules,
    backtest,
    exchange,
    alerts,
    keys,
    reporting,
    uplinks,
    sensors,
    retention,
    backup,
    outputs,
    drill,
    services,
    proxy,
    doctor,
)
"""Importing a file of commands adds them to `root`."""


def main() -> None:
    """Run the command that the arguments name, and exit with its status. What it writes is not for strangers."""
    os.umask(os.umask(0) | 0o027)
    root(prog_name="outstation")


if __name__ == "__main__":
    main()
