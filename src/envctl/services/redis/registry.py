"""Who has which database number: one hash inside the server, changed by scripts that the server runs in one step."""

from __future__ import annotations

import re
from typing import Any, Literal, cast

from envctl import owners
from envctl.errors import EnvctlError
from envctl.model import Address, Claim, Owner
from envctl.services.redis import wire
from envctl.values import dataclass

HASH = "envctl:registry"
"""Maps an identity to `KIND:NUMBER RECORD`, in the administrator's own database."""

ALLOT = """
local found = redis.call('HGET', KEYS[1], ARGV[1])
if found then return {0, found} end
local home, number = tonumber(ARGV[4]), tonumber(ARGV[4])
if ARGV[2] == 'number' then
  local taken = {}
  for one in string.gmatch(ARGV[5], '%d+') do taken[tonumber(one)] = true end
  for _, entry in ipairs(redis.call('HVALS', KEYS[1])) do
    local one = string.match(entry, '^number:(%d+) ')
    if one then taken[tonumber(one)] = true end
  end
  number = 0
  repeat
    number = number + 1
    local free = number ~= home and not taken[number]
    if free then
      if redis.pcall('SELECT', number).err then return {-1, ''} end
      free = redis.call('DBSIZE') == 0
    end
  until free
  redis.call('SELECT', home)
end
local entry = ARGV[2] .. ':' .. number .. ' ' .. ARGV[3]
redis.call('HSET', KEYS[1], ARGV[1], entry)
return {1, entry}
"""
"""Idempotent. The lowest number that nobody was allotted, no login is bound to and no key is in."""

RELEASE = """
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
local number = string.match(ARGV[2], '^number:(%d+) ')
if number then
  redis.call('SELECT', number)
  redis.call('FLUSHDB')
  redis.call('SELECT', ARGV[3])
end
return redis.call('HDEL', KEYS[1], ARGV[1])
"""

REWRITE = """
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """One allotment as the registry holds it."""

    identity: str
    kind: Literal["number", "prefix"]
    number: int
    owner: Owner | None
    text: str

    @property
    def prefix(self) -> str:
        """What the keys of this identity may begin with; they must where the database is shared."""
        return f"{self.identity}:"


def allot(client: Any, kind: Literal["number", "prefix"], claim: Claim) -> tuple[Entry | None, bool]:
    """The claim's entry and whether it is new; None when the numbers have run out."""
    record = owners.to_text(claim.owner)
    bound = " ".join(str(number) for number in sorted(_bound(client, but=claim.identity)))
    made, there = client.eval(ALLOT, 1, HASH, claim.identity, kind, record, _home(client), bound)
    return (None if made < 0 else parse(claim.identity, there)), made == 1


def find(client: Any, identity: str) -> Entry | None:
    """The identity's entry, if there is one."""
    there = client.hget(HASH, identity)
    return None if there is None else parse(identity, there)


def entries(client: Any) -> list[Entry]:
    """All of them, of all projects."""
    return [parse(identity, there) for identity, there in sorted(client.hgetall(HASH).items())]


def glance(address: Address) -> tuple[list[Entry], list[str]] | None:
    """All of them, and all logins, without a client; None where that does not come off."""
    found = wire.lists(address, ("HGETALL", HASH), ("ACL", "USERS"))
    if found is None:
        return None
    pairs, users = found
    return [parse(identity, there) for identity, there in sorted(zip(pairs[::2], pairs[1::2], strict=True))], users


def rewrite(client: Any, entry: Entry, owner: Owner) -> bool:
    """Replace the record; False when somebody changed the entry in between."""
    return bool(client.eval(REWRITE, 1, HASH, entry.identity, entry.text, text(entry, owner)))


def text(entry: Entry, owner: Owner) -> str:
    """What the registry holds for that entry with another record."""
    return f"{entry.kind}:{entry.number} {owners.to_text(owner)}"


def release(client: Any, entry: Entry) -> None:
    """Empty the number and forget it, unless somebody changed the entry in between."""
    client.eval(RELEASE, 1, HASH, entry.identity, entry.text, _home(client))


def parse(identity: str, there: str) -> Entry:
    """An entry from its text; what cannot be read has no owner, and so is never dropped."""
    found = re.match(r"(number|prefix):(\d+) ", there)
    if not found:
        return Entry(identity, "number", 0, None, there)
    kind = cast(Literal["number", "prefix"], found[1])
    return Entry(identity, kind, int(found[2]), owners.from_text(there[found.end() :]), there)


def logins(client: Any) -> list[str]:
    """The names of all logins; none where the server does not tell."""
    import redis

    try:
        return [str(one) for one in client.acl_users()]
    except redis.ResponseError:
        return []


def unlink(client: Any, prefix: str) -> None:
    """Remove the keys of one prefix; identities have no character that means something in a pattern."""
    batch: list[str] = []
    for key in client.scan_iter(match=f"{literal(prefix)}*", count=1000):
        batch.append(key)
        if len(batch) == 500:
            client.unlink(*batch)
            batch.clear()
    if batch:
        client.unlink(*batch)


def literal(text: str) -> str:
    """The text as a pattern that matches nothing else."""
    return re.sub(r"([*?\[\]\\^-])", r"\\\1", text)


def _bound(client: Any, *, but: str) -> set[int]:
    """The numbers that other logins are bound to: these still open them when the registry itself was lost."""
    import redis

    try:
        lines = [line.split() for line in client.execute_command("ACL", "LIST")]
    except redis.ResponseError:
        return set()
    rules = [rule.strip("()") for _, name, *rules in lines if name != but for rule in rules]
    return {int(number) for rule in rules if rule.startswith("db=") for number in re.findall(r"\d+", rule)}


def _home(client: Any) -> int:
    """The database of the administrator's connection, where the registry is kept and which is never allotted."""
    return int(client.get_connection_kwargs().get("db", 0))


def exhausted(address: Address, identity: str) -> EnvctlError:
    """The error for a claim that found no number."""
    return EnvctlError(
        f"there is no free redis database for {identity}",
        cause=f"every number of {address.host}:{address.port} is allotted or holds somebody else's data",
        hint='raise `databases` in [services.redis], or set isolation = "prefix" there',
        code="exhausted",
    )
