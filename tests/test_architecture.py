"""The shape of the code: what the import linter cannot say.

Each law is a function from a file to the places where it is broken, and each is shown a file that breaks it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "outstation"
LONGEST = 400

# What the core may import: msgspec, itself, the errors, and what only computes.
PURE = frozenset(
    "__future__ array bisect collections dataclasses enum fractions functools heapq ipaddress itertools math msgspec "
    "operator re statistics string typing".split()
)
WORLDLY = frozenset("__import__ eval exec input open print".split())
PURE_PARTS = ("outstation.core", "outstation.errors")

DRAWERS = frozenset("util utils helper helpers manager handler handlers common base misc".split())
LEFT_OVER = re.compile(r"\b(?:TODO|FIXME|XXX|HACK)\b")
SQL = re.compile(
    r"^\s*(?:SELECT\s.+?\sFROM\b|SELECT\s+count|INSERT\s+(?:OR\s+\w+\s+)?INTO\b|UPDATE\s+\w+\s+SET\b|DELETE\s+FROM\b"
    r"|CREATE\s+(?:TABLE|INDEX|UNIQUE|TRIGGER|VIEW)\b|ALTER\s+TABLE\b|DROP\s+(?:TABLE|INDEX)\b|PRAGMA\s+\w+|BEGIN\s+IMMEDIATE)",
    re.IGNORECASE | re.DOTALL,
)


def modules(folder: Path = SOURCE) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def imported(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, name.name) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, "." * node.level + (node.module or "")
            if node.module == "outstation":
                yield from ((node.lineno, f"outstation.{name.name}") for name in node.names)


def is_pure(name: str) -> bool:
    inside = name == "outstation" or name.startswith(PURE_PARTS)
    return inside or name.partition(".")[0] in PURE


def impure_imports(text: str) -> list[str]:
    return [f"{line}: imports {name}" for line, name in imported(ast.parse(text)) if not is_pure(name)]


def impure_calls(text: str) -> list[str]:
    """Find what reaches the world without an import."""
    nodes = list(ast.walk(ast.parse(text)))
    names = [node for node in nodes if isinstance(node, ast.Name) and node.id in WORLDLY]
    waits = [node for node in nodes if isinstance(node, ast.AsyncFunctionDef | ast.Await)]
    return [*(f"{node.lineno}: calls {node.id}" for node in names), *(f"{node.lineno}: waits" for node in waits)]


def sql(text: str) -> list[str]:
    strings = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant))
    return [
        f"{node.lineno}: {node.value[:40]!r}"
        for node in strings
        if isinstance(node.value, str) and SQL.match(node.value)
    ]


def left_over(text: str) -> list[str]:
    return [f"{number}: {line.strip()}" for number, line in enumerate(text.splitlines(), 1) if LEFT_OVER.search(line)]


def too_long(text: str) -> list[str]:
    lines = len(text.splitlines())
    return [f"{lines} lines, {LONGEST} are allowed: split it"] if lines > LONGEST else []


def drawers(text: str) -> list[str]:
    """Find classes named after nothing: a Manager says no more than a utils.py."""
    classes = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ClassDef))
    return [f"{node.lineno}: {node.name}" for node in classes if DRAWERS & set(words(node.name))]


def words(name: str) -> list[str]:
    return [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)]


def wordless(text: str) -> list[str]:
    return [] if " " in (ast.get_docstring(ast.parse(text)) or "") else ["1: says nothing about itself"]


def broken(law: Callable[[str], list[str]], files: list[Path]) -> list[str]:
    return [f"{file.relative_to(ROOT)}:{place}" for file in files for place in law(file.read_text())]


def test_the_core_is_pure() -> None:
    assert broken(impure_imports, modules(SOURCE / "core")) == []
    assert broken(impure_calls, modules(SOURCE / "core")) == []


def test_sql_stands_in_the_store_alone() -> None:
    assert broken(sql, [file for file in modules() if SOURCE / "store" not in file.parents]) == []


def test_no_module_is_too_long() -> None:
    assert broken(too_long, [*modules(), *modules(ROOT / "tests")]) == []


def test_no_file_or_class_is_a_drawer() -> None:
    everywhere = [*modules(), *modules(ROOT / "tests"), *modules(ROOT / "benchmarks")]
    assert [file for file in everywhere if DRAWERS & set(words(file.stem))] == []
    assert [folder for file in everywhere if DRAWERS & set(words((folder := file.parent).name))] == []
    assert broken(drawers, everywhere) == []


def test_nothing_is_left_to_do() -> None:
    files = [*modules(), *modules(ROOT / "tests"), *modules(ROOT / "benchmarks"), *(ROOT / "scripts").iterdir()]
    assert broken(left_over, [file for file in files if file != Path(__file__)]) == []


def test_every_package_and_module_says_what_it_is() -> None:
    assert broken(wordless, modules()) == []


@pytest.mark.parametrize(
    ("law", "text"),
    [
        (impure_imports, "import time"),
        (impure_imports, "from outstation import clock"),
        (impure_imports, "from outstation.clock import now"),
        (impure_imports, "def f() -> None:\n    import asyncio"),
        (impure_calls, "text = open('x').read()"),
        (impure_calls, "async def f() -> None: ..."),
        (sql, "connection.execute('select at, value from log where at > ?')"),
        (sql, "text = f'INSERT OR IGNORE INTO log VALUES ({marks})'"),
        (left_over, f"# {'TO'}DO: later"),
        (too_long, "\n" * (LONGEST + 1)),
        (drawers, "class SensorManager: ..."),
        (drawers, "class HTTPHandler: ..."),
        (wordless, '"""."""'),
    ],
)
def test_each_law_can_be_broken(law: Callable[[str], list[str]], text: str) -> None:
    assert len(law(text)) == 1


def test_words_that_are_no_law_breaking() -> None:
    assert impure_imports("import math\nfrom outstation.core.readings import Reading\nimport msgspec") == []
    assert sql("message = 'Select a sensor'") == []
    assert drawers("class Database: ...") == []
