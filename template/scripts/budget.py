# {% from "includes/unasync.jinja" import unasync with context %}
"""Show the connections that the service may take from its database: `poe budget`."""

# {% call unasync() %}
# {% if sqlalchemy == "async" %}
import asyncio
# {% endif %}
import sys

from app.core.database import postgresql
from app.core.database.budget import budget_error, connection_shares, within_budget
from app.core.database.engine import Database, DatabaseAway
from app.core.resources import StartError
from app.lifespan import RESOURCES
from app.settings import SettingsError, load_settings


async def main() -> int:
    """Print who may have how many, and what the database grants; 1 when it does not fit."""
    try:
        settings = within_budget(load_settings(), RESOURCES)
    except (SettingsError, StartError) as error:
        sys.exit(str(error))
    database = Database(settings)
    try:
        async with database.read() as session:
            granted = await postgresql.connection_limit(await session.connection())
    except DatabaseAway as error:
        sys.exit(str(error))
    await database.engine.dispose()
    print(f"{'':10}{'replicas':>10}{'processes':>12}{'connections':>14}{'in all':>9}")
    shares = connection_shares(settings, RESOURCES)
    for share in shares:
        numbers = f"{share.replicas:>10}{share.processes:>12}{share.connections:>14}"
        print(f"{share.purpose:10}{numbers}{share.total:>9}")
    print(f"{'in all':10}{sum(share.total for share in shares):>45}")
    budget = settings.database_connection_budget
    print(f"{'budget':10}{budget if budget is not None else 'not set':>45}")
    if settings.database_pgbouncer:
        print("What PgBouncer grants, it does not say.")
        return 0
    print(f"{'granted':10}{granted:>45}")
    sentence = budget_error(shares, granted)
    if sentence:
        print(f"It does not fit: {sentence}.")
    return 1 if sentence else 0


# {% if sqlalchemy == "sync" %}
sys.exit(main())
# {% else %}
sys.exit(asyncio.run(main()))
# {% endif %}
# {% endcall %}
