"""Objects in S3: pictures of products and the statements of customers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import boto3
from anyio import to_thread
from botocore.config import Config
from botocore.exceptions import ClientError


@dataclass(frozen=True, slots=True)
class Storage:
    """One bucket. boto3 blocks, so every call runs in a thread."""

    bucket: str
    prefix: str = ""

    async def put(self, key: str, body: bytes, content_type: str) -> None:
        await to_thread.run_sync(
            lambda: client().put_object(Bucket=self.bucket, Key=self.prefix + key, Body=body, ContentType=content_type)
        )

    async def get(self, key: str) -> tuple[bytes, str] | None:
        """The object and its type; None if there is none."""

        def read() -> tuple[bytes, str]:
            found = client().get_object(Bucket=self.bucket, Key=self.prefix + key)
            with found["Body"] as body:
                return body.read(), found["ContentType"]

        try:
            return await to_thread.run_sync(read)
        except ClientError as error:
            if error.response["Error"]["Code"] == "NoSuchKey":
                return None
            raise

    async def check(self) -> None:
        await to_thread.run_sync(lambda: client().head_bucket(Bucket=self.bucket))


@cache
def client() -> Any:
    """boto3 finds the endpoint and the keys in AWS_ENDPOINT_URL_S3 and its other variables."""
    config = Config(
        connect_timeout=2,
        read_timeout=10,
        retries={"max_attempts": 2},
        s3={"addressing_style": "path"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    return boto3.client("s3", region_name="us-east-1", config=config)
