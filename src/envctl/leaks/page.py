"""An audit as one page without a network: for a mail or a browser. Everything that comes from outside is escaped."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from pathlib import Path
from string import Template

from envctl import state, texts
from envctl.errors import EnvctlError
from envctl.leaks import overview, plots
from envctl.leaks.history import Past
from envctl.leaks.plain import age, harmless, local_time
from envctl.leaks.rows import Audit, Row, count, weight
from envctl.render import size

MOST = 2000
"""Things that are no leaks and still stand in the page one by one."""
NUMBERS = ("age", "size", "count", "oldest", "leaks", "orphan", "unexplained", "idle", "live", "not looked at")
"""Columns that stand to the right."""
COUNTED = ("orphan", "unexplained", "size", "idle", "live", "not looked at")
"""What of each past audit is written out."""
MARK, HEAD = b"<title>envctl leaks: ", 1000
"""What a page of ours has within its first bytes."""
RECENT = 12
"""Audits whose numbers are also written out, for mail programs that show no plots."""


def write(path: Path, audit: Audit, audits: Sequence[Past]) -> None:
    """Write the page, readable by its owner alone, whole or not at all."""
    target = place(path)
    try:
        with state.fresh(target, sweep=False) as (file, name):
            file.write(html(audit, audits))
            file.flush()
            os.fsync(file.fileno())
            name.replace(target)
    except OSError as error:
        raise EnvctlError(f"{path} could not be written", cause=error.strerror or str(error)) from error


def place(path: Path) -> Path:
    """Where a page may be written: what is there already is an older page, or it is not ours to replace."""
    target = Path(os.path.realpath(path))
    try:
        why = "" if _ours(target) else "it is there already, and no page of envctl"
    except FileNotFoundError:
        why = "it is a link to nothing" if path.is_symlink() else ""
    except OSError as error:
        why = error.strerror or str(error)
    if why:
        raise EnvctlError(f"{path} could not be written", cause=why, hint="name a file that is not there yet")
    return target


def _ours(path: Path) -> bool:
    """Whether it is a page that was written before. A pipe without a writer must not keep us waiting."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        return stat.S_ISREG(os.fstat(file.fileno()).st_mode) and MARK in file.read(HEAD)


def html(audit: Audit, audits: Sequence[Past]) -> str:
    """The page. `audits` are the past ones and, where it counts, this one; the oldest first."""
    counts, leaks = count(audit.rows), audit.leaks
    found = (
        f"{len(leaks)} leak{'' if len(leaks) == 1 else 's'} in {audit.project}"
        if leaks
        else f"No leaks in {audit.project}"
    )
    limited = f" · limited to {audit.limited}" if audit.limited else ""
    return Template(texts.read("leaks", "page.html")).substitute(
        title=_text(f"envctl leaks: {found}"),
        headline=_text(found),
        subtitle=_text(f"{local_time(audit.at)} · looked for {audit.seconds:.1f} s{limited}"),
        tiles="".join(
            (
                _tile("leaks", str(len(leaks)), size(weight(leaks)) if leaks else "", "bad" if leaks else ""),
                _tile("idle", str(counts["idle"]), "unused"),
                _tile("live", str(counts["live"]), "in use"),
                _tile("not looked at", str(len(audit.unseen)), "places", "warn" if audit.unseen else ""),
            )
        ),
        unseen=_unseen(audit),
        leaks=_leaks(audit),
        trend=_trend(audits),
        overview=_overview(audit),
        rest=_rest(audit),
    )


def _tile(name: str, number: str, more: str, mark: str = "") -> str:
    return f"<div class='tile'><b class='{mark}'>{number}</b> {name} <span class='soft'>{_text(more)}</span></div>"


def _unseen(audit: Audit) -> str:
    if not audit.unseen:
        return ""
    rows = (_row(_cell(_text(one.place), "short", "place"), _cell(_text(one.why), head="why")) for one in audit.unseen)
    return f"<h2>Not looked at</h2>{_table(('place', 'why'), rows)}"


def _leaks(audit: Audit) -> str:
    if not audit.leaks:
        return ""
    heads = ("verdict", "environment", "kind", "name", "owner", "age", "size")
    return f"<h2>Leaks</h2>{_table(heads, _leak_rows(audit))}"


def _leak_rows(audit: Audit) -> Iterator[str]:
    """Two lines for each: what it is; where, why it is a leak, and what removes it."""
    for row in audit.leaks:
        yield _row(*_thing(row, audit.at))
        remedy = f" <code>{_text(row.remedy)}</code>" if row.remedy else ""
        why = f"<span class='soft'>{_text(row.place)}: {_text(row.reason)}</span>{remedy}"
        yield f"<tr class='more'><td></td><td colspan='6'>{why}</td></tr>"


def _rest(audit: Audit) -> str:
    rows = [row for row in audit.rows if not row.leak]
    if not rows:
        return ""
    heads = ("verdict", "environment", "kind", "name", "owner", "age", "size", "why")
    table = _table(
        heads, (_row(*_thing(row, audit.at), _cell(_text(row.reason), "soft", "why")) for row in rows[:MOST])
    )
    more = f"<p class='soft'>{len(rows) - MOST} more are not shown.</p>" if len(rows) > MOST else ""
    return _folded(f"{len(rows)} in use or idle", table + more)


def _thing(row: Row, now: str) -> tuple[str, ...]:
    return (
        _cell(row.verdict, f"verdict {row.verdict}", "verdict"),
        _cell(_text(row.environment), "short", "environment"),
        _cell(_text(row.kind), "short", "kind"),
        _cell(_text(row.name), "name", "name"),
        _cell(_text(row.owner), head="owner"),
        _cell(_text(age(row, now)), "number", "age"),
        _cell(_text(size(row.bytes)), "number", "size"),
    )


def _overview(audit: Audit) -> str:
    if not audit.rows:
        return "<p class='soft'>Nothing.</p>"
    rows, before = list[str](), None
    for one in overview.lines(audit.rows):
        first, before = one.environment != before, one.environment
        numbers = {"count": str(one.count), "size": size(one.bytes), "oldest": overview.oldest(one, audit.at)}
        rows.append(
            _row(
                _cell(_text(one.environment or overview.ANY) if first else "", head="environment"),
                _cell(_text(one.kind), head="kind"),
                *(_cell(_text(number), "number", head) for head, number in numbers.items()),
                _cell(f"<b class='bad'>{one.leaks}</b>" if one.leaks else "", "number", "leaks"),
                begins=first,
            )
        )
    return _table(("environment", "kind", "count", "size", "oldest", "leaks"), rows)


def _trend(audits: Sequence[Past]) -> str:
    if len(audits) < 2:
        return "<p class='soft'>This is the first audit: the trend begins with the next.</p>"
    legend = "<span class='key orphan'></span>orphan <span class='key unexplained'></span>unexplained"
    figures = (
        _figure(f"Leaks per audit <span class='soft'>{legend}</span>", plots.bars(audits)),
        _figure("Size of leaks", plots.line(audits)),
    )
    table = _table(("audit", *COUNTED), (_past(one) for one in reversed(audits[-RECENT:])))
    return f"<div class='plots'>{''.join(figures)}</div>{_folded('The last audits in numbers', table)}"


def _figure(title: str, plot: str) -> str:
    return f"<figure><figcaption>{title}</figcaption>{plot}</figure>"


def _past(one: Past) -> str:
    numbers = (one.orphan, one.unexplained, size(one.bytes), one.idle, one.live, one.unseen)
    cells = (_cell(_text(str(each)), "number", head) for head, each in zip(COUNTED, numbers, strict=True))
    return _row(_cell(_text(local_time(one.at)), "short", "audit"), *cells)


def _table(heads: Iterable[str], rows: Iterable[str]) -> str:
    head = "".join(f"<th class='{'number' if one in NUMBERS else ''}'>{one}</th>" for one in heads)
    return f"<div class='wide'><table><tr class='heads'>{head}</tr>{''.join(rows)}</table></div>"


def _row(*cells: str, begins: bool = True) -> str:
    return f"<tr class='{'begins' if begins else ''}'>{''.join(cells)}</tr>"


def _cell(content: str, kind: str = "", head: str = "") -> str:
    """With its column's name, which stands before it where the screen is too narrow for columns."""
    return f"<td class='{kind}' data-head='{head}'>{content}</td>"


def _folded(title: str, content: str) -> str:
    return f"<details><summary>{title}</summary>{content}</details>"


def _text(text: str) -> str:
    return escape(harmless(text), quote=True)
