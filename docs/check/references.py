#!/usr/bin/env python3
"""Checks that the reference is complete against the source: routes, error codes, events, options, exit codes.

It reads the source as text, wherever a file lies, so it needs no build.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "docs" / "reference"
README_LINES_MAX = 150
SOURCE_FOLDERS = ["src", "server/src", "crates"]


def sources():
    for folder in SOURCE_FOLDERS:
        for file in sorted((ROOT / folder).rglob("*.rs")):
            yield file, file.read_text(encoding="utf-8")


def without_tests(text):
    return text.split("#[cfg(test)]\nmod tests")[0]


def routes(all_sources):
    """Every address of the routers, with constants such as {ADDRESS} put in."""
    for file, text in all_sources:
        if "http" not in file.parts:
            continue
        text = without_tests(text)
        constants = dict(re.findall(r'const (\w+): &str = "(/[^"]*)"', text))
        imported = re.findall(r"\b(ADDRESS)\b", text)
        if imported and "ADDRESS" not in constants:
            constants["ADDRESS"] = "/api/lake/files"
        for name in re.findall(r'\.route\(\s*&?(?:format!\()?("[^"]+"|[A-Z_]+)', text):
            route = name.strip('"') if name.startswith('"') else constants.get(name, name)
            for constant, value in constants.items():
                route = route.replace("{" + constant + "}", value)
            if route.startswith("/api/") or route in ("/healthz", "/readyz"):
                yield route.replace("{{", "{").replace("}}", "}")


def shown(route):
    """How the reference writes a route: without its parameters' names."""
    return re.sub(r"/\{[^}]*\}$", "", route).rstrip("/")


def options(all_sources):
    """Every long option of the command line, with its environment variable."""
    for file, text in all_sources:
        if "config" not in file.name and "config" not in file.parts:
            continue
        for attributes, field in re.findall(r"#\[arg\(([^\]]*)\)\]\s*pub (\w+):", without_tests(text)):
            if re.search(r"\blong\b", attributes):
                named = re.search(r'long = "([^"]+)"', attributes)
                yield named.group(1) if named else field.replace("_", "-"), re.search(r'env = "([^"]+)"', attributes)


def main():
    all_sources = list(sources())
    page = {name: (REFERENCE / f"{name}.md").read_text(encoding="utf-8") for name in
            ["http-api", "events", "errors", "command-line", "configuration"]}
    problems, counts = [], {}

    def need(kind, what, text, where):
        counts[kind] = counts.get(kind, 0) + 1
        if not text:
            problems.append(f"{where} lacks the {kind} {what}")

    for route in sorted(set(routes(all_sources))):
        need("route", route, shown(route) in page["http-api"], "docs/reference/http-api.md")
    for _, text in all_sources:
        for number, meaning in re.findall(r'^    \w+ = (\d{5}), "(.*)";$', text, re.MULTILINE):
            row = rf"^\| {int(number) // 100} \| {number} \| [^|]+ \| [^|]+ \| [^|]+ \|$"
            need("code", f"{number} ({meaning})", re.search(row, page["errors"], re.MULTILINE), "docs/reference/errors.md")
        kinds = re.search(r"pub const KINDS: \[&str; \d+\] = \[([^\]]*)\]", text)
        if kinds and "uploads_landed" in kinds.group(1):
            for kind in re.findall(r'"(\w+)"', kinds.group(1)):
                need("event", kind, f"| `{kind}` |" in page["events"], "docs/reference/events.md")
        exits = re.search(r'pub const EXIT_CODES: &str = "\\\nExit codes:\n(.*?)";', text, re.DOTALL)
        if exits:
            for code in re.findall(r"^  (\d+) ", exits.group(1), re.MULTILINE):
                need("exit code", code, f"\n| {code} |" in page["command-line"], "docs/reference/command-line.md")
    both = page["command-line"] + page["configuration"]
    for option, variable in sorted(options(all_sources), key=lambda option: option[0]):
        need("option", f"--{option}", re.search(rf"`--{re.escape(option)}\b", both), "docs/reference")
        if variable:
            need("variable", variable.group(1), f"`{variable.group(1)}`" in both, "docs/reference")

    for kind in ["route", "code", "event", "exit code", "option", "variable"]:
        if not counts.get(kind):
            problems.append(f"no {kind} was found in the source: docs/check/references.py no longer knows how it is written")
    lines = (ROOT / "README.md").read_text(encoding="utf-8").count("\n")
    if lines > README_LINES_MAX:
        problems.append(f"README.md has {lines} lines, more than {README_LINES_MAX}; move something below docs/")
    if problems:
        sys.exit("\n".join(problems))
    print("the reference has " + ", ".join(f"{count} {kind}s" for kind, count in counts.items()))


if __name__ == "__main__":
    main()
