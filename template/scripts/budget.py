# {% from "includes/unasync.jinja" import unasync with context %}
"""Show the connections that the service may take from its database: `poe budget`."""

# {% call unasync() %}
# {% if sqlalchemy == "async" %}
import asyncio
# {% endif %}
import sys

from app.core.database import postgresql
from app.core.database.budget import budget_error, connection_shares, within_budget
from app.core.database.engine import Database, DatabaseUnavailable
from app.core.resources import StartError
from app.lifespan import RESOURCES
from app.settings import SettingsError, load_settings


async def main() -> str | None:
    """Print what each kind of process may take; return a sentence if it does not fit."""
    try:
        settings = within_budget(load_settings(), RESOURCES)
        database = Database(settings)
        async with database.read() as session:
            limit = await postgresql.connection_limit(await session.connection())
    except (DatabaseUnavailable, SettingsError, StartError) as error:
        return str(error)
    await database.engine.dispose()
    shares = connection_shares(settings, RESOURCES)
    for share in shares:
        print(f"{share.total:>6}  {share}")
    print(f"{sum(share.total for share in shares):>6}  in all")
    if settings.database_pgbouncer:
        print("        PgBouncer does not say how many it grants")
        return None
    print(f"{limit:>6}  granted by the database")
    sentence = budget_error(shares, limit)
    return f"It does not fit: {sentence}." if sentence else None


# {% if sqlalchemy == "sync" %}
sys.exit(main())
# {% else %}
sys.exit(asyncio.run(main()))
# {% endif %}
# {% endcall %}
