"""The reference of `envctl.toml`: tables for the docs, and a commented file with every key."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import Field, is_dataclass
from typing import Any, get_args, get_origin

from envctl.document import Document
from envctl.schema import sentence
from envctl.toml.values import default, hints, keys, required
from envctl.toml.words import described
from envctl.values import dataclass

BEGIN = "<!-- reference: begin (made by scripts/generate) -->"
END = "<!-- reference: end -->"
ENTRIES: Mapping[str, str] = {"dev.processes": "api", "environments": "ci", "targets": "staging"}
"""What an entry of a table of tables is called in examples."""


@dataclass(frozen=True, slots=True)
class Section:
    """One table of the file."""

    path: str
    about: str
    fields: tuple[tuple[Field[Any], Any], ...]


def inserted(document: str, kinds: Mapping[str, type]) -> str:
    """A document with the reference between its two marks."""
    before, _, rest = document.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{tables(kinds)}\n{END}{after}"


def tables(kinds: Mapping[str, type]) -> str:
    """Every key, a Markdown table for each table of the file."""
    return "\n".join(_table(section) for section in sections(kinds) if section.fields)


def example(kinds: Mapping[str, type]) -> str:
    """A file with every key as a comment, at its example or default."""
    head = "# Every setting there is. What is commented out shows an example, or what holds without it.\n"
    return head + "\n".join(_commented(section) for section in sections(kinds, entries=ENTRIES) if _shown(section))


def sections(kinds: Mapping[str, type], entries: Mapping[str, str] | None = None) -> Iterator[Section]:
    """The file's tables, in its order; `entries` names an entry where there can be many."""
    for section in _sections("", "", Document, entries or {}):
        yield section
        if not section.path:
            for service, kind in kinds.items():
                yield from _sections(f"services.{service}", sentence(kind), kind, entries or {})


def toml(value: Any) -> str:
    """A value as TOML writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(toml(item) for item in value)}]"
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {toml(item)}" for key, item in value.items()) + " }" if value else "{}"
    if isinstance(value, (int, float)) and not hasattr(type(value), "parse"):
        return str(value)
    return json.dumps(str(value), ensure_ascii=False)


def _sections(path: str, about: str, kind: Any, entries: Mapping[str, str]) -> Iterator[Section]:
    own, inner = [], []
    for one in keys(kind):
        hint, key = hints(kind)[one.name], f"{path}.{one.name}".lstrip(".")
        item = get_args(hint)[1] if get_origin(hint) not in (None, tuple, list) and len(get_args(hint)) == 2 else None
        if is_dataclass(hint) and not hasattr(hint, "parse"):
            inner.append((key, one, hint))
        elif is_dataclass(item):
            inner.append((f"{key}.{entries.get(key, 'NAME')}", one, item))
        elif item is not Any:
            own.append((one, hint))
    yield Section(path, about, tuple(own))
    for key, one, hint in inner:
        yield from _sections(key, one.metadata.get("doc", "") or sentence(hint), hint, entries)


def _table(section: Section) -> str:
    title = f"### `[{section.path}]`" if section.path else "### At the top"
    rows = "".join(_row(one, hint) for one, hint in section.fields)
    about = f"{section.about}\n\n" if section.about.strip("`[].") not in ("", section.path) else ""
    return f"{title}\n\n{about}| key | value | default | meaning |\n|---|---|---|---|\n{rows}"


def _row(one: Field[Any], hint: Any) -> str:
    given = default(one)
    shown = (
        "required"
        if required(one, hint)
        else ""
        if given in (None, "", (), {}) or is_dataclass(given)
        else f"`{toml(given)}`"
    )
    example = one.metadata.get("example", "")
    meaning = one.metadata.get("doc", "") + (f" Example: `{_assigned(one.name, example)}`" if example else "")
    cells = (f"`{one.name}`", described(hint), shown, meaning)
    return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |\n"


def _shown(section: Section) -> bool:
    """A service's table says something even when it is empty."""
    return bool(section.fields) or section.path.startswith("services.")


def _commented(section: Section) -> str:
    lines = [f"\n[{section.path}]"] if section.path else []
    for one, hint in section.fields:
        given, shown = default(one), one.metadata.get("example", "")
        if not shown and (given is None or is_dataclass(given)):
            continue
        lines.append(f"# {one.metadata.get('doc', '')}")
        mark = "" if required(one, hint) else "# "
        lines.append(mark + _assigned(one.name, shown or toml(given)))
    return "\n".join(lines) + "\n"


def _assigned(key: str, text: str) -> str:
    """An example as a line of the file; it may be the value alone or the whole line."""
    return text if text.startswith((f"{key} =", f"{key}=")) else f"{key} = {text}"
