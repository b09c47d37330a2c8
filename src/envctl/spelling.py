"""How a namespace, a project and a bucket may be spelled, and what becomes of a text that is none. Pure."""

from __future__ import annotations

import re

from envctl.digests import hexdigest
from envctl.errors import ConfigError
from envctl.values import dataclass

NAMESPACE = "[a-z0-9]+(?:_[a-z0-9]+)*"
_WELL_FORMED = re.compile(NAMESPACE)
_TAIL = re.compile("(?:^|_)(?:gw[0-9]*|s3alias)$|_master$")
"""Endings that read as a pytest-xdist worker, or that Amazon keeps for itself."""
_DERIVED = re.compile("^default_|_[0-9a-f]{8}$")
"""Forms that a digest gives; a person's own name must not come to one of them."""
_PROJECT = re.compile("[a-z][a-z0-9]*(?:_[a-z0-9]+)*")
_TAKEN = ("postgres", "template0", "template1", "pg")
_BUCKET = re.compile("[a-z0-9]+(?:-[a-z0-9]+)*")
_AMAZON = ("xn-", "sthree-", "amzn-s3-demo-")


@dataclass(frozen=True, slots=True)
class Rules:
    """How long a namespace may be, and which words it may not begin with."""

    limit: int
    reserved: frozenset[str]

    def allow(self, name: str) -> bool:
        """Whether this is a namespace: its names fit, and each parses back to it alone."""
        return (
            len(name) <= self.limit
            and _WELL_FORMED.fullmatch(name) is not None
            and _TAIL.search(name) is None
            and name.split("_")[0] not in self.reserved
        )

    def explicit(self, branch: str, workspace: str) -> str:
        """The plain form of what a person chose, or its digest where the plain form could be another's.

        A workspace of several words gets the digest, so that `a_b` + `c` (plain `a_b_c`) and `a` + `b_c` differ.
        Otherwise the gap between the two variables counts as a separator: `a` + `b` is the same namespace as `a_b`.
        """
        plain = "_".join(folded(part) for part in (branch, workspace) if part)
        ours = (branch + workspace).isascii() and self.allow(plain) and "_" not in folded(workspace)
        if ours and not _DERIVED.search(plain):
            return plain
        return self.digested(f"{branch} {workspace}", "explicit", branch, workspace)

    def digested(self, text: str, *identity: str, default: bool = False) -> str:
        """What is readable of `text`, cut to fit, and eight hex digits of everything in `identity`."""
        digest = hexdigest("\0".join(identity).encode("utf-8", "surrogatepass"))[:8]
        words = readable(text) or "branch"
        refused = self.reserved if default else self.reserved | {"default"}
        prefixes = ("", "branch_", *(f"b{number}_" for number in range(len(refused) + 1)))
        cut = ((prefix + words)[: self.limit - 9].rstrip("_") for prefix in prefixes)
        return next(f"{slug}_{digest}" for slug in cut if slug.split("_")[0] not in refused)


def project_name(text: str) -> str:
    """A project's name as every other name uses it: `-` is written `_`, so that both spellings are one project."""
    name = text.replace("-", "_")
    taken = name in _TAKEN or name.startswith("pg_")
    if _PROJECT.fullmatch(name) and not taken:
        return name
    words = readable(text).lstrip("0123456789_")
    suggestion = f"{words or 'my'}_app" if taken or not words else words
    raise ConfigError(
        f"{text!r} cannot be a project's name",
        cause="PostgreSQL keeps it for itself" if taken else "it must be words of a-z and 0-9, a letter first",
        hint=f'for example: project = "{suggestion.removeprefix("pg_")}"',
    )


def bucket_name(text: str) -> str:
    """A logical bucket's name, which must be legal as it stands: the primary checkout uses it bare."""
    name = text.replace("_", "-")
    if _BUCKET.fullmatch(name) and not name.startswith(_AMAZON) and len(name) >= 3:
        return text
    words = re.sub("^(?:xn|sthree|amzn-s3-demo)-", "", readable(text).replace("_", "-"))
    suggestion = words if len(words) >= 3 else f"{words or 'my'}-files"
    raise ConfigError(
        f"{text!r} cannot be a bucket's name",
        cause="it must be words of a-z and 0-9 with single '-' between them, three characters at least",
        hint=f'for example: buckets = ["{suggestion}"]',
    )


def folded(text: str) -> str:
    """A text whose words are parted as a namespace's are."""
    return text.lower().replace("-", "_").replace("/", "_")


def readable(text: str) -> str:
    """The readable part of any text, as words of `a-z0-9`."""
    if not text.isascii():
        import unicodedata

        text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub("[^a-z0-9]+", "_", text.lower()).strip("_")
