#!/usr/bin/env python3
"""Checks every relative link, image and anchor of every Markdown file of the repository.

An anchor is computed as GitHub does: lower case, punctuation dropped, spaces as hyphens.
Addresses of other hosts are not fetched.
"""

import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(\s*<?([^)<>\s]+)>?(?:\s+\"[^\"]*\")?\s*\)")
DEFINITION = re.compile(r"^\[[^\]]+\]:\s+<?([^\s>]+)>?", re.MULTILINE)
HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*$")
FENCE = re.compile(r"^\s*(```+|~~~+)")


def markdown_files():
    """Those that git knows or would add, so that built folders are left out."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout
    return sorted(path for path in map(ROOT.joinpath, set(listed.split("\n")) - {""}) if path.is_file())


def prose(text):
    """The text without code blocks: a list of (line number, line)."""
    lines, fence = [], None
    for number, line in enumerate(text.split("\n"), 1):
        match = FENCE.match(line)
        if fence is None and match:
            fence = match.group(1)
        elif fence is not None and line.strip().startswith(fence) and not line.strip().strip(fence[0]):
            fence = None
        elif fence is None:
            lines.append((number, line))
    return lines


def slug(heading):
    heading = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").replace("*", "")
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def anchors(text):
    found = set(re.findall(r"<a (?:id|name)=\"([^\"]+)\"", text))
    counts = {}
    for _, line in prose(text):
        match = HEADING.match(line)
        if match:
            anchor = slug(match.group(1))
            number = counts.get(anchor, 0)
            counts[anchor] = number + 1
            found.add(anchor if number == 0 else f"{anchor}-{number}")
    return found


def targets(text):
    """Every target with its line. A link may be broken into lines."""
    lines = [""] * (text.count("\n") + 1)
    for number, line in prose(text):
        lines[number - 1] = re.sub(r"`[^`]*`", lambda code: code.group().replace("](", "  "), line)
    joined = "\n".join(lines)
    for match in [*LINK.finditer(joined), *DEFINITION.finditer(joined)]:
        yield joined.count("\n", 0, match.start()) + 1, match.group(1)


def problem_of(file, target, known):
    if re.match(r"[a-z][a-z0-9+.-]*:", target) or target.startswith("//"):
        return None
    path, _, anchor = target.partition("#")
    aim = file if not path else (ROOT / path.lstrip("/") if path.startswith("/") else file.parent / unquote(path)).resolve()
    if not aim.is_relative_to(ROOT) or not aim.exists():
        return f"{target} does not exist"
    if anchor and aim.suffix == ".md":
        if aim not in known:
            known[aim] = anchors(aim.read_text(encoding="utf-8"))
        if unquote(anchor) not in known[aim]:
            return f"{target}: {aim.relative_to(ROOT)} has no heading of that anchor"
    return None


def main():
    known, count, problems = {}, 0, []
    for file in markdown_files():
        for number, target in targets(file.read_text(encoding="utf-8")):
            count += 1
            problem = problem_of(file, target, known)
            if problem:
                problems.append(f"{file.relative_to(ROOT)}:{number}: {problem}")
    print("\n".join(problems), file=sys.stderr, end="\n" if problems else "")
    if count == 0:
        sys.exit("no links were found; is this a checkout?")
    if problems:
        sys.exit(f"{len(problems)} of {count} links lead nowhere; correct them")
    print(f"{count} links lead somewhere")


if __name__ == "__main__":
    main()
