"""Worlds to clean up in, as plain values; and what by the words of the design may become of each thing in them.

The second half is the model. It is told how a world was made and knows nothing of how envctl looks at it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

from hypothesis import strategies as st

T = TypeVar("T")
Fate = Literal["stays", "goes", "aside"]
"""Untouched; dropped at once; put into quarantine, whole."""

PAIRS = (("a", "a_gw1"), ("shop", "shop_test"), ("shop", "shop_dev"), ("shop_test", "shop"), ("shop", "shopx"))
"""A project, and its neighbour on the same servers."""
BRANCHES = (
    "a", "a_gw1", "feature/auth-v2", "50%_off", "shop_test", "über/ä-ö", "it's", 'say"so"', "🚀", "dev", "gw0",
    "default", "x" * 63, "o" * 200, "v1.2.3", "production",
)  # fmt: skip
TEXTS = ("x", "a_gw1", "a%", "te_t", 'x"y', "x'y", "ä", "🚀", "x__s2", "x_gw0", "x" * 70, " x", "X", "x;--", "0123abcd")
HAND = (
    "{p}_dev_{t}", "{p}_test_{t}", "{p}_test_{t}_gw0", "{p}_{t}", "{p}{t}", "{t}", "{p}", "{p}_test", "{p}_dev",
    "{p}__q_0123456789ab", "{p}__t_0123456789ab", "{p}__p_0123456789ab_01234567", "{p}__{t}", "{p}-test-{t}", "{p}%{t}",
)  # fmt: skip
"""How people call their own databases: `p` is the project, `t` any text."""

BRANCH_LIVES = "remote has it", "packed", "rebasing", "applying", "renamed", "yet to begin", "its twin is there"
"""Its ref is not where it was, and it is not gone."""
ANOTHERS = "another is on it", "another rebases it"
"""Its worktree was removed, and its branch is used in another one."""
WORKTREE = (
    "there", "removed", "pruned", "branch gone", "branch gone elsewhere", "moved", "moved by hand", "folder gone",
    "locked", "added again", *ANOTHERS, *ANOTHERS, *BRANCH_LIVES,
)  # fmt: skip
CLONE = "there", "folder gone", "branch gone", "no objects", "made again", "fetched in part", *BRANCH_LIVES
NAMED = tuple(end for end in WORKTREE if end not in (*BRANCH_LIVES, *ANOTHERS))
GONE = frozenset({"removed", "pruned", "branch gone", "branch gone elsewhere"})
"""What git itself can prove; anything else may be a disk that is not mounted."""
COMMENTS = (
    "none", "by hand", "broken", "newer", "not an object", "another project", "another namespace", "no such checkout",
    "a private kind", "half made", "another host's",
)  # fmt: skip
REGISTRATIONS = "old", "no source", "no source", "no source", "no identity", "no identity", "broken", "newer", "none"
USERS = "lease", "dead lease", "pin", "session"
STATES = "half made", "half dropped", "restored before", "linked memory", "newer record", "newer database"
CLOCKS = "forward", "back", "broken", "another boot"
REPOSITORIES = "gone", "no objects", "no refs", "broken HEAD", "made again", "fetched in part"
BUCKETS = "none", "by hand", "broken", "newer", "another project", "another namespace"
UNREADABLE = "unreadable at work", "newer at work", "unreadable", "a link", "another user's"
"""Where a run is, or may be, and nobody can tell which."""
RUNS = "at work", "dead", "ended", "kept", "newer ended", *UNREADABLE


@dataclass(frozen=True)
class Place:
    """A checkout that was up once. `user` is who uses it now; `state` is how far its database came."""

    branch: str
    kind: Literal["worktree", "clone", "named", "flagged", "plain", "detached"] = "worktree"
    """What named it: git, BRANCH_NAME (`named`), or `--namespace` (`flagged`)."""
    end: str = "there"
    registration: str = "whole"
    user: str = ""
    bucket: bool = False
    state: str = "whole"


@dataclass(frozen=True)
class Run:
    """A run of the tests in the namespace of the n-th place, or in one of its own."""

    state: str
    of: int = -1
    workers: int = 0
    session: bool = False
    bucket: bool = False


@dataclass(frozen=True)
class Stranger:
    """A database, a login or a bucket that somebody made by hand."""

    name: str
    record: str
    kind: Literal["database", "login", "bucket"] = "database"


@dataclass(frozen=True)
class Aside:
    """What is in quarantine already, and until when, seen from the time that it really is."""

    until: Literal["past", "future", "unreadable"]
    more: Literal["", "bucket", "back", "newer"] = ""
    """It has a bucket, too; or its namespace has come back, with a new database; or a newer envctl has noted it."""


@dataclass(frozen=True)
class World:
    """All of it. `clock` is by how many days somebody has set the wall clock forward since the machine was started."""

    project: str
    neighbour: str
    places: tuple[Place, ...] = ()
    runs: tuple[Run, ...] = ()
    strangers: tuple[Stranger, ...] = ()
    asides: tuple[Aside, ...] = ()
    engine: Literal["embedded", "external"] = "embedded"
    clock: str = "right"
    repository: str = "whole"
    someone: bool = False
    """Whether a lease is held of which nobody can read whose it is."""
    theirs: bool = False
    """Whether the neighbour has things on the servers, of dead runs and gone branches, too."""
    everything: bool = False
    """`clean --all`: what is not in use and ours by its record may go, whatever else is known of it."""
    primary: bool = False
    """Whether the main checkout has been up, and has the bare names."""
    links: bool = False
    """Whether the state folder has links out of itself, and something of another user."""


def rarely(value: T, usual: T, *, one_in: int = 6) -> st.SearchStrategy[T]:
    return st.integers(0, one_in - 1).map(lambda number: value if number == one_in - 1 else usual)


@st.composite
def places(draw: st.DrawFn, branch: str) -> Place:
    """Mostly one thing is odd about it: its end, or what speaks against an end that git proves."""
    kinds = "worktree", "worktree", "worktree", "clone", "clone", "named", "flagged", "flagged", "plain", "detached"
    kind = draw(st.sampled_from(kinds))
    odd = draw(st.sampled_from(("end", "end", "end", "registration", "registration", "user", "state", "all")))
    ends = {
        "detached": ("there", "removed"),
        "clone": CLONE,
        "named": NAMED,
        "flagged": NAMED,
        "plain": ("there", "folder gone"),
    }
    possible = ends.get(kind, WORKTREE)
    proofs = tuple(end for end in possible if end in GONE)
    end = draw(st.sampled_from(possible if odd in ("end", "all") or not proofs else proofs))
    found = Place(branch, kind, end)  # type: ignore[arg-type]
    found = replace(found, registration=draw(st.sampled_from(REGISTRATIONS)) if odd == "registration" else "whole")
    found = replace(found, user=draw(st.sampled_from(USERS)) if odd == "user" else "")
    found = replace(found, state=draw(st.sampled_from(STATES)) if odd == "state" else "whole")
    if odd == "all":
        found = replace(found, registration=draw(some("whole", *REGISTRATIONS)), user=draw(some("", *USERS)))
        found = replace(found, state=draw(some("whole", *STATES)))
    return replace(found, bucket=found.user != "session" and draw(rarely(True, False)))


def some(usual: str, *others: str) -> st.SearchStrategy[Any]:
    """Mostly the usual."""
    return st.sampled_from((*[usual] * (2 * len(others)), *others))


@st.composite
def runs(draw: st.DrawFn) -> Run:
    state = draw(st.sampled_from(RUNS))
    # Whoever cleans up after a dead run gives its sessions ten seconds to end, which no world is worth.
    session = state not in ("dead", "kept") and draw(rarely(True, False))
    of, workers = draw(st.sampled_from((-1, -1, 0, 1))), draw(st.integers(0, 1))
    return Run(state, of, workers, session, not session and draw(rarely(True, False)))


@st.composite
def strangers(draw: st.DrawFn, project: str) -> Stranger:
    text = draw(st.sampled_from(TEXTS) | st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=12))
    kind = draw(st.sampled_from(("database", "database", "database", "login", "bucket")))
    if kind == "bucket":
        pattern = draw(st.sampled_from(("files-dev-{t}", "files-{t}", "files-{t}-gw0", "filesx-{t}", "files")))
        words = "".join(letter for letter in text if letter.isascii() and (letter.isdigit() or letter.islower()))
        return Stranger(pattern.format(t=words[:40] or "x"), draw(st.sampled_from(BUCKETS)), "bucket")
    name = draw(st.sampled_from(HAND)).format(p=project, t=text)
    return Stranger(fitting(name), draw(st.sampled_from(COMMENTS)), kind)  # type: ignore[arg-type]


def fitting(name: str) -> str:
    """As much of it as PostgreSQL takes: 63 bytes."""
    return name.encode()[:63].decode(errors="ignore") or "x"


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Of places, in each of which something tells; or of everything at once, where much speaks against everything."""
    project, neighbour = draw(st.sampled_from(PAIRS))
    world = World(project, neighbour, engine=draw(some("embedded", "external")), clock=draw(some("right", *CLOCKS)))
    if draw(st.booleans()):
        repository = draw(st.sampled_from((*["whole"] * 7, "made again", "fetched in part", "fetched in part")))
        return replace(world, places=draw(several_places(2, 4)), repository=repository)
    until = st.sampled_from(("past", "past", "future", "unreadable"))
    asides = st.builds(Aside, until, st.sampled_from(("", "", "bucket", "back", "back", "newer", "newer")))
    by_hand = st.lists(strangers(project), min_size=1, max_size=4, unique_by=lambda one: (one.kind, one.name))
    world = replace(world, places=draw(several_places(0, 2)), runs=tuple(draw(st.lists(runs(), max_size=2))))
    return replace(
        world,
        runs=tuple(_possible(world, number) for number in range(len(world.runs))),
        strangers=tuple(draw(by_hand)),
        asides=tuple(draw(st.lists(asides, max_size=1))),
        repository=draw(some("whole", *REPOSITORIES)),
        someone=draw(rarely(True, False)),
        theirs=draw(rarely(True, False, one_in=3)),
        everything=draw(rarely(True, False, one_in=4)),
        links=draw(rarely(True, False, one_in=3)),
        primary=draw(rarely(True, False)),
    )


@st.composite
def several_places(draw: st.DrawFn, least: int, most: int) -> tuple[Place, ...]:
    """Each on a branch of its own."""
    names = draw(st.lists(st.sampled_from(BRANCHES), min_size=least, max_size=most, unique=True))
    return tuple(draw(places(name)) for name in names)


def _possible(world: World, number: int) -> Run:
    """Runs of one namespace have one database: only the last of them can have left a session or newer record in it."""
    run = world.runs[number]
    if not any(together(world, later, run) for later in world.runs[number + 1 :]):
        return run
    return replace(run, session=False, state="ended" if run.state == "newer ended" else run.state)


# What may become of them.


def fate_of_place(world: World, place: Place) -> Fate:
    """Only what git proves to be gone goes, only where the proof can be read, and only if nobody uses it."""
    here = [run for run in world.runs if (found := whose(world, run)) and found.branch == place.branch]
    at_work = any(run.state in {"at work", *UNREADABLE} for run in here)
    if at_work or world.someone or used(place) or place.state.startswith("newer"):
        return "stays"
    if world.everything:
        readable = place.registration not in ("broken", "newer", "none")
        return "goes" if readable or world.engine == "embedded" else "stays"
    if place.registration not in ("whole", "no source") or place.state == "restored before":
        return "stays"
    if not proven(world, place):
        return "stays"
    return "goes" if place.state in ("half made", "half dropped") else "aside"


def proven(world: World, place: Place) -> bool:
    """Whether git says that it is gone."""
    if place.kind in ("plain", "detached") or place.end not in GONE:
        return False
    by_branch = place.end.startswith("branch")
    if by_branch and (place.kind in ("named", "flagged") or place.registration == "no source"):
        return (
            False  # A name that somebody gave to it, or may have given, is not the branch's: it does not end with it.
        )
    whole = world.repository == "whole" or (world.repository == "fetched in part" and not by_branch)
    return place.kind == "clone" or whole


def used(place: Place) -> bool:
    """Whether it is in use; a pin of a checkout that is gone can be given up by nobody, and counts for nothing."""
    there = place.end not in ("removed", "pruned", "folder gone", "moved", "moved by hand", "locked")
    return place.user == "lease" or (place.user == "pin" and there) or (place.user == "session" and opened(place))


def opened(place: Place) -> bool:
    """Whether anybody can be in it at all."""
    return not place.state.startswith("half")


def whose(world: World, run: Run) -> Place | None:
    """The place in whose namespace it runs."""
    return world.places[run.of] if 0 <= run.of < len(world.places) else None


def fate_of_run(world: World, number: int) -> Fate:
    """What a dead run made goes at once; what may be a live one's, or another's on a shared server, stays."""
    run = world.runs[number]
    if run.state in (*UNREADABLE, "at work") or run.session:
        return "stays"
    if run.state == "kept" and not any(together(world, later, run) for later in world.runs[number + 1 :]):
        return "goes" if world.everything else "stays"
    blind = any(other.state in UNREADABLE and together(world, other, run) for other in world.runs)
    if run.state in ("ended", "newer ended") and (blind or world.engine == "external"):
        return "stays"
    return "goes"


def together(world: World, one: Run, other: Run) -> bool:
    """Whether two runs are of one namespace."""
    return whose(world, one) is whose(world, other)


def fate_of_aside(world: World, one: Aside) -> Fate:
    """It goes when its time is over by the kernel's clock, which nobody sets; what may be another user's never."""
    if world.engine == "external" or one.more == "newer":
        return "stays"
    return "goes" if one.until == "past" or world.everything else "stays"


def fate_of_what_came_back(world: World) -> Fate:
    """Nobody has registered it: that needs a person's word, who sees whose it is."""
    return "goes" if world.everything and world.engine == "embedded" and not world.someone else "stays"
