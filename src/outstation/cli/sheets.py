"""A sheet for whoever wires a board: its channel and keys, the wiring, and programs that are ready to run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit


def base(url: str | None, urls: Sequence[str]) -> str:
    """Return the address that boards are to use, without a slash at its end."""
    return (url or next(iter(urls), "http://ADDRESS-OF-THIS-NODE:5000")).rstrip("/")


def sheet(board: dict[str, Any], url: str) -> str:
    """Return the sheet of one board, as GET /api/devices/{name} describes it."""
    host, port = _host(url)
    named = zip(board["fields"], board["units"], strict=True)
    fields = [f"field{number} {name}{unit and f' in {unit}'}" for number, (name, unit) in enumerate(named, 1)]
    facts = [
        ("Channel", str(board["channel"])),
        ("Write key", board["write_key"]),
        ("Read key", "none needed: the channel is public" if board["public"] else board["read_key"] or "the write key"),
        ("Fields", ", ".join(fields)),
        ("Hardware address", board["mac"] or ""),
        ("Station key", (board["key"] or "the write key") if board["mac"] else ""),
    ]
    lines = [f"{name + ':':<18}{value}" for name, value in facts if value]
    title = f"Board {board['name']}"
    parts = [
        f"{title}\n{'=' * len(title)}",
        "\n".join(lines),
        f"Wiring (MCP9808 or BMP280 on a Feather HUZZAH ESP8266; other boards: their own SDA and SCL)\n{_WIRING}",
        f"Try it from a computer\n{_curl(board, url)}",
        f"MicroPython: main.py\n{_micropython(board, host, port)}\n{_CLIENT}",
        f"Arduino, with the library ThingSpeak\n{_arduino(board, host, port)}",
    ]
    if board["mac"]:
        parts.append(f"As a weather station\n{_station(board, url)}")
    return "\n\n".join(parts) + "\n"


_WIRING = """\
  sensor VIN or VCC -> 3V     sensor GND -> GND
  sensor SCL or SCK -> 5      sensor SDA or SDI -> 4
  For deep sleep: 16 -> RST, once it is programmed."""


_CLIENT = """\
  A client that reads sensors, and keeps readings while the network is away: clients/micropython. Its key is one of the
  API's own: outstation keys create NAME --scope write --device NAME"""


def _curl(board: dict[str, Any], url: str) -> str:
    last = f"{url}/channels/{board['channel']}/fields/1/last.txt"
    read = last if board["public"] else f"{last}?api_key={board['read_key'] or board['write_key']}"
    return f'  curl "{url}/update?api_key={board["write_key"]}&field1=21.5"\n  curl "{read}"'


def _micropython(board: dict[str, Any], host: str, port: int) -> str:
    return f"""\
  import socket, time

  def send(value):
      s = socket.socket()
      try:
          s.connect(socket.getaddrinfo("{host}", {port})[0][-1])
          s.send(("GET /update?api_key={board["write_key"]}&field1=%s HTTP/1.0\\r\\n"
                  "Host: {host}\\r\\n\\r\\n" % value).encode())
          return s.recv(400)
      finally:
          s.close()

  while True:
      print(send(21.5))  # in place of 21.5: what the sensor reads
      time.sleep(60)"""


def _arduino(board: dict[str, Any], host: str, port: int) -> str:
    return f"""\
  // In ThingSpeak.h: #define THINGSPEAK_URL "{host}"
  //                  #define THINGSPEAK_PORT_NUMBER {port}
  ThingSpeak.begin(client);
  ThingSpeak.setField(1, 21.5f);
  int status = ThingSpeak.writeFields({board["channel"]}UL, "{board["write_key"]}");  // 200: it is on disk"""


def _station(board: dict[str, Any], url: str) -> str:
    key = board["key"] or board["write_key"]
    return f'  curl "{url}/update/API_key={key}/mac={board["mac"]}/field=1/data=72.3"'


def _host(url: str) -> tuple[str, int]:
    """Return the host and the port of an address."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
