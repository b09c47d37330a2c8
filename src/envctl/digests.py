"""SHA-256 without OpenSSL: loading that costs more than naming a checkout does."""

from __future__ import annotations

try:
    from _sha2 import sha256  # type: ignore[import-not-found, unused-ignore]  # Python 3.12 and later
except ImportError:
    try:
        from _sha256 import sha256  # type: ignore[import-not-found, no-redef, unused-ignore]  # Python 3.11
    except ImportError:
        from hashlib import sha256


def hexdigest(data: bytes) -> str:
    """The digest in 64 hex digits."""
    return str(sha256(data).hexdigest())
