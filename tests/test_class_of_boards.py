"""Twenty boards behind one address, one of them with a wrong key: nothing is lost, and one sees which it is."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.running import Running
from tests.test_cli_devices import devices
from tests.web.boards import TRUSTED, values

BOARDS, WORDS = 20, 10
NAMES = [f"lamp-{number}" for number in range(BOARDS)]


def key(name: str) -> str:
    return f"{name.upper().replace('-', '')}KEY"


def test_a_class(tmp_path: Path) -> None:
    file = tmp_path / "class.csv"
    rows = [f"{name},temperature,{key(name)}" for name in NAMES]
    file.write_text("\n".join(["name,fields,write_key", *rows]))

    def speak(name: str) -> list[bytes]:
        sent = "WRONG" if name == "lamp-7" else key(name)
        return [node.get(f"/update?api_key={sent}&field1={number}.50").body for number in range(WORDS)]

    with Running(tmp_path / "data", TRUSTED) as node:
        devices(node.data, "add", "--from", str(file))
        with ThreadPoolExecutor(BOARDS) as pool:
            answers = dict(zip(NAMES, pool.map(speak, NAMES), strict=True))
        assert answers.pop("lamp-7") == [b"0"] * WORDS
        assert answers == {name: [b"%d" % number for number in range(1, WORDS + 1)] for name in answers}
        for name in answers:
            assert values(node, f"{name}/temperature") == [number + 0.5 for number in range(WORDS)]
        shown = devices(node.data, "list")
    heard, refused = shown.split("\n\n")
    assert [line.split()[0] for line in heard.splitlines() if "never" in line] == ["lamp-7"]
    assert refused.splitlines()[2].split()[3] == str(WORDS)
    assert refused.endswith("perhaps lamp-7\n")
