"""Places where a test may end the process, to prove that nothing acknowledged is lost there."""

import os
import signal


def failpoint(name: str) -> None:
    """Kill this process when the environment names this point; does nothing outside tests."""
    if os.environ.get("MLPORTAL_TESTING") and os.environ.get("MLPORTAL_FAILPOINT") == name:
        os.kill(os.getpid(), signal.SIGKILL)
