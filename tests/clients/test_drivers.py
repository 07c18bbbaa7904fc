"""The drivers for boards, against the examples of the data sheets."""

from __future__ import annotations

from tests.clients.micropython import run

BUS = """
import machine, struct
bus = machine.I2C(scl=machine.Pin(5), sda=machine.Pin(4))

def said(what):
    try:
        return what()
    except OSError as error:
        return error
"""


def test_mcp9808_above_and_below_zero_whatever_its_limits_say() -> None:
    """Microchip, DS25095A, section 5.1.3 and figure 5-4: 12 bits and a sign; three flags before them."""
    said = run(
        BUS
        + """
from mcp9808 import MCP9808
registers = {6: 0x0054, 7: 0x0400}
machine.wired[0x18] = lambda register, count, data=None: struct.pack(">H", registers[register])
sensor = MCP9808(bus)
for word in (0x0194, 0xC194, 0x1E70, 0x1FFF, 0x0000, 0x07D0):
    registers[5] = word
    print(sensor.temperature())
registers[7] = 0x0200
print(said(MCP9808(bus).temperature))
print(said(MCP9808(bus, address=0x1F).temperature).errno)
"""
    )
    readings, [wrong, nobody] = said.splitlines()[:-2], said.splitlines()[-2:]
    assert [float(line) for line in readings] == [25.25, 25.25, -25.0, -0.0625, 0.0, 125.0]
    assert (wrong, nobody) == ("what answers at 0x18 is no MCP9808", "19")


def test_bmp280_as_the_data_sheet_calculates() -> None:
    """Bosch, BST-BMP280-DS001, section 3.12: its example, 25.08 °C and 100653.27 Pa. In whole numbers a bit is lost."""
    said = run(
        BUS
        + """
from bmp280 import BMP280
factory = (27504, 26435, -1000, 36477, -10685, 3024, 2855, 140, -7, 15500, -14600, 6000)
memory = bytearray(256)
memory[0x88:0xA0] = struct.pack("<HhhHhhhhhhhh", *factory)
memory[0xD0] = 0x58
busy = [3]  # it is asked so often before it has measured
written = []

def part(register, count, data=None):
    if data is not None:
        written.append((register, data[0]))
        memory[0xF7:0xFD] = b"\\x65\\x5a\\xc0\\x7e\\xed\\x00"  # 415148 and 519888, 20 bits each
        return None
    if register == 0xF3:
        busy[0] -= 1
        return bytes((8 if busy[0] > 0 else 0,))
    return bytes(memory[register : register + count])

machine.wired[0x77] = part
sensor = BMP280(bus)
print(sensor.temperature(), sensor.pressure(), written[0])
busy[0] = 1000
print(said(sensor.pressure))
busy[0] = 0
memory[0xF7:0xFD] = b"\\x80\\x00\\x00\\x80\\x00\\x00"
machine.wired[0x77] = lambda register, count, data=None: None if data else part(register, count)
print(said(sensor.pressure))
memory[0xD0] = 0x55
print(said(BMP280(bus).pressure))
"""
    )
    values, slow, nothing, wrong = said.splitlines()
    temperature, pressure, rest = values.split(" ", 2)
    assert float(temperature) == 25.08
    assert abs(float(pressure) - 1006.5327) < 0.0005
    assert rest == f"({0xF4}, {0b001_011_01})"
    assert slow == "the BMP280 does not finish measuring"
    assert nothing == "the BMP280 has measured nothing"
    assert wrong == "what answers at 0x77 is no BMP280"


def test_dht22_is_asked_once_in_two_seconds() -> None:
    said = run(
        BUS
        + """
import dht, time
from dht22 import DHT22
sensor = DHT22(machine.Pin(14))
print(said(sensor.temperature))
print(sensor.temperature(), sensor.humidity(), dht.DHT22.asked)
time.sleep_ms(2000)
print(sensor.humidity(), dht.DHT22.asked)
"""
    )
    assert said.splitlines() == ["checksum error", "-3.5 81.2 2", "81.2 3"]
