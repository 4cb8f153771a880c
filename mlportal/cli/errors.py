"""How a command says that it failed."""

FAILED, USAGE, CANNOT_START, FORBIDDEN, MISSING, REFUSED, UNAVAILABLE, TIMED_OUT = range(1, 9)


class Failure(Exception):
    """A command failed; the text is for the terminal, the code for the shell.

    Parameters
    ----------
    message
        One or two sentences.
    code
        Exit code, one of the constants of this module.
    """

    def __init__(self, message: str, code: int = FAILED) -> None:
        super().__init__(message)
        self.code = code
