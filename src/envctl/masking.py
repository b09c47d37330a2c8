"""Values as a person may see them: without their passwords."""

from __future__ import annotations

import re

MASK = "***"

_SECRET_NAME = re.compile(r"passw|pwd|secret|token|api_?key|private_?key|credential", re.IGNORECASE)
_IN_URL = re.compile(r"(?P<before>[A-Za-z][A-Za-z0-9+.-]*://[^\s/@:]*:)(?P<secret>[^\s/]+)(?=@)")
_IN_QUERY = re.compile(r"(?P<before>[?&][^=&\s]*(?:passw|pwd|secret|token)[^=&\s]*=)(?P<secret>[^&\s]+)", re.IGNORECASE)
_PLACEHOLDERS = re.compile(r"(?:\{[^{}]+\})+")


def masked(value: str, name: str = "") -> str:
    """The value with passwords in URLs hidden, and all of it where its name says that it is a secret."""
    if secret(name):
        return _hidden(value)
    for pattern in (_IN_URL, _IN_QUERY):
        value = pattern.sub(lambda found: found["before"] + _hidden(found["secret"]), value)
    return value


def secret(name: str) -> bool:
    """Whether a key's name says that its value is a secret."""
    return _SECRET_NAME.search(name.rpartition(".")[2]) is not None


def _hidden(secret: str) -> str:
    """A placeholder is the name of a secret, not the secret itself."""
    return secret if not secret or _PLACEHOLDERS.fullmatch(secret) else MASK
