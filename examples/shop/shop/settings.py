"""What the application must be told, read from environment variables and nowhere else."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Settings:
    """boto3 reads AWS_ENDPOINT_URL_S3, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY by itself."""

    database_url: str = field(repr=False)
    redis_url: str = field(repr=False)
    s3_bucket: str
    prefix: str = ""
    """Stands before every key in Redis and S3; the tests set one so that they can clean up after themselves."""
    requests_per_minute: int = 600

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Settings:
        return cls(
            database_url=required("DATABASE_URL", environ),
            redis_url=required("REDIS_URL", environ),
            s3_bucket=required("S3_BUCKET", environ),
            requests_per_minute=int(environ.get("REQUESTS_PER_MINUTE", "600")),
        )


def required(name: str, environ: Mapping[str, str] = os.environ) -> str:
    """A variable's value; one that is missing is an error that names it."""
    if name not in environ:
        raise SystemExit(f"{name} is not set: start the shop with `envctl dev run`")
    return environ[name]
