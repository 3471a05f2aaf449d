"""`make status`: everything that is not finished or not checked, with counts.  Standard library only."""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ("compiler", "grammar", "runtime", "cli", "benchmarks", "tests", ".ci")
KINDS = {
    "not compiled yet": re.compile(r"not compiled yet|\"E0901\""),
    "skip": re.compile(r"pytest\.(mark\.)?(skip|skipif|importorskip)\b"),
    "xfail": re.compile(r"pytest\.(mark\.)?xfail\b"),
    "type-ignore": re.compile(r"#\s*(type|pyright):\s*ignore"),
    "noqa": re.compile(r"#\s*noqa\b"),
    "todo": re.compile(r"#\s*(TODO|FIXME|XXX)\b"),
}


def files() -> list[Path]:
    """The Python files of the project."""
    return sorted(path for folder in SOURCES for path in (ROOT / folder).rglob("*.py"))


def main() -> int:
    found: dict[str, list[str]] = {kind: [] for kind in KINDS}
    for path in files():
        if path == Path(__file__).resolve():
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            for kind, pattern in KINDS.items():
                if pattern.search(line):
                    found[kind].append(f"{path.relative_to(ROOT)}:{number}: {line.strip()}")
    for kind, places in found.items():
        print(f"{kind}: {len(places)}")
        for place in places:
            print(f"  {place}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
