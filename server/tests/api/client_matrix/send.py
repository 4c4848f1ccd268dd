"""Sends files with requests, httpx or aiohttp: `python3 send.py LIBRARY < JOBS`.

A job is a line of a kind (form, put, stream), an address, a key, a path and a file name, with tabs between. Each gets a line: the status and
the body of the answer, or the error.
"""
import asyncio, sys

CHUNK_BYTES = 64 * 1024


def chunks(path):
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


async def chunks_in_time(path):
    for chunk in chunks(path):
        yield chunk


def by_requests():
    import requests
    session = requests.Session()

    def send(kind, url, headers, path, name):
        with open(path, "rb") as file:
            if kind == "form":
                answer = session.post(url, headers=headers, files={"file": (name, file)})
            else:
                answer = session.put(url, headers=headers, data=file if kind == "put" else chunks(path))
        return answer.status_code, answer.text

    return send


def by_httpx():
    import httpx
    client = httpx.Client(timeout=60)

    def send(kind, url, headers, path, name):
        with open(path, "rb") as file:
            if kind == "form":
                answer = client.post(url, headers=headers, files={"file": (name, file)})
            elif kind == "put":
                answer = client.put(url, headers=headers, content=file.read())
            else:
                answer = client.put(url, headers=headers, content=chunks(path))
        return answer.status_code, answer.text

    return send


async def by_aiohttp(jobs):
    import aiohttp
    async with aiohttp.ClientSession() as session:
        async def send(kind, url, headers, path, name):
            with open(path, "rb") as file:
                if kind == "form":
                    form = aiohttp.FormData(quote_fields=False)
                    form.add_field("file", file, filename=name)
                    request = session.post(url, headers=headers, data=form)
                else:
                    request = session.put(url, headers=headers, data=file if kind == "put" else chunks_in_time(path))
                async with request as answer:
                    return answer.status, await answer.text()

        for job in jobs:
            try:
                tell(*await send(*job))
            except Exception as error:
                tell("failed", repr(error))


def tell(status, text):
    print(status, " ".join(str(text).split()), flush=True)


def read_jobs():
    for line in sys.stdin.buffer.read().decode().splitlines():
        kind, url, key, path, name = line.split("\t")
        yield kind, url, {"X-API-Key": key}, path, name


library = sys.argv[1]
if library == "aiohttp":
    asyncio.run(by_aiohttp(list(read_jobs())))
else:
    send = {"requests": by_requests, "httpx": by_httpx}[library]()
    for job in read_jobs():
        try:
            tell(*send(*job))
        except Exception as error:
            tell("failed", repr(error))
