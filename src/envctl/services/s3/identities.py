"""Keys that open exactly one claim's buckets, where the server can make such keys."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from html import unescape
from typing import Any

from envctl.model import Address
from envctl.services.s3.wire import LOOK, Answer, endpoint, region, signed, unreachable

POLICY = "envctl"
ALLOWED = (
    "Get*",
    "List*",
    "PutObject",
    "PutObjectTagging",
    "PutBucketVersioning",
    "DeleteObject",
    "DeleteObjectVersion",
    "AbortMultipartUpload",
)
"""All that an application does with its bucket. Tags (our record), bucket policy and removal are not among it."""
Change = Callable[[set[str]], set[str]]
"""From the buckets that a key reaches to those that it is to reach."""
ARN = "arn:aws:s3:::"
NOWHERE = ("-",)
"""Instead of no bucket, which a policy cannot say: no bucket can have that name."""
BUSY = frozenset({500, 502, 503, 504})


def server_name(address: Address) -> str:
    """What the server calls itself: `SeaweedFS 8000GB 4.48`, `MinIO`."""
    return signed(address, address.user, address.password, seconds=LOOK).server or "S3"


def grant(address: Address, identity: str, secret: str, buckets: tuple[str, ...]) -> tuple[str, str]:
    """The key and secret for these buckets: the claim's own, or the administrator's where the server has no others."""
    key, own = key_of(identity), hashlib.sha256(f"s3:{secret}".encode()).hexdigest()[:40]
    kind = server_name(address)
    if kind.startswith("SeaweedFS") and _grant_by_iam(address, identity, key, own, buckets):
        return key, own
    if kind.startswith("MinIO") and _grant_by_minio(address, key, own, buckets):
        return key, own
    return address.user, address.password


def revoke(address: Address, identity: str) -> None:
    """Take back what `grant` gave, if it gave anything."""
    kind = server_name(address)
    if kind.startswith("SeaweedFS"):
        _revoke_by_iam(address, identity)
    if kind.startswith("MinIO"):
        _revoke_by_minio(address, key_of(identity))


def reach(address: Address, identity: str, change: Change) -> None:
    """Let the key that `grant` gave reach other buckets than now. Where it gave none there is nothing to change."""
    kind = server_name(address)
    if kind.startswith("SeaweedFS") and identity:
        _reach_by_iam(address, identity, change)
    if kind.startswith("MinIO") and identity:
        _reach_by_minio(address, key_of(identity), change)


def changed(document: str, change: Change) -> str:
    """A policy of ours for other buckets than it is for now."""
    found = json.loads(document)
    places = {place for one in found["Statement"] for place in one["Resource"]}
    buckets = {place.removeprefix(ARN).partition("/")[0] for place in places} - set(NOWHERE)
    return json.dumps(policy(tuple(sorted(change(buckets))) or NOWHERE))


def key_of(identity: str) -> str:
    """The access key of an identity: letters and digits, as servers want it, and nobody else's."""
    return "ENVCTL" + hashlib.sha256(identity.encode()).hexdigest()[:14].upper()


def policy(buckets: tuple[str, ...]) -> dict[str, Any]:
    """What the key may do, and where."""
    places = [place for bucket in buckets for place in (f"{ARN}{bucket}", f"{ARN}{bucket}/*")]
    allow = {"Effect": "Allow", "Action": [f"s3:{action}" for action in ALLOWED], "Resource": places}
    return {"Version": "2012-10-17", "Statement": [allow]}


def _grant_by_iam(address: Address, identity: str, key: str, secret: str, buckets: tuple[str, ...]) -> bool:
    """User, policy, key, instead of one that the configuration fixed before. False where IAM is off or read-only."""
    from envctl.services.s3 import fixed

    user = _user(identity)
    made = iam(address, "CreateUser", UserName=user)
    if made.status != 200 and made.code != "EntityAlreadyExists":
        return False
    fixed.revoke(address, identity)  # Before the new key is seen to open: who dies here is not taken for done.
    document = json.dumps(policy(buckets))
    expect(address, iam(address, "PutUserPolicy", UserName=user, PolicyName=POLICY, PolicyDocument=document))
    new = {"UserName": user, "AccessKeyId": key, "SecretAccessKey": secret}
    given = iam(address, "CreateAccessKey", **new)
    if given.code == "EntityAlreadyExists" and signed(address, key, secret).status != 200:
        iam(address, "DeleteAccessKey", UserName=user, AccessKeyId=key)
        given = iam(address, "CreateAccessKey", **new)
    if given.code != "EntityAlreadyExists":
        expect(address, given)
    return True


def _reach_by_iam(address: Address, identity: str, change: Change) -> None:
    """The policy of its own user, and that of the fixed key, are replaced where they are."""
    from envctl.services.s3 import fixed

    replace_policy(address, _user(identity), POLICY, change)
    fixed.reach(address, identity, change)


def replace_policy(address: Address, user: str, name: str, change: Change) -> None:
    """Change a policy that is there."""
    if has_policy(address, user, name):
        entry = {"UserName": user, "PolicyName": name}
        found = iam(address, "GetUserPolicy", **entry)
        document = unescape(found.text.partition("<PolicyDocument>")[2].partition("</PolicyDocument>")[0])
        expect(address, iam(address, "PutUserPolicy", **entry, PolicyDocument=changed(document, change)))


def has_policy(address: Address, user: str, name: str) -> bool:
    """It is asked for the list: of a policy that is not there, SeaweedFS makes one from all that the user has."""
    return f"<member>{name}</member>" in iam(address, "ListUserPolicies", UserName=user).text


def _reach_by_minio(address: Address, key: str, change: Change) -> None:
    from minio.error import MinioAdminException

    admin = _minio(address)
    with suppress(MinioAdminException):
        admin.policy_add(_user(key), policy=json.loads(changed(admin.policy_info(_user(key)), change)))


def _revoke_by_iam(address: Address, identity: str) -> None:
    """The policy has to go by itself: it would outlive its user and wait for the next one of that name.

    The key opens nothing without it, and goes with its user: the server writes all its keys anew for each request here.
    """
    from envctl.services.s3 import fixed

    user = _user(identity)
    iam(address, "DeleteUserPolicy", UserName=user, PolicyName=POLICY)
    iam(address, "DeleteUser", UserName=user)
    fixed.revoke(address, identity)


def iam(address: Address, action: str, **parameters: str) -> Answer:
    """One request to the server's IAM; one that it is too busy for is an error."""
    form = {"Action": action, "Version": "2010-05-08", **parameters}
    answer = signed(address, address.user, address.password, service="iam", form=form)
    if answer.status in BUSY:
        raise unreachable(address, f"{action} of its IAM: {answer.status} {answer.code}")
    return answer


def expect(address: Address, answer: Answer) -> None:
    """An error unless the answer is a good one."""
    if answer.status != 200:
        raise unreachable(address, f"its IAM refused a key for our buckets: {answer.status} {answer.code}")


def _user(identity: str) -> str:
    return f"envctl-{identity}"


def _grant_by_minio(address: Address, key: str, secret: str, buckets: tuple[str, ...]) -> bool:
    """The same through MinIO's own interface. False where it does not answer."""
    from minio.error import MinioAdminException

    admin = _minio(address)
    try:
        admin.policy_add(_user(key), policy=policy(buckets))
        admin.user_add(key, secret)
        admin.policy_set(_user(key), user=key)
    except MinioAdminException:
        return False
    return True


def _revoke_by_minio(address: Address, key: str) -> None:
    from minio.error import MinioAdminException

    admin = _minio(address)
    with suppress(MinioAdminException):
        admin.user_remove(key)
    with suppress(MinioAdminException):
        admin.policy_remove(_user(key))


def _minio(address: Address) -> Any:
    from minio import MinioAdmin
    from minio.credentials.providers import StaticProvider

    scheme, _, place = endpoint(address).partition("://")
    login = StaticProvider(address.user, address.password)
    return MinioAdmin(endpoint=place, credentials=login, region=region(address), secure=scheme == "https")
