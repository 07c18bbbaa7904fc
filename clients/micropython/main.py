"""The first board: a thermometer MCP9808 on a Feather Huzzah ESP8266. Change what is in capitals."""

import board
from machine import I2C, Pin
from mcp9808 import MCP9808

from outstation import Server

bus = I2C(scl=Pin(5), sda=Pin(4))  # the pins SCL and SDA of the Feather
thermometer = MCP9808(bus)

board.run(
    sensors={"temperature": thermometer.temperature},
    server=Server("192.168.1.10", "KEY", port=5000),
    wifi=("NETWORK", "PASSWORD"),
    every=60,
    stop_after=8 * 3600,  # seconds; 0: for ever
)
