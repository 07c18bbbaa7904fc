"""Brings the fixtures: place, i2c_bus."""

pytest_plugins = ["outstation.testing"]
