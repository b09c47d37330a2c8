"""What is told of values holds for every class of envctl that is one, beside the standard's own of the same fields."""

from __future__ import annotations

import ast
import copy
import dataclasses
import importlib
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from envctl import values

SOURCE = Path(values.__file__).parent


@values.dataclass(frozen=True, slots=True)
class Mine:
    """One of ours."""

    first: str
    second: int = 2
    third: list[str] = dataclasses.field(default_factory=list)
    fourth: str = dataclasses.field(default="secret", repr=False, compare=False)


@dataclasses.dataclass(frozen=True, slots=True)
class Theirs:
    """The standard's."""

    first: str
    second: int = 2
    third: list[str] = dataclasses.field(default_factory=list)
    fourth: str = dataclasses.field(default="secret", repr=False, compare=False)


@pytest.fixture(params=[Mine, Theirs], ids=["ours", "the standard's"])
def one(request: pytest.FixtureRequest) -> Any:
    return request.param


def test_it_is_made_from_places_names_and_defaults(one: Any) -> None:
    made = one("a", third=["x"])
    assert (made.first, made.second, made.third, made.fourth) == ("a", 2, ["x"], "secret")
    assert one("a").third is not one("a").third
    assert one("a", 2, [], "another secret") == one("a") != one("b")
    assert one("a").__eq__(("a", 2)) is NotImplemented


@pytest.mark.parametrize(
    ("args", "given"), [((), {}), (("a", 1, [], "b", "c"), {}), (("a",), {"fifth": 1}), (("a",), {"first": "b"})]
)
def test_what_does_not_fit_is_refused(one: Any, args: tuple[Any, ...], given: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        one(*args, **given)


def test_it_cannot_be_changed(one: Any) -> None:
    made = one("a")
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.first = "b"
    with pytest.raises(dataclasses.FrozenInstanceError):
        del made.first
    with pytest.raises((dataclasses.FrozenInstanceError, TypeError)):  # theirs: TypeError, a known fault with slots
        made.other = 1
    assert made.first == "a"
    assert not hasattr(made, "__dict__")


def test_it_shows_itself_without_what_is_hidden(one: Any) -> None:
    assert repr(one("a")) == f"{one.__name__}(first='a', second=2, third=[])"


def test_it_can_be_replaced_copied_pickled_hashed_and_matched(one: Any) -> None:
    made = one("a")
    assert dataclasses.replace(made, second=3) == one("a", 3)
    assert dataclasses.asdict(made) == {"first": "a", "second": 2, "third": [], "fourth": "secret"}
    assert copy.deepcopy(made) == pickle.loads(pickle.dumps(made)) == made
    assert hash(one("a", 1, ())) == hash(one("a", 1, ()))
    match made:
        case one(first, second):
            assert (first, second) == ("a", 2)


def ours() -> Iterator[tuple[str, type]]:
    """Every class of envctl that is made with it."""
    for path in sorted(SOURCE.rglob("*.py")):
        name = ".".join(path.relative_to(SOURCE.parent).with_suffix("").parts).removesuffix(".__init__")
        if path.name == "__main__.py" or "import dataclass" not in path.read_text():
            continue
        classes = [node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ClassDef)]
        module = importlib.import_module(name)
        for one in classes:
            found = getattr(module, one, None)
            if isinstance(found, type) and "__dataclass_fields__" in vars(found):
                yield f"{name}.{one}", found


def test_no_class_asks_for_more_than_it_does() -> None:
    """`kw_only`, `init=False` and the like are the standard's alone."""
    found = dict(ours())
    assert len(found) > 80
    for name, one in found.items():
        if vars(one)["__init__"].__module__ != values.__name__:
            continue
        for part in dataclasses.fields(one):
            assert (part.init, part.hash, part.kw_only) == (True, None, False), name
