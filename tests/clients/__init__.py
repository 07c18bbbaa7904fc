"""The clients in clients/: run on a real MicroPython, against a real node."""
