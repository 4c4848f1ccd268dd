#!/usr/bin/env python3
"""Lists source files and folders that the documents name and that do not exist. Names below a package's shorthand, as the
walkthroughs introduce them, are looked for there. For a person to read: not every name in a sentence is a whole path."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHORT = {
    "http/": "crates/http/src/", "metadata/": "crates/metadata/src/sqlite/", "folder/": "crates/storage/src/local/",
    "formats/": "crates/formats/src/", "client/": "crates/client/src/", "service/": "src/service/", "model/": "src/model/",
    "ports/": "src/ports/", "storage/src": "crates/storage/src", "uploader/": "app/src/uploader/",
}
NAMED = re.compile(r"`((?:[a-z0-9_]+/)+(?:[a-z0-9_]+\.(?:rs|js|ts|sql|py))?)`")


def candidates(name):
    yield ROOT / name
    for short, whole in SHORT.items():
        if name.startswith(short):
            yield ROOT / (whole + name.removeprefix(short))
    yield ROOT / "crates" / name


def main():
    missing = 0
    for file in [ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        for number, line in enumerate(file.read_text(encoding="utf-8").split("\n"), 1):
            for name in NAMED.findall(line):
                if not name.startswith("target/") and not any(candidate.exists() for candidate in candidates(name)):
                    missing += 1
                    print(f"{file.relative_to(ROOT)}:{number}: {name}")
    print(f"{missing} named paths do not exist", file=sys.stderr)


if __name__ == "__main__":
    main()
