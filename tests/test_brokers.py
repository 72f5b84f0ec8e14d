"""Celery workers with RabbitMQ as the broker."""

import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.matrix import Answers, runtime_product
from tests.project import Project, clean_environment
from tests.test_smoke import free_port

WORKER = "tests/live/test_worker.py"
# The other tests are about processes, and do not depend on the broker.
ABOUT_BROKERS = "returns or duplicate or broker or another_worker"
# This script runs as any user; the command of the same name requires root.
RABBITMQ = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")


@contextmanager
def rabbitmq(folder: Path) -> Iterator[str]:
    """Run a private RabbitMQ on a free port of 127.0.0.1; yield its URL."""
    port, names_port = free_port(), str(free_port())
    environment = clean_environment(
        ERL_EPMD_ADDRESS="127.0.0.1",
        ERL_EPMD_PORT=names_port,
        HOME=str(folder),
        RABBITMQ_CONF_ENV_FILE="/dev/null",
        RABBITMQ_DIST_PORT=str(free_port()),
        RABBITMQ_LOG_BASE=str(folder),
        RABBITMQ_MNESIA_BASE=str(folder),
        RABBITMQ_NODENAME="test@localhost",
        RABBITMQ_NODE_IP_ADDRESS="127.0.0.1",
        RABBITMQ_NODE_PORT=str(port),
    )
    printed = folder / "printed"
    with (
        printed.open("w") as file,
        subprocess.Popen(
            [RABBITMQ], env=environment, stdout=file, stderr=subprocess.STDOUT
        ) as process,
    ):
        try:
            deadline = time.monotonic() + 180
            while "Starting broker... completed" not in printed.read_text():
                assert process.poll() is None, printed.read_text()
                assert time.monotonic() < deadline, printed.read_text()
                time.sleep(0.1)
            yield f"amqp://guest:guest@127.0.0.1:{port}//"
        finally:
            process.terminate()
            process.wait()
            # RabbitMQ started epmd, Erlang's port mapper, which would keep running.
            subprocess.run(["epmd", "-port", names_port, "-kill"], check=True, stdout=file)


# Without RabbitMQ the test is left out: .ci/run refuses skipped tests, and installs RabbitMQ.
if RABBITMQ.exists():

    def test_workers_run_jobs_with_rabbitmq(
        install: Callable[[Answers], Project], tmp_path: Path
    ) -> None:
        service = install(next(each for each in runtime_product() if each["cpu_jobs"] == "celery"))
        with rabbitmq(tmp_path) as url:
            printed = service.run(
                "uv", "run", "pytest", WORKER, "-k", ABOUT_BROKERS, BROKER_URL=url
            )
        assert re.search(r"\b\d+ passed", printed)
