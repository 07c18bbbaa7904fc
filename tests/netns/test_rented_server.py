"""The page of the rented server, word by word: Debian's own nginx, ports 80 and 443, a client from elsewhere.

In a network and a file system of its own (unshare(1)). Stand-ins: openssl for certbot's authority, a process for the
service, a line of /etc/hosts for DNS.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.netns.apart import needs_namespaces
from tests.system.nginx import needs_nginx

pytestmark = [needs_namespaces, needs_nginx, pytest.mark.long]

PAGE = Path(__file__).parent.parent.parent / "docs" / "how-to" / "rent-a-server.md"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)

AROUND = """
set -eu
mount -t tmpfs none "$PLACE" && cd "$PLACE" && mkdir up work logs
mount -t overlay none -o lowerdir=/etc,upperdir=up,workdir=work /etc
mount --bind logs /var/log/nginx && mount -t tmpfs none /run
ip link set lo up && ip address add 203.0.113.1/32 dev lo && ip address add 203.0.113.7/32 dev lo
echo "203.0.113.1 iot.example.com" >> /etc/hosts
sudo() { "$@"; }
systemctl() { nginx -s reload 2>/dev/null || nginx; sleep 0.3; }
certbot() {
    curl -sf --interface 203.0.113.7 http://iot.example.com/.well-known/acme-challenge/none >/dev/null || [ $? = 22 ]
    live=/etc/letsencrypt/live/iot.example.com && mkdir -p $live
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 90 -subj /CN=iot.example.com \\
        -addext subjectAltName=DNS:iot.example.com -keyout $live/privkey.pem -out $live/fullchain.pem 2>/dev/null
    export CURL_CA_BUNDLE=$live/fullchain.pem SSL_CERT_FILE=$live/fullchain.pem
}
export PATH="$BIN:$PATH"
printf '%s' "$CONFIG" > outstation.toml
outstation check >/dev/null
outstation run --data "$DATA" >node.log 2>&1 &
node=$!
trap 'kill $node; wait $node; nginx -s stop' EXIT
until curl -s http://127.0.0.1:5000/api/health >/dev/null; do sleep 0.1; done
key=$(outstation keys create phone --scope read --scope control --data "$DATA" --json \\
    | sed -n 's/.*"key": "\\(.*\\)".*/\\1/p')
"""

AFTER = """
far() { curl -s --interface 203.0.113.7 "$@"; }
BOARD
echo "stranger $(far -o /dev/null -w '%{http_code}' https://iot.example.com/api/status)"
echo "page $(far -H "X-API-Key: $key" https://iot.example.com/ \\
    | tr -d '\\n' | grep -o '>70[.]7<.\\{0,40\\}F' | head -1)"
outstation doctor --data "$DATA" --json > doctor.json || true
echo "doctor $(tr -d '\\n' < doctor.json)"
"""


def blocks() -> list[tuple[str, str]]:
    return BLOCK.findall(PAGE.read_text())


def test_it_ends_with_fahrenheit_on_a_phone_and_a_content_doctor(tmp_path: Path) -> None:
    config = next(text for kind, text in blocks() if kind == "toml")
    nginx = next(text for _, text in blocks() if "certbot certonly" in text)
    board = next(text for _, text in blocks() if "curl -0" in text)
    asked, _, answer = board.partition("\n")
    script = AROUND + nginx + AFTER.replace("BOARD", f'echo "board $({asked.replace("curl", "far")})"')
    (tmp_path / "place").mkdir()
    names = {
        "PLACE": str(tmp_path / "place"),
        "DATA": str(tmp_path / "data"),
        "BIN": f"{sys.prefix}/bin",
        "CONFIG": config,
    }
    done = subprocess.run(
        ["unshare", "--net", "--mount", "bash", "-c", script],
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **names},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    said = dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)
    assert {"board", "stranger", "page", "doctor"} <= said.keys(), done.stdout + done.stderr
    assert said["board"] == answer.strip()
    assert said["stranger"] == "401"
    assert "°F" in said["page"]
    document: dict[str, Any] = json.loads(said["doctor"])
    mend = [one for one in document["findings"] if one["state"] == "mend" and one["topic"] != "clock"]
    proxy = next(one for one in document["findings"] if one["topic"] == "proxy at https://iot.example.com")
    assert (proxy["state"], "(203.0.113.1)" in proxy["text"]) == ("ok", True)
    assert mend == [], "but for the clock, which is the machine's that this runs on"
