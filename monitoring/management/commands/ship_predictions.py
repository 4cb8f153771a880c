"""``manage.py ship_predictions``: runs beside a serving process on a machine without a worker."""

import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import InterfaceError, OperationalError, close_old_connections

from monitoring import tasks


class Command(BaseCommand):
    """Ship the closed segments of this machine, once or until a signal comes."""

    help = "Move this machine's prediction log into the database, once or every few seconds."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--every", type=float, default=0.0, help="Seconds between passes; 0 runs once.")

    def handle(self, *_args: Any, every: float, **_options: Any) -> None:
        stop = threading.Event()
        if not every:
            self.stdout.write(f"{tasks.ship_predictions()} rows")
            return
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        while not stop.wait(every):
            try:
                tasks.ship_predictions()
            except (OperationalError, InterfaceError) as error:
                self.stderr.write(f"the database is away: {error}")
                close_old_connections()
