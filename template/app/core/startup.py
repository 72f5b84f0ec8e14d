"""Start-up of the resources in order, and shutdown in reverse order."""

from collections.abc import Sequence
from contextlib import AsyncExitStack

# {% if database == "postgresql" %}
from app.core.database.budget import check_limit, within_budget
from app.core.database.engine import Database
# {% endif %}
from app.core.resources import Resource
from app.settings import Settings


async def open_resources(
    kinds: Sequence[type[Resource]], settings: Settings, stack: AsyncExitStack
) -> dict[type[Resource], Resource]:
    """Open one resource of each kind, for the stack to close; raises StartError."""
    # {% if database == "postgresql" %}
    settings = within_budget(settings, kinds)
    # {% endif %}
    opened: dict[type[Resource], Resource] = {}
    for kind in kinds:
        opened[kind] = resource = kind(settings)
        stack.push_async_callback(resource.close)
        await resource.open()
    # {% if database == "postgresql" %}
    if isinstance(database := opened.get(Database), Database):
        check_limit(settings, kinds, database.connection_limit)
    # {% endif %}
    return opened
