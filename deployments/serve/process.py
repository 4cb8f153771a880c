"""Run the application under uvicorn with uvloop and httptools."""

from __future__ import annotations

import gc
import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from deployments.serve import connection, cycle
from deployments.serve.application import Application
from deployments.serve.configuration import Configuration
from mlportal.lib import spans

GRACE_SECONDS = 8  # the supervisor kills after 10
MAX_CONNECTIONS = 2048


def warm_up() -> None:
    """Import what loading a model needs, so that the first load does not stall answers."""
    import pyarrow.parquet  # noqa: F401
    import skops.io  # noqa: F401

    # scikit-learn warns of each unseen category; those are part of our answers.
    warnings.simplefilter("ignore")
    # What was imported stays: looking through its 160,000 objects for garbage takes 75 ms, in which nobody is answered.
    gc.collect()
    gc.freeze()


class _Server(uvicorn.Server):
    """Ends with exit code 0 after a signal; uvicorn would raise the signal again and look killed."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop at SIGTERM and SIGINT."""
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def application(configuration: Configuration) -> Application:
    """Make the application; the one that traces is another class, so that off it costs nothing."""
    if not spans.is_on():
        return Application(configuration)
    from deployments.serve.traced import TracedApplication

    spans.name_part("serve")
    return TracedApplication(configuration)


def run(configuration: Configuration) -> None:
    """Serve until a signal comes; requests under way are finished first."""
    warm_up()
    cycle.install()
    server = _Server(
        uvicorn.Config(
            application(configuration),
            host=configuration.host,
            port=configuration.port,
            loop="uvloop",
            http=connection.Connection,
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=2048,
            limit_concurrency=MAX_CONNECTIONS,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
    )
    server.run()
