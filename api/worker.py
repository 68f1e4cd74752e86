"""Runs jobs: ``python -m api.worker``."""

import asyncio
import os
import signal
from datetime import UTC, datetime

import structlog
from procrastinate import PsycopgConnector
from procrastinate.exceptions import ConnectorException

from api.core import log
from api.core.db import Database
from api.core.jobs import conninfo, jobs, purge_expired
from api.settings import Settings, get_settings
from api.tickets import counters as _counters  # noqa: F401  registers its tasks
from api.tickets import vocabulary as _vocabulary  # noqa: F401  registers its tasks
from api.tickets.attachments import service as _attachments  # noqa: F401  registers its tasks

logger = structlog.get_logger()

RETRY_SECONDS = 2.0
JOB_SECONDS = 15.0
"""How long running jobs may take to end."""
STOP_SECONDS = 18.0


@jobs.periodic(cron="17 * * * *")
@jobs.task(name="purge_expired", queueing_lock="purge_expired")
async def purge(timestamp: int) -> None:
    """Delete keys, counts and sessions that are of no more use, once an hour."""
    database = Database.connect(get_settings())
    try:
        async with database.sessions.begin() as session:
            gone = await purge_expired(session)
    finally:
        await database.engine.dispose()
    logger.info("purged", due=datetime.fromtimestamp(timestamp, UTC).isoformat(), **gone)


async def run(settings: Settings) -> bool:
    """Claim and run jobs until SIGTERM or SIGINT; tell whether all of them came to their end.

    The library waits for the database when it stops, for ever if need be, so the last word is
    said here: a job that is left then is begun again by the next worker.
    """
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    work = asyncio.create_task(_work(settings))
    await told.wait()
    logger.info("job worker stops")
    work.cancel()
    _done, left = await asyncio.wait([work], timeout=STOP_SECONDS)
    return not left


async def _work(settings: Settings) -> None:
    """Work through whatever the database does meanwhile."""
    while True:
        try:
            with jobs.replace_connector(PsycopgConnector(conninfo=conninfo(settings))) as app:
                async with app.open_async():
                    logger.info("job worker started")
                    await app.run_worker_async(
                        concurrency=4,
                        delete_jobs="successful",
                        install_signal_handlers=False,
                        shutdown_graceful_timeout=JOB_SECONDS,
                    )
        except (ConnectorException, OSError) as error:
            logger.warning("waiting for the database", error=type(error).__name__)
        await asyncio.sleep(RETRY_SECONDS)


def main() -> None:
    """Run with the settings of the environment."""
    settings = get_settings()
    log.configure(settings)
    with asyncio.Runner() as runner:
        if not runner.run(run(settings)):
            logger.warning("job worker leaves a job behind")
            os._exit(0)  # the loop would wait for what did not end


if __name__ == "__main__":
    main()
