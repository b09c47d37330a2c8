"""A key that the configuration fixes: the same for every claim, and it opens the buckets of claims and no others."""

from __future__ import annotations

import json
import re
from contextlib import AbstractContextManager, nullcontext

from envctl import locks, state
from envctl.errors import EnvctlError
from envctl.model import Address, silent
from envctl.services.s3 import identities
from envctl.services.s3.wire import signed

PREFIX = "envctl-key-"


def grant(address: Address, identity: str, keys: tuple[str, str], buckets: tuple[str, ...]) -> tuple[str, str]:
    """Let the key into these buckets too: a policy for each claim, under the claim's name."""
    key, secret = keys
    if keys == (address.user, address.password):
        return keys
    server = identities.server_name(address)
    if not server.startswith("SeaweedFS"):
        raise EnvctlError(
            f"{server} does not give out the access_key of [services.s3]",
            cause="envctl can make such keys on SeaweedFS only",
            hint="leave access_key out, or make it the administrator's own key of that server",
            code="fixed_key",
        )
    user, document = PREFIX + key, json.dumps(identities.policy(buckets))
    entry = {"UserName": user, "PolicyName": identity, "PolicyDocument": document}
    revoke(address, identity, but=user)  # Before the new key is seen to open: who dies here is not taken for done.
    with _alone(address):
        made = identities.iam(address, "CreateUser", UserName=user)
        if made.code != "EntityAlreadyExists":
            identities.expect(address, made)
        identities.expect(address, identities.iam(address, "PutUserPolicy", **entry))
        _give(address, user, key, secret)
    return keys


def reach(address: Address, identity: str, change: identities.Change) -> None:
    """Change a claim's policy, at whichever fixed key has one."""
    users = _users(address)
    with _alone(address) if users else nullcontext():
        for user in users:
            identities.replace_policy(address, user, identity, change)


def revoke(address: Address, identity: str, *, but: str = "") -> None:
    """Take a claim's policy from whichever other fixed key has it. A key without policies opens nothing, and stays."""
    users = [one for one in _users(address) if one != but]
    with _alone(address) if users else nullcontext():
        for user in users:
            if identities.has_policy(address, user, identity):
                identities.iam(address, "DeleteUserPolicy", UserName=user, PolicyName=identity)


def _users(address: Address) -> list[str]:
    there = identities.iam(address, "ListUsers").text
    return re.findall(f"<UserName>({PREFIX}[^<]+)</UserName>", there)


def _alone(address: Address) -> AbstractContextManager[None]:
    """Many claims change one user, which the server reads and writes as a whole."""
    lock = state.root() / "locks" / f"s3-{address.host.replace(':', '-')}-{address.port}.lock"
    return locks.locked(lock, what="the fixed key of S3", wait=60, talk=silent)


def _give(address: Address, user: str, key: str, secret: str) -> None:
    """The key itself; with another secret than it has, it is made anew."""
    new = {"UserName": user, "AccessKeyId": key, "SecretAccessKey": secret}
    given = identities.iam(address, "CreateAccessKey", **new)
    if given.code == "EntityAlreadyExists" and signed(address, key, secret).status != 200:
        identities.iam(address, "DeleteAccessKey", UserName=user, AccessKeyId=key)
        given = identities.iam(address, "CreateAccessKey", **new)
    if given.code == "EntityAlreadyExists" and f"<AccessKeyId>{key}<" not in _keys(address, user):
        raise EnvctlError(
            "the access_key of [services.s3] is somebody else's on this server",
            hint="choose another access_key, or remove that one there",
            code="fixed_key",
        )
    if given.code != "EntityAlreadyExists":
        identities.expect(address, given)


def _keys(address: Address, user: str) -> str:
    return identities.iam(address, "ListAccessKeys", UserName=user).text
