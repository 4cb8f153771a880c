"""Run the application under uvicorn with uvloop and httptools."""

from __future__ import annotations

import warnings

import uvicorn

from deployments.serve.application import Application
from deployments.serve.configuration import Configuration

GRACE_SECONDS = 15
MAX_CONNECTIONS = 2048


def warm_up() -> None:
    """Import what loading a model needs, so that the first load does not stall answers."""
    import pyarrow.parquet  # noqa: F401
    import skops.io  # noqa: F401

    # scikit-learn warns of each unseen category; those are part of our answers.
    warnings.simplefilter("ignore")


def run(configuration: Configuration) -> None:
    """Serve until a signal comes; requests under way are finished first."""
    warm_up()
    server = uvicorn.Server(
        uvicorn.Config(
            Application(configuration),
            host=configuration.host,
            port=configuration.port,
            loop="uvloop",
            http="httptools",
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
