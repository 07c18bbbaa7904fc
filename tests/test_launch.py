"""What a start writes down: the outputs of this config, or none; never those of an older one."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from outstation.launch import write_down
from outstation.wire import outputs
from outstation.wire.outputs import Output

OLD = Output("gpio", "vent", "", 17, active_low=False, safe=True)
NEW = Output("gpio", "vent", "", 27, active_low=False, safe=False)


def test_pins_of_an_older_config_are_not_left_where_the_new_ones_cannot_be_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_down([OLD], tmp_path)
    (tmp_path / "outputs.new").mkdir()
    with caplog.at_level(logging.WARNING):
        write_down([NEW], tmp_path)
    assert not (tmp_path / "outputs").exists()
    assert "will not know the outputs" in caplog.text


def test_what_is_right_already_is_left_although_nothing_can_be_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_down([OLD], tmp_path)
    (tmp_path / "outputs.new").mkdir()
    write_down([OLD], tmp_path)
    assert (tmp_path / "outputs").read_text() == outputs.text([OLD])
    assert not caplog.text
