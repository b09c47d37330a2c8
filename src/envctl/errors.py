"""Every failure a person can meet: it names the thing, the cause and the next step."""

from __future__ import annotations


class EnvctlError(Exception):
    """The base of all of envctl's errors, shown at one boundary in `cli`."""

    exit_code = 1
    code = "failed"

    def __init__(self, message: str, *, cause: str = "", hint: str = "", code: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.cause = cause
        self.hint = hint
        if code:
            self.code = code


class UsageError(EnvctlError):
    """The command line, a variable or the configuration is wrong."""

    exit_code = 2
    code = "usage"


class ConfigError(UsageError):
    """The configuration is wrong, at a file and a line."""

    code = "config"


class UnavailableError(EnvctlError):
    """Not available now; trying again may help."""

    exit_code = 4
    code = "unavailable"


class LockTimeoutError(UnavailableError):
    """Somebody else held a lock for longer than we were told to wait."""

    code = "lock_timeout"


class PortTakenError(UnavailableError):
    """The port that a server was to listen on belongs to somebody else."""

    code = "port_taken"
