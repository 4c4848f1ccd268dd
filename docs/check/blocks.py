#!/usr/bin/env python3
"""Runs the commands of the documents as printed, against a release binary in scratch folders.

    LAKESHORE_BIN=target/release/lakeshore docs/check/blocks.py [DOCUMENT …]

Each document has a scratch folder and a server of its own on a free port of loopback, which takes the place of
127.0.0.1:3000. Its `sh` blocks run in order in one shell; each has to succeed, and to print what its comments say: a line
that is a comment, and JSON in a comment behind a command. `…` stands for anything. In a `console` block commands begin
with "$ ", and every other line is output.

A comment before a block changes that:

    <!-- check: skip: why -->     it is not run, and that is said
    <!-- check: background -->    it is the server; what comes after waits until it is ready
    <!-- check: before            these commands, which nobody sees, come before it: files and syncs that it begins with
    COMMANDS
    -->

Blocks of `make` alone are not run: make runs this. `sudo` and `systemctl` are stand-ins that act on the scratch server, whose
folders take the place of /var/lib/lakeshore and /var/backups/lakeshore.
"""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [
    "README.md",
    "docs/quickstart.md",
    "docs/guides/push.md",
    "docs/guides/resumable.md",
    "docs/guides/python.md",
    "docs/guides/javascript.md",
    "docs/guides/duckdb-and-spark.md",
    "docs/guides/reading-while-it-changes.md",
    "docs/reference/http-api.md",
    "docs/operations/backup.md",
    "docs/operations/check.md",
    "docs/operations/upgrade.md",
    "docs/operations/deploy.md",
]
# Somebody who follows these does so one after the other, beside one server.
IN_ORDER = ["README.md", "docs/quickstart.md", "docs/guides/push.md", "docs/guides/resumable.md", "docs/guides/python.md"]
PORT_PRINTED = "127.0.0.1:3000"
DATA_PRINTED = "/var/lib/lakeshore"
BACKUPS_PRINTED = "/var/backups/lakeshore"
CERTIFICATES_PRINTED = "/etc/ssl/lakeshore"
NAME_PRINTED = "lake.example.com"
READY_SECONDS_MAX = 60
DOCUMENT_SECONDS_MAX = 120
PACKAGES = ["tuspy==1.1.0", "duckdb==1.5.5"]
LARGE_BYTES = 8 << 20
# Where the client of nginx is: not where nginx is.
ELSEWHERE = "127.0.0.2"


@dataclass
class Block:
    line: int
    language: str
    text: str
    directive: str


class Failed(Exception):
    pass


def end_of(lines, start, end):
    for number in range(start, len(lines)):
        if lines[number].strip() == end:
            return number
    raise Failed(f"what begins in line {start} has no end {end!r}")


def blocks_of(text):
    """Fenced blocks, also indented ones, each with the comment that stands before it."""
    found, lines, directive, number = [], text.split("\n"), "", 0
    while number < len(lines):
        line = lines[number]
        comment = re.fullmatch(r"\s*<!-- check: (.+?) -->\s*", line)
        if line.strip() == "<!-- check: before":
            start, number = number + 1, end_of(lines, number, "-->")
            found.append(Block(start + 1, "sh", "\n".join(lines[start:number]), ""))
            line = ""
        fence = re.fullmatch(r"(\s*)```(\w*)\s*", line)
        if comment:
            directive = comment.group(1)
        elif fence:
            indent, language, start = len(fence.group(1)), fence.group(2), number + 1
            number = end_of(lines, start, "```")
            body = "\n".join(inner[indent:] for inner in lines[start:number])
            if language == "console":
                body = re.sub(r"^(?!\$ )", "# ", body, flags=re.MULTILINE).replace("\n$ ", "\n").removeprefix("$ ")
            found.append(Block(start + 1, language, body, directive))
            directive = ""
        elif line.strip():
            directive = ""
        number += 1
    return found


def is_of_make(block):
    commands = [line for line in block.text.split("\n") if line.strip() and not line.startswith("#")]
    return all(line.startswith("make ") for line in commands)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def said(text):
    print(text, flush=True)


class Scratch:
    """A folder, a port, an environment, and the processes that run in them."""

    def __init__(self, binary, folder):
        self.folder = folder
        self.port = free_port()
        self.work, self.data, self.backups = folder / "work", folder / "data-of-service", folder / "backups"
        self.bin = folder / "bin"
        for made in [self.work, self.data, self.backups, self.bin, folder / "home"]:
            made.mkdir()
        (self.bin / "lakeshore").symlink_to(binary)
        self.pid_file, self.log = folder / "server.pid", folder / "server.log"
        self.write_stand_ins()
        self.environment = {
            "PATH": f"{self.bin}:{os.environ['PATH']}",
            "HOME": str(folder / "home"),
            "LANG": "C.UTF-8",
            "LAKESHORE_LISTEN": f"127.0.0.1:{self.port}",
            "LAKESHORE_SERVER": f"http://127.0.0.1:{self.port}",
        }

    def write_stand_ins(self):
        # The account of the service is this one.
        self.stand_in("sudo", 'while [ "$1" = -u ]; do shift 2; done\nexec "$@"')
        self.stand_in("install", 'arguments=()\nwhile [ $# -gt 0 ]; do\n'
                      'case $1 in -o | -g) shift 2 ;; *) arguments+=("$1"); shift ;; esac\ndone\n'
                      'exec /usr/bin/install "${arguments[@]}"')
        self.stand_in("systemctl", f"""
case "$*" in
"stop lakeshore")
    pid=$(cat {self.pid_file}); kill -TERM "$pid"
    # One that has ended, and whose parent has not asked yet, is gone too.
    while [ -e "/proc/$pid" ] && ! grep -qs '^State:[[:space:]]*Z' "/proc/$pid/status"; do sleep 0.05; done
    ;;
"start lakeshore")
    setsid lakeshore serve --data-dir {self.data} >> {self.log} 2>&1 < /dev/null &
    echo $! > {self.pid_file}
    for _ in $(seq {READY_SECONDS_MAX}0); do
        curl --silent --fail http://127.0.0.1:{self.port}/readyz > /dev/null && exit 0
        sleep 0.1
    done
    cat {self.log}; exit 1
    ;;
*) echo "the stand-in of systemctl does not know: $*"; exit 1 ;;
esac""")

    def stand_in(self, name, script):
        file = self.bin / name
        file.write_text(f"#!/usr/bin/env bash\n{script}\n")
        file.chmod(0o755)

    def put_in(self, text):
        for printed, ours in [(PORT_PRINTED, f"127.0.0.1:{self.port}"), (DATA_PRINTED, str(self.data)),
                              (BACKUPS_PRINTED, str(self.backups))]:
            text = text.replace(printed, ours)
        return text

    def run(self, command, seconds_max=DOCUMENT_SECONDS_MAX, environment=None, **options):
        return subprocess.run(
            command, cwd=self.work, env=self.environment | (environment or {}), text=True, timeout=seconds_max,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors="replace", **options,
        )

    def checked(self, command, **options):
        ran = self.run(command, **options)
        if ran.returncode != 0:
            raise Failed(f"{command} ended with {ran.returncode}:\n{ran.stdout}")
        return ran.stdout

    def start_server(self, arguments):
        with self.log.open("a") as log:
            server = subprocess.Popen(
                [self.bin / "lakeshore", "serve", *arguments], cwd=self.work, env=self.environment,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )
        self.pid_file.write_text(f"{server.pid}\n")
        self.wait_until_ready(server)

    def wait_until_ready(self, server=None):
        for _ in range(READY_SECONDS_MAX * 10):
            if self.run(["curl", "--silent", "--fail", f"http://127.0.0.1:{self.port}/readyz"]).returncode == 0:
                return
            if server and server.poll() is not None:
                break
            time.sleep(0.1)
        raise Failed(f"the server is not ready:\n{self.log.read_text(errors='replace')}")

    def stop_server(self):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, ValueError):
            os.kill(int(self.pid_file.read_text()), signal.SIGTERM)


def expectations(text):
    """What a block says that it prints: lines that are comments, and JSON behind a command."""
    for line in text.split("\n"):
        whole = re.match(r"# (.+)", line)
        behind = re.search(r"\s# ([\[{].*?[\]}])(?::|$)", line)
        if whole:
            yield whole.group(1).strip()
        elif behind:
            yield behind.group(1)


def check_output(block, output, scratch):
    printed = output.replace(f"127.0.0.1:{scratch.port}", PORT_PRINTED)
    position = 0
    for expected in expectations(block.text):
        pattern = ".*?".join(re.escape(part) for part in expected.split("…"))
        match = re.compile(pattern).search(printed, position)
        if not match:
            raise Failed(f"the block of line {block.line} does not print {expected!r} (in this order), but:\n{output}")
        position = match.end()


def run_shell(blocks, scratch, name):
    """The blocks, in one shell that ends with the first that fails. Leaves the shell's variables in a file."""
    script = ["set -Eeuo pipefail"]
    for leftover in [*scratch.folder.glob("block-*"), scratch.folder / "exports.sh"]:
        leftover.unlink(missing_ok=True)
    for number, block in enumerate(blocks):
        text = scratch.put_in(block.text)
        if block.directive == "background":
            text = re.sub(r"^lakeshore serve", "exec lakeshore serve", text, flags=re.MULTILINE)
        (scratch.folder / f"block-{number}.sh").write_text(text + "\n")
        source = f"source {scratch.folder}/block-{number}.sh"
        output = f"{scratch.folder}/block-{number}.out"
        if block.directive == "background":
            # The one of the document before has to go first.
            script.append(f"[ ! -e {scratch.pid_file} ] || systemctl stop lakeshore")
            script.append(f"( {source} ) > {scratch.log} 2>&1 < /dev/null &")
            script.append(f"echo $! > {scratch.pid_file}")
            script.append(f"for _ in $(seq {READY_SECONDS_MAX}0); do curl --silent --fail http://127.0.0.1:{scratch.port}/readyz > {output} && break; sleep 0.1; done")
        else:
            script.append(f"{source} > {output} 2>&1 < /dev/null")
        script.append(f"touch {scratch.folder}/block-{number}.done")
    script.append(f"export -p > {scratch.folder}/exports.sh")
    file = scratch.folder / "all.sh"
    file.write_text("\n".join(script) + "\n")
    ran = scratch.run(["bash", file])
    for number, block in enumerate(blocks):
        output = (scratch.folder / f"block-{number}.out")
        text = output.read_text(errors="replace") if output.exists() else ""
        if not (scratch.folder / f"block-{number}.done").exists():
            raise Failed(f"{name}:{block.line}: this block fails:\n{block.text}\n--- it printed\n{text}{ran.stdout}")
        try:
            if block.directive != "background":
                check_output(block, text, scratch)
        except Failed as failure:
            raise Failed(f"{name}: {failure}") from None
    if ran.returncode != 0:
        raise Failed(f"{name}: the shell ended with {ran.returncode}:\n{ran.stdout}")


def exported(scratch, variable):
    command = f"source {scratch.folder}/exports.sh; printf %s \"${{{variable}}}\""
    return scratch.checked(["bash", "-c", command])


def python_with_packages():
    """An environment with what the guides need, made once; or none, where it cannot be had."""
    folder = ROOT / "target" / "docs-check" / "python"
    python, marker = folder / "bin" / "python", folder / "-".join(PACKAGES)
    if not marker.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        made = subprocess.run([sys.executable, "-m", "venv", "--clear", folder]).returncode == 0
        if not made or subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES]).returncode != 0:
            return None
        marker.touch()
    return python


def run_python(blocks, scratch, name, environment=None):
    python = python_with_packages()
    if python is None:
        return f"SKIPPED: the Python snippets, as {' and '.join(PACKAGES)} cannot be installed (Python with venv, and PyPI, are needed)"
    file = scratch.work / "guide.py"
    file.write_text("\n".join(scratch.put_in(block.text) for block in blocks) + "\n")
    ran = scratch.run([python, file], environment=environment)
    if ran.returncode != 0:
        raise Failed(f"{name}: the snippets, from top to bottom, end with {ran.returncode}:\n{ran.stdout}")
    return f"{len(blocks)} Python snippets"


def run_node(blocks, scratch, name):
    modules = ROOT / "end2end" / "node_modules"
    if not shutil.which("node") or not (modules / "tus-js-client").is_dir():
        return "SKIPPED: the JavaScript snippets, as Node or end2end/node_modules are missing (make end2end/node_modules)"
    (scratch.work / "node_modules").symlink_to(modules)
    file = scratch.work / "guide.mjs"
    file.write_text("\n".join(scratch.put_in(block.text) for block in blocks) + "\n")
    key = scratch.checked(["lakeshore", "key", "create", "--name", "javascript", "--data-dir", "./data"]).split()[-1]
    ran = scratch.run(["node", file], environment={"LAKESHORE_API_KEY": key})
    if ran.returncode != 0:
        raise Failed(f"{name}: the snippets, from top to bottom, end with {ran.returncode}:\n{ran.stdout}")
    return f"{len(blocks)} JavaScript snippets"


def service_arguments(blocks, scratch):
    """The options of `serve` in the unit of systemd."""
    unit = next(block.text for block in blocks if block.language == "ini")
    command = re.search(r"^ExecStart=((?:.*\\\n)*.*)$", unit, re.MULTILINE).group(1).replace("\\\n", " ").split()
    return [scratch.put_in(argument) for argument in command[2:]]


@contextlib.contextmanager
def nginx(blocks, scratch):
    """nginx with the printed configuration: another port, other folders."""
    tls_port = free_port()
    text = scratch.put_in(next(block.text for block in blocks if block.language == "nginx"))
    text = text.replace("listen 443 ", f"listen 127.0.0.1:{tls_port} ").replace(CERTIFICATES_PRINTED, str(scratch.work))
    if f":{tls_port} " not in text:
        raise Failed("docs/operations/deploy.md: the configuration of nginx has no \"listen 443 …\"")
    folder = scratch.folder / "nginx"
    folder.mkdir()
    kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    temporary = "\n".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    user = "user root;" if os.geteuid() == 0 else ""
    file = folder / "nginx.conf"
    file.write_text(f"{user}\ndaemon off;\npid {folder}/pid;\nevents {{}}\nhttp {{\naccess_log off;\n{temporary}\n{text}\n}}\n")
    program = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
    started = subprocess.Popen([program, "-p", folder, "-c", file, "-e", folder / "error.log"], start_new_session=True)
    try:
        yield tls_port, folder / "error.log"
    finally:
        started.terminate()
        started.wait()


def check_proxy(blocks, scratch):
    if not shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin"):
        return "SKIPPED: the configuration of nginx, as nginx is missing"
    key = scratch.checked(["lakeshore", "key", "create", "--name", "proxy", "--role", "admin", "--data-dir", scratch.data]).split()[-1]
    with nginx(blocks, scratch) as (tls_port, log):
        site = f"https://{NAME_PRINTED}:{tls_port}"
        curl = ["curl", "--silent", "--show-error", "--interface", ELSEWHERE, "--cacert", scratch.work / "ca.pem",
                "--resolve", f"{NAME_PRINTED}:{tls_port}:127.0.0.1"]

        def ask(path, *options):
            return scratch.run([*curl, *options, site + path]).stdout

        def expect(what, printed, wanted):
            if wanted not in printed:
                errors = log.read_text() if log.exists() else ""
                raise Failed(f"docs/operations/deploy.md: behind nginx, {what}: {wanted!r} is not in\n{printed}\n{errors}")

        for _ in range(50):
            if "ready" in ask("/readyz"):
                break
            time.sleep(0.1)
        expect("the server is ready", ask("/readyz"), "ready")
        lists = "/api/ingestion/file/sync/list"
        expect("a key is needed", ask(lists), '"code":40100')
        expect("the session's cookie is Secure", ask("/sign-in", "-i", "--data-urlencode", f"key={key}"), "Secure")
        (scratch.work / "large").mkdir()
        (scratch.work / "large" / "large.bin").write_bytes(os.urandom(1 << 20) * (LARGE_BYTES >> 20))
        trusting = {"SSL_CERT_FILE": str(scratch.work / "ca.pem"), "LAKESHORE_SERVER": f"https://localhost:{tls_port}",
                    "LAKESHORE_API_KEY": key}
        scratch.checked(["lakeshore", "push", "large", "/data/large", "--full"], environment=trusting)
        keyed = ["-H", f"X-API-Key: {key}"]
        late = ask("/api/lake/file/upload?sync_id=1", *keyed, "--form", "file=@large/large.bin")
        expect("a refusal is heard while the body comes", late, '"code":40900')
        start = ask("/api/ingestion/file/sync/start", *keyed, "--data", '{"name": "n", "path": "/data/p", "sync_type": "IncrementalSync"}')
        expect("a sync starts", start, '{"sync_id":2}')
        created = ask("/api/lake/files?sync_id=2", *keyed, "-i", "-X", "POST", "-H", "Tus-Resumable: 1.0.0", "-H", "Upload-Length: 1",
                      "-H", "Upload-Metadata: filename YQ==")
        expect("Location is the address of outside", created, f"ocation: {site}/api/lake/files/")
        expect("events are not held back", ask("/api/events", *keyed, "-N", "--max-time", "2"), "event: ready")
        expect("the client's address is known", ask("/api/lake/activity?what=sync_started", *keyed), f'"address":"{ELSEWHERE}"')
        in_flight = ["curl", *keyed, "--silent", f"http://127.0.0.1:{scratch.port}/api/ingestion/file/sync/in-flight"]
        sending = [*curl, *keyed, "--http1.1", "-T", "-", f"{site}/api/lake/file/resumable/slow.bin?sync_id=2"]
        with subprocess.Popen(sending, env=scratch.environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as sender:
            sender.stdin.write("x" * (1 << 20))
            sender.stdin.flush()
            for _ in range(150):
                seen = scratch.run(in_flight).stdout
                if "slow.bin" in seen:
                    break
                time.sleep(0.1)
            sender.stdin.close()
            answer = sender.stdout.read()
        expect("a body is passed on as it comes", seen, "slow.bin")
        expect("a body of unknown length lands", answer, '"code":0')
    return "nginx as printed"


class Document:
    """Its blocks, by who runs them, and what is not run."""

    def __init__(self, name):
        self.name = name
        self.blocks = blocks_of((ROOT / name).read_text(encoding="utf-8"))
        self.shell, self.skipped = [], []
        for block in self.blocks:
            if block.language not in ("sh", "console"):
                continue
            if is_of_make(block):
                self.skipped.append(f"line {block.line} not run (make alone)")
            elif block.directive.startswith("skip"):
                self.skipped.append(f"line {block.line} not run ({block.directive.removeprefix('skip').strip(': ')})")
            else:
                self.shell.append(block)

    def of(self, language):
        return [block for block in self.blocks if block.language == language and not block.directive.startswith("skip")]

    def starts_its_server(self):
        return any(block.directive == "background" for block in self.shell)

    def run(self, scratch):
        """What was run, in words."""
        run_shell(self.shell, scratch, self.name)
        notes = [f"{len(self.shell)} blocks of commands", *self.skipped]
        if self.name == "docs/guides/python.md":
            key = exported(scratch, "LAKESHORE_API_KEY")
            notes.append(run_python(self.of("python"), scratch, self.name, {"LAKESHORE_API_KEY": key}))
        if self.name == "docs/guides/duckdb-and-spark.md":
            fill(scratch, "./data")
        if self.name in ("docs/guides/duckdb-and-spark.md", "docs/guides/reading-while-it-changes.md"):
            notes.append(run_python(self.of("python"), scratch, self.name))
        if self.name == "docs/guides/javascript.md":
            notes.append(run_node(self.of("js"), scratch, self.name))
        if self.name == "docs/operations/deploy.md":
            notes.append(check_proxy(self.blocks, scratch))
        return notes


@contextlib.contextmanager
def scratch_of(binary):
    folder = Path(tempfile.mkdtemp(prefix="lakeshore-docs-"))
    try:
        scratch = Scratch(binary, folder)
        try:
            yield scratch
        finally:
            scratch.stop_server()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def check(name, binary):
    document = Document(name)
    with scratch_of(binary) as scratch:
        if name == "docs/operations/deploy.md":
            scratch.start_server(service_arguments(document.blocks, scratch))
        elif name.startswith("docs/operations/"):
            scratch.start_server(["--data-dir", str(scratch.data)])
            fill(scratch, scratch.data)
        elif not document.starts_its_server():
            scratch.start_server(["--data-dir", "./data"])
        said(f"{name}: {'; '.join(document.run(scratch))}")


def check_in_order(names, binary):
    with scratch_of(binary) as scratch:
        scratch.start_server(["--data-dir", "./data"])
        for name in names:
            try:
                Document(name).run(scratch)
            except Failed as failure:
                raise Failed(f"one after the other, beside one server: {failure}") from None
    said(f"one after the other, beside one server: {', '.join(names)}")


def fill(scratch, data):
    """A dataset, and something in the trash, for documents that begin with them."""
    key = scratch.checked(["lakeshore", "key", "create", "--name", "fill", "--data-dir", data]).split()[-1]
    (scratch.work / "filled").mkdir()
    for content in ["id\n1\n", "id\n2\n"]:
        (scratch.work / "filled" / "part-0.csv").write_text(content)
        push = ["lakeshore", "push", "filled", "/data/db/transactions", "--full"]
        scratch.checked(push, environment={"LAKESHORE_API_KEY": key})


def main():
    binary = Path(os.environ.get("LAKESHORE_BIN", ROOT / "target/release/lakeshore")).resolve()
    if not binary.is_file():
        sys.exit(f"{binary} is missing; build it with \"make build\", or name another in LAKESHORE_BIN")
    checks = [(check, name) for name in sys.argv[1:] or DOCUMENTS]
    if not sys.argv[1:]:
        checks.append((check_in_order, IN_ORDER))
    failures = 0
    for run, what in checks:
        try:
            run(what, binary)
        except (Failed, subprocess.TimeoutExpired) as failure:
            failures += 1
            said(f"FAILED {failure}")
    if failures:
        sys.exit(f"{failures} documents do not run as printed")


if __name__ == "__main__":
    main()
