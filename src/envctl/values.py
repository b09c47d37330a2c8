"""`dataclass` for the many small values of which this program is made, at a third of what the standard one costs.

The standard decorator writes five methods for every class as text and compiles them whenever the module is imported. A
command that loads eighty classes spends a quarter of its start on that. Here all classes share the same methods; what
they do is the standard's, to which a test compares them, and to a type checker it is the standard's own.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
else:

    def dataclass(cls: type | None = None, /, *, frozen: bool = False, slots: bool = False) -> Any:
        """As the standard's, for fields that are taken by place or by name."""

        def made(cls: type) -> type:
            whole = dataclasses.dataclass(init=False, repr=False, eq=False, slots=slots)(cls)
            return _furnished(whole, frozen=frozen)

        return made if cls is None else made(cls)


def _furnished(cls: Any, *, frozen: bool) -> type:
    cls.__init__ = _init(cls)
    cls.__compared__ = tuple(one.name for one in dataclasses.fields(cls) if one.compare)
    cls.__eq__, cls.__hash__ = _equal, None
    if "__repr__" not in vars(cls):
        cls.__repr__ = _shown
    if frozen:
        cls.__hash__ = _hashed
        cls.__setattr__ = cls.__delattr__ = _refused
        cls.__getstate__, cls.__setstate__ = _state, _restored
    return cls  # type: ignore[no-any-return]


def _init(cls: type) -> Callable[..., None]:
    """The one method that is each class's own: what it takes."""
    plan = tuple((one.name, one.default, one.default_factory) for one in dataclasses.fields(cls))
    put, missing, after = object.__setattr__, dataclasses.MISSING, hasattr(cls, "__post_init__")

    def init(self: Any, *args: Any, **given: Any) -> None:
        if len(args) > len(plan):
            raise TypeError(f"{cls.__name__} takes {len(plan)} values, {len(args)} were given")
        for (name, _, _), value in zip(plan, args, strict=False):
            put(self, name, value)
        for name, default, factory in plan[len(args) :]:
            if name in given:
                put(self, name, given.pop(name))
            elif default is not missing:
                put(self, name, default)
            elif factory is not missing:
                put(self, name, factory())
            else:
                raise TypeError(f"{cls.__name__} needs {name}")
        if given:
            raise TypeError(f"{cls.__name__} does not take {', '.join(given)}")
        if after:
            self.__post_init__()

    return init


def _state(self: Any) -> list[Any]:
    return [getattr(self, name) for name in self.__match_args__]


def _restored(self: Any, state: list[Any]) -> None:
    for name, value in zip(self.__match_args__, state, strict=True):
        object.__setattr__(self, name, value)


def _compared(self: Any) -> tuple[Any, ...]:
    return tuple(getattr(self, name) for name in self.__compared__)


def _equal(self: Any, other: Any) -> Any:
    return _compared(self) == _compared(other) if other.__class__ is self.__class__ else NotImplemented


def _hashed(self: Any) -> int:
    return hash(_compared(self))


def _shown(self: Any) -> str:
    shown = (f"{one.name}={getattr(self, one.name)!r}" for one in dataclasses.fields(self) if one.repr)
    return f"{type(self).__qualname__}({', '.join(shown)})"


def _refused(self: Any, name: str, *_: Any) -> None:
    raise dataclasses.FrozenInstanceError(f"{type(self).__name__}.{name} cannot be changed")
