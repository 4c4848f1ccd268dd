#!/usr/bin/env python3
"""Checks that the source files and folders which the documents name exist. Names below a package's shorthand, as the
walkthroughs introduce them, are looked for there."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHORT = {
    "http/": "crates/http/src/", "metadata/": "crates/metadata/src/", "local/": "crates/storage/src/local/",
    "formats/": "crates/formats/src/", "client/": "crates/client/src/", "service/": "src/service/", "model/": "src/model/",
    "ports/": "src/ports/", "storage/src": "crates/storage/src", "uploader/": "app/src/uploader/",
}
# Folders of a bucket or of a home, not of this repository.
ELSEWHERE = {"_lakeshore/", "lakeshore/"}
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
                if name in ELSEWHERE or name.startswith("target/"):
                    continue
                if not any(candidate.exists() for candidate in candidates(name)):
                    missing += 1
                    print(f"{file.relative_to(ROOT)}:{number}: {name}")
    if missing:
        sys.exit(f"{missing} named paths do not exist")


if __name__ == "__main__":
    main()
