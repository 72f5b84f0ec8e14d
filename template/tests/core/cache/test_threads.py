"""Thread pool while routes wait for the database."""

from concurrent.futures import ThreadPoolExecutor, wait
from time import monotonic

import pytest
from anyio import to_thread

from app.core.bulkhead import Bulkhead
from app.core.cache import threads as module
from app.core.database.engine import Database
from app.main import create_app
from tests.accounts import sign_up
from tests.client import serve
from tests.settings import make_settings


def test_cache_hit_does_not_wait_for_the_database(lasting_url: str) -> None:
    app = create_app(make_settings(lasting_url, database_pool_size=1, threadpool_size=2))
    with serve(app) as client, ThreadPoolExecutor(8) as threads:
        ann, *others = [sign_up(client, name) for name in ("Ann", "Bob", "Cid", "Dan", "Eve")]

        def read(key: str) -> int:
            return client.get(f"/api/v1/users/{key}", headers=ann.headers).status_code

        read(ann.id)
        assert client.portal
        bulkhead = app.state.components[Database].bulkhead = Bulkhead(1, 20)
        # The test holds the only slot, so that a cache miss has to wait.
        with client.portal.wrap_async_context_manager(bulkhead.slot()):
            waiting = [threads.submit(read, other.id) for other in others for _ in range(2)]
            assert not wait(waiting, timeout=0.1).done
            assert read(ann.id) == 200
            assert not any(future.done() for future in waiting)
        assert [future.result() for future in waiting] == [200] * 8
        assert client.portal.call(available) == 2


def test_request_is_refused_at_the_thread_limit(
    lasting_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MAX_THREADS", 2)
    app = create_app(make_settings(lasting_url, database_pool_size=1, threadpool_size=2))
    with serve(app) as client:
        ann = sign_up(client, "Ann")
        app.state.components[Database].bulkhead = Bulkhead(0, 60)
        started = monotonic()
        response = client.get(f"/api/v1/users/{ann.id}", headers=ann.headers)
    assert response.status_code == 503
    assert monotonic() - started < 30


async def available() -> float:
    return to_thread.current_default_thread_limiter().total_tokens
