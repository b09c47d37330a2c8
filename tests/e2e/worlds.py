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

WORKTREE = (
    "there", "removed", "pruned", "branch gone", "branch gone elsewhere", "moved", "moved by hand", "folder gone",
    "locked", "added again", "remote has it", "packed", "rebasing", "its twin is there",
)  # fmt: skip
CLONE = ("there", "folder gone", "branch gone", "packed", "remote has it", "no objects", "rebasing")
GONE = frozenset({"removed", "pruned", "branch gone", "branch gone elsewhere"})
"""What git itself can prove; anything else may be a disk that is not mounted."""
COMMENTS = (
    "none", "by hand", "broken", "newer", "not an object", "another project", "another namespace", "no such checkout",
    "a private kind", "half made", "another host's",
)  # fmt: skip
BUCKETS = "none", "by hand", "broken", "newer", "another project", "another namespace"
UNREADABLE = "unreadable at work", "newer at work", "unreadable", "a link", "another user's"
"""Where a run is, or may be, and nobody can tell which."""
RUNS = "at work", "dead", "ended", "kept", *UNREADABLE


@dataclass(frozen=True)
class Place:
    """A checkout that was up once. `user` is who uses it now; `state` is how far its database came."""

    branch: str
    kind: Literal["worktree", "clone", "named", "plain", "detached"] = "worktree"
    end: str = "there"
    registration: Literal["whole", "old", "broken", "newer", "none"] = "whole"
    user: Literal["", "lease", "dead lease", "pin", "session"] = ""
    bucket: bool = False
    state: Literal["whole", "half made", "half dropped", "restored before", "linked memory"] = "whole"


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
    bucket: bool = False
    back: bool = False
    """Whether its namespace has come back since, and has a new database of that name."""


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
    clock: Literal["right", "forward", "back", "broken", "another boot"] = "right"
    repository: Literal["whole", "gone", "no objects", "no refs", "broken HEAD"] = "whole"
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
    kind = draw(st.sampled_from(("worktree", "worktree", "worktree", "clone", "named", "plain", "detached")))
    ends = {"clone": CLONE, "plain": ("there", "folder gone"), "detached": ("there", "removed", "folder gone")}
    named = tuple(end for end in WORKTREE if end not in ("its twin is there", "rebasing", "packed", "remote has it"))
    possible = ends.get(kind, named if kind == "named" else WORKTREE)
    end = draw(st.sampled_from((*possible, *(end for end in possible for _ in range(3) if end in GONE))))
    found = Place(branch, kind, end)  # type: ignore[arg-type]
    found = replace(found, registration=draw(some("whole", "old", "broken", "newer", "none")))
    found = replace(found, user=draw(some("", "lease", "dead lease", "pin", "session")))
    state = draw(some("whole", "half made", "half dropped", "restored before", "linked memory"))
    return replace(found, state=state, bucket=found.user != "session" and draw(rarely(True, False)))


def some(usual: str, *others: str) -> st.SearchStrategy[Any]:
    """Mostly the usual."""
    return st.sampled_from((*[usual] * (2 * len(others)), *others))


@st.composite
def runs(draw: st.DrawFn) -> Run:
    state = draw(st.sampled_from(RUNS))
    # Whoever cleans up after a dead run gives its sessions ten seconds to end, which no world is worth.
    session = state not in ("dead", "kept") and draw(rarely(True, False))
    of, workers = draw(st.integers(-1, 1)), draw(st.integers(0, 1))
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
    project, neighbour = draw(st.sampled_from(PAIRS))
    names = draw(st.lists(st.sampled_from(BRANCHES), max_size=2, unique=True))
    asides = st.builds(Aside, st.sampled_from(("past", "future", "unreadable")), rarely(True, False), st.booleans())
    return World(
        project,
        neighbour,
        places=tuple(draw(places(name)) for name in names),
        runs=tuple(draw(st.lists(runs(), max_size=2))),
        strangers=tuple(
            draw(st.lists(strangers(project), min_size=1, max_size=4, unique_by=lambda one: (one.kind, one.name)))
        ),
        asides=tuple(draw(st.lists(asides, max_size=1))),
        engine=draw(rarely("external", "embedded", one_in=3)),
        clock=draw(some("right", "forward", "back", "broken", "another boot")),
        repository=draw(some("whole", "gone", "no objects", "no refs", "broken HEAD")),
        someone=draw(rarely(True, False)),
        theirs=draw(rarely(True, False, one_in=3)),
        everything=draw(rarely(True, False)),
        links=draw(rarely(True, False, one_in=3)),
        primary=draw(rarely(True, False)),
    )


# What may become of them.


def fate_of_place(world: World, place: Place) -> Fate:
    """Only what git proves to be gone goes, only where the proof can be read, and only if nobody uses it."""
    at_work = any(whose(world, run) is place and run.state in {"at work", *UNREADABLE} for run in world.runs)
    if at_work or world.someone or used(place):
        return "stays"
    if world.everything:
        return "goes" if place.registration in ("whole", "old") or world.engine == "embedded" else "stays"
    if place.registration != "whole" or place.state == "restored before":
        return "stays"
    if not proven(world, place):
        return "stays"
    return "goes" if place.state in ("half made", "half dropped") else "aside"


def proven(world: World, place: Place) -> bool:
    """Whether git says that it is gone."""
    if place.kind in ("plain", "detached") or place.end not in GONE:
        return False
    if place.kind == "named" and place.end.startswith("branch"):
        return False  # A name that somebody gave to it is not the branch's, and does not end with that.
    return place.kind == "clone" or world.repository == "whole"


def used(place: Place) -> bool:
    """Whether it is in use; a pin of a checkout that is gone can be given up by nobody, and counts for nothing."""
    there = place.end not in ("removed", "pruned", "folder gone", "moved", "moved by hand", "locked")
    return place.user == "lease" or (place.user == "pin" and there) or (place.user == "session" and opened(place))


def opened(place: Place) -> bool:
    """Whether anybody can be in it at all."""
    return place.state in ("whole", "restored before", "linked memory")


def whose(world: World, run: Run) -> Place | None:
    """The place in whose namespace it runs."""
    return world.places[run.of] if 0 <= run.of < len(world.places) else None


def fate_of_run(world: World, number: int) -> Fate:
    """What a dead run made goes at once; what may be a live one's, or another's on a shared server, stays."""
    run = world.runs[number]
    if run.state in UNREADABLE or run.state == "at work" or run.session:
        return "stays"
    if run.state == "kept" and not any(together(world, later, run) for later in world.runs[number + 1 :]):
        return "goes" if world.everything else "stays"
    blind = any(other.state in UNREADABLE and together(world, other, run) for other in world.runs)
    if run.state == "ended" and (blind or world.engine == "external"):
        return "stays"
    return "goes"


def together(world: World, one: Run, other: Run) -> bool:
    """Whether two runs are of one namespace."""
    return whose(world, one) is whose(world, other)


def fate_of_aside(world: World, one: Aside) -> Fate:
    """It goes when its time is over by the kernel's clock, which nobody sets; what may be another user's never."""
    if world.engine == "external":
        return "stays"
    return "goes" if one.until == "past" or world.everything else "stays"


def fate_of_what_came_back(world: World) -> Fate:
    """Nobody has registered it: that needs a person's word, who sees whose it is."""
    return "goes" if world.everything and world.engine == "embedded" and not world.someone else "stays"
