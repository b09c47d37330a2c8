"""What holds for every name: legal, distinct, and read back as what it was made from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from envctl import environments, namespace
from envctl.environments import DEFAULTS
from envctl.model import Environment
from envctl.namespace import Names, Parsed

claim = settings(max_examples=300, derandomize=True, database=None, deadline=None)

DATABASE = re.compile("[a-z][a-z0-9_]{0,62}")
BUCKET = re.compile("(?!xn--|sthree-)[a-z0-9](?:[a-z0-9]|-(?!-)){1,61}[a-z0-9](?<!-s3alias)")
PRIVATE = "_" * 2 + "p" * (namespace.PRIVATE_SUFFIX - 2)

words = st.from_regex("[a-z0-9]{1,6}", fullmatch=True)
tricky = st.sampled_from(["gw0", "gw", "dev", "test", "master", "default", "old", "0123abcd", "s3alias", "pr"])
wordy = st.lists(words | tricky, min_size=1, max_size=5).flatmap(
    lambda parts: st.sampled_from("_-/").map(lambda sign: sign.join(parts))
)
anything = st.text(min_size=1, max_size=80) | st.text("-/_.aA0é🚀", min_size=1, max_size=30)
branches = wordy | anything
projects = st.from_regex("[a-z][a-z0-9]{0,8}([_-][a-z0-9]{1,8})?", fullmatch=True)
buckets = st.lists(st.from_regex("[a-z0-9]{3,9}(-(old|dev|[a-z0-9]{1,8}))?", fullmatch=True), max_size=3, unique=True)
workers = st.just("") | st.integers(0, 999).map(lambda number: f"gw{number}")
local = st.sampled_from(["dev", "test"])


@dataclass(frozen=True)
class World:
    """A project as its configuration would accept it."""

    project: str
    buckets: list[str]

    @property
    def limit(self) -> int:
        return namespace.limit(self.project, DEFAULTS, self.buckets)

    @property
    def reserved(self) -> frozenset[str]:
        return environments.reserved(DEFAULTS, self.project, self.buckets)

    def name(self, path: str = "/w", branch: str | None = None, flag: str | None = None, **environ: str) -> str:
        checkout = None if branch is None else Here(Path(path), branch)
        return namespace.resolve(
            path=Path(path),
            flag=flag,
            environ=environ,
            checkout=checkout,
            limit=self.limit,
            reserved=self.reserved,
        ).name

    def parses(self, name: str) -> set[Parsed | None]:
        """Everything that the parsers see in a name, as a database and as each of the buckets."""
        found = {
            namespace.parse_bucket(self.project, DEFAULTS, bucket, name, buckets=self.buckets)
            for bucket in self.buckets
        }
        return found | {namespace.parse_database(self.project, DEFAULTS, name)}


@dataclass(frozen=True)
class Here:
    root: Path
    branch: str


@st.composite
def worlds(draw: st.DrawFn) -> World:
    world = World(draw(projects), draw(buckets))
    assume(not environments.collisions(DEFAULTS, world.project, world.buckets))
    return world


@st.composite
def namespaces(draw: st.DrawFn, world: World) -> str:
    """A namespace from any of the sources."""
    branch, source = draw(branches), draw(st.sampled_from(["explicit", "git", "default", "flag"]))
    if source == "explicit":
        return world.name(BRANCH_NAME=branch, WORKSPACE_ID=draw(st.just("") | branches))
    if source == "flag":
        return world.name(flag=branch)
    return world.name(path=f"/{branch}", branch=branch if source == "git" else None)


SHOP = World("shop", ["files", "files-old"])


@claim
@given(st.data(), worlds(), workers)
def test_every_name_is_legal_with_its_longest_suffix(data: st.DataObject, world: World, worker: str) -> None:
    name = data.draw(namespaces(world))
    names = Names(world.project, name, pr=1234567)
    every: tuple[Environment, ...] = get_args(Environment)
    for environment in every:
        suffixed = worker if environment in ("dev", "test", "ci") else ""
        assert DATABASE.fullmatch(names.database(environment, suffixed))
        assert DATABASE.fullmatch(names.identity(environment, worker))
        assert all(BUCKET.fullmatch(names.bucket(bucket, environment, suffixed)) for bucket in world.buckets)
    for environment in ("dev", "test"):
        assert DATABASE.fullmatch(names.database(environment, "gw999") + PRIVATE)
        assert all(len(names.bucket(bucket, environment, "gw999") + PRIVATE) <= 63 for bucket in world.buckets)


@claim
@given(st.data(), worlds(), local, workers)
def test_make_then_parse_is_the_identity(
    data: st.DataObject, world: World, environment: Environment, worker: str
) -> None:
    name = data.draw(namespaces(world))
    names, project = Names(world.project, name), world.project
    expected = Parsed(environment, name, worker)
    assert namespace.parse_database(project, DEFAULTS, names.database(environment, worker)) == expected
    assert namespace.parse_identity(project, names.identity(environment, worker)) == expected
    for bucket in world.buckets:
        made = names.bucket(bucket, environment, worker)
        assert namespace.parse_bucket(project, DEFAULTS, bucket, made, buckets=world.buckets) == expected
        others = [other for other in world.buckets if other != bucket]
        assert not any(
            namespace.parse_bucket(project, DEFAULTS, other, made, buckets=world.buckets) for other in others
        )


@claim
@given(st.data(), worlds())
def test_a_namespace_given_as_the_flag_is_itself(data: st.DataObject, world: World) -> None:
    name = data.draw(namespaces(world))
    assert world.name(flag=name) == name


@claim
@given(branches, branches)
@example("a.b", "a_b")
@example("v1.2.3", "v123")
@example("x_gw1", "x_gw_1")
@example("a_0123abcd", "a.0123abcd")
def test_distinct_explicit_branches_have_distinct_names(one: str, other: str) -> None:
    assume(folded(one) != folded(other))
    assert SHOP.name(BRANCH_NAME=one) != SHOP.name(BRANCH_NAME=other)


@claim
@given(branches, branches, branches, branches)
@example("a_b", "c", "a", "b_c")
@example("a", "b_c", "a_b", "c")
@example("x" * 40 + "y", "z.", "x" * 40, "yz.")
def test_distinct_pairs_of_branch_and_workspace_have_distinct_names(
    branch: str, workspace: str, other: str, other_workspace: str
) -> None:
    assume((folded(branch), folded(workspace)) != (folded(other), folded(other_workspace)))
    one = SHOP.name(BRANCH_NAME=branch, WORKSPACE_ID=workspace)
    assert one != SHOP.name(BRANCH_NAME=other, WORKSPACE_ID=other_workspace)


@claim
@given(wordy, st.integers(1, 8))
def test_where_the_two_variables_meet_makes_no_difference_for_one_pair_only(text: str, at: int) -> None:
    parts = re.split("[-_/]", text)
    assume(0 < at < len(parts))
    pairs = {("_".join(parts[:cut]), "_".join(parts[cut:])) for cut in range(1, len(parts))}
    assert len({SHOP.name(BRANCH_NAME=branch, WORKSPACE_ID=rest) for branch, rest in pairs}) == len(pairs)


@claim
@given(branches, branches, st.sampled_from(["/a", "/b", "/a/b", "/ü x"]), st.sampled_from(["/a", "/b", "/b a"]))
def test_distinct_checkouts_have_distinct_names(one: str, other: str, path: str, other_path: str) -> None:
    assume((one, path) != (other, other_path))
    assert SHOP.name(path, one) != SHOP.name(other_path, other)
    assert path == other_path or SHOP.name(path) != SHOP.name(other_path)


@claim
@given(st.data(), branches)
def test_an_explicit_name_never_takes_that_of_a_checkout(data: st.DataObject, branch: str) -> None:
    taken = data.draw(st.sampled_from([SHOP.name("/a", branch), SHOP.name(f"/{branch}"), SHOP.name("/a", "")]))
    for text in (taken, taken.replace("_", "-"), taken.upper()):
        assert SHOP.name(BRANCH_NAME=text) != taken
        head, _, tail = text.rpartition("_")
        assert not head or SHOP.name(BRANCH_NAME=head, WORKSPACE_ID=tail) != taken


@claim
@given(st.text("abgwx_-.01 \n", max_size=40) | anything | wordy)
def test_what_is_not_ours_never_parses(text: str) -> None:
    strangers = [
        text,
        f"shop_{text}",
        f"shopx_test_{text}",
        f"Shop_test_{text}",
        f"shop_test_{text}__q",
        f"filesx-{text}",
    ]
    ours = re.compile("shop_(test|dev)_.+|files-.+", re.DOTALL)
    for stranger in strangers:
        if not ours.fullmatch(stranger):
            assert SHOP.parses(stranger) == {None}
    assert SHOP.parses(f"shop_test_{text}__q") == {None}


@claim
@given(worlds(), st.text("ab_-gw0. \n\0é", max_size=40))
def test_whatever_parses_is_made_again_from_what_was_parsed(world: World, text: str) -> None:
    for name in (f"{world.project.replace('-', '_')}_test_{text}", f"{world.project}_dev_{text}"):
        found = namespace.parse_database(world.project, DEFAULTS, name)
        assert found is None or Names(world.project, found.namespace).database(found.environment, found.worker) == name
    for bucket in world.buckets:
        seen = namespace.parse_bucket(world.project, DEFAULTS, bucket, f"{bucket}-{text}", buckets=world.buckets)
        names = Names(world.project, seen.namespace) if seen else None
        assert not (seen and names) or names.bucket(bucket, seen.environment, seen.worker) == f"{bucket}-{text}"


@claim
@given(worlds(), st.text(max_size=12))
def test_the_bare_names_never_parse(world: World, namespace_name: str) -> None:
    names = Names(world.project, namespace_name, primary=True, pr=1)
    for bare in (names.database("dev"), names.database("ci"), names.database("staging"), names.database("production")):
        assert namespace.parse_database(world.project, DEFAULTS, bare) is None
        assert namespace.parse_identity(world.project, bare) is None
    for bucket in world.buckets:
        bare = names.bucket(bucket, "dev")
        assert namespace.parse_bucket(world.project, DEFAULTS, bucket, bare, buckets=world.buckets) is None


def folded(text: str) -> str:
    return text.lower().replace("-", "_").replace("/", "_")
