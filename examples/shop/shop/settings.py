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
        """Read the variables; one that is missing is an error that names it."""
        try:
            return cls(
                database_url=environ["DATABASE_URL"],
                redis_url=environ["REDIS_URL"],
                s3_bucket=environ["S3_BUCKET"],
                requests_per_minute=int(environ.get("REQUESTS_PER_MINUTE", "600")),
            )
        except KeyError as error:
            raise SystemExit(f"{error.args[0]} is not set: start the shop with `envctl dev run`") from error
