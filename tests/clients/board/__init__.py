"""A simulated board: the modules that MicroPython has on boards alone, with a clock that only sleeping moves."""
