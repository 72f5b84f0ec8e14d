# {% from "includes/unasync.jinja" import unasync with context %}
"""Table of the database connections that the service may take: `poe budget`."""

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
    """Print the connections of each kind of process; return an error if they are too many."""
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
    print(f"{sum(share.total for share in shares):>6}  in total")
    if settings.database_pgbouncer:
        print("        the limit of PgBouncer is not known here")
        return None
    print(f"{limit:>6}  allowed by the database")
    sentence = budget_error(shares, limit)
    return f"Too many connections: {sentence}." if sentence else None


# {% if sqlalchemy == "sync" %}
sys.exit(main())
# {% else %}
sys.exit(asyncio.run(main()))
# {% endif %}
# {% endcall %}
