"""The migrations, on a database of their own."""

from tests import databases


def test_they_go_up_and_down_and_up_to_what_the_models_say(server: str) -> None:
    with databases.database(server) as url:
        databases.migrate(url, "base")
        databases.migrate(url, "head")
        databases.check(url)
