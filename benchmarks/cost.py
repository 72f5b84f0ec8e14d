"""CPU time of a cached read and of other requests; run in a rendered service with a cache."""

import asyncio
import json
import os
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from urllib.parse import urlsplit

import httpx2

CLIENTS = 16
REQUESTS = 960
ROUNDS = 5


async def cost(pid: int, url: str, paths: dict[str, str], token: str) -> dict[str, list[float]]:
    """Return the server's CPU time per request in µs, for each path and round."""
    figures: dict[str, list[float]] = {name: [] for name in paths}
    for _ in range(ROUNDS):
        # Paths are measured in turn, so that a slow moment of the machine affects them all.
        for name, path in paths.items():
            await load(url, path, token, REQUESTS // 10)
            before = cpu_seconds(pid)
            await load(url, path, token, REQUESTS)
            figures[name].append((cpu_seconds(pid) - before) * 1e6 / REQUESTS)
    return figures


async def load(url: str, path: str, token: str, requests: int) -> None:
    """Request a path that many times, on keep-alive connections."""
    host, port = urlsplit(url).hostname, urlsplit(url).port
    request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: {token}\r\n\r\n".encode()

    async def client() -> None:
        reader, writer = await asyncio.open_connection(host, port)
        for _ in range(requests // CLIENTS):
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
            await reader.readexactly(int(length))
        writer.close()

    await asyncio.gather(*(client() for _ in range(CLIENTS)))


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process has used, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def server_of(test: int) -> int:
    """Return the process id of the service among the children of the test process."""
    started = Path(f"/proc/{test}/task/{test}/children").read_text().split()
    return next(int(p) for p in started if b"-m\0app\0" in Path(f"/proc/{p}/cmdline").read_bytes())


def main() -> None:
    """Start the service with its own servers; print the figures."""
    databases, live, servers = (
        import_module(f"tests.{name}") for name in ("databases", "live.service", "servers")
    )
    with ExitStack() as stack:
        stack.enter_context(servers.environment())
        server = os.environ["DATABASE_URL"]
        database_url = stack.enter_context(databases.database(server))
        service = stack.enter_context(live.running(database_url))
        token = service.sign_up()["Authorization"]
        me = httpx2.get(f"{service.url}/api/v1/users/me", headers={"Authorization": token}).json()
        paths = {
            "ping": "/livez",
            "cached read": f"/api/v1/users/{me['id']}",
            "read": "/api/v1/users/me",
        }
        pid = server_of(os.getpid())
        print(json.dumps(asyncio.run(cost(pid, service.url, paths, token))))  # noqa: T201


if __name__ == "__main__":
    main()
