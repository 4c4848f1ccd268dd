"""Sends a file by tuspy: URL, sync id, file, chunk size. Continues after each
interruption, and ends when the file is complete.

Installs tuspy into an environment of its own. Exits with 77 if PyPI cannot be reached.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

TUSPY = "tuspy==1.1.0"
SKIPPED = 77
ENVIRONMENT = Path(__file__).resolve().parent / "node_modules" / ".tuspy"


def with_tuspy():
    python = ENVIRONMENT / "bin" / "python"
    marker = ENVIRONMENT / TUSPY
    if not marker.exists():
        made = subprocess.run([sys.executable, "-m", "venv", "--clear", ENVIRONMENT]).returncode == 0
        if not made or subprocess.run([python, "-m", "pip", "install", "--quiet", TUSPY]).returncode != 0:
            print("SKIPPED: tuspy cannot be installed (Python with venv, and PyPI, are needed)", file=sys.stderr)
            sys.exit(SKIPPED)
        marker.touch()
    os.execv(python, [python, __file__, *sys.argv[1:]])


def send(url, sync_id, file, chunk_bytes):
    import requests
    from tusclient import client
    from tusclient.exceptions import TusCommunicationError

    metadata = {"filename": Path(file).name, "sync_id": sync_id}
    lake = client.TusClient(f"{url}/api/lake/files")
    options = {"file_path": file, "chunk_size": chunk_bytes, "metadata": metadata, "upload_checksum": True}
    address = None
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            # With an address it asks for the offset, and continues there.
            uploader = lake.uploader(**options, url=address)
            size = uploader.get_file_size()
            while uploader.offset < size:
                uploader.upload_chunk()
                address = uploader.url
            return
        except (TusCommunicationError, requests.exceptions.ConnectionError) as interrupted:
            print(f"interrupted: {interrupted}", file=sys.stderr, flush=True)
            time.sleep(0.1)
    sys.exit("it did not come to its end")


if Path(sys.prefix) != ENVIRONMENT:
    with_tuspy()
send(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
