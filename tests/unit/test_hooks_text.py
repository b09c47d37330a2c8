"""Our lines in other people's hooks: put in and taken out, the bytes are what they were."""

from __future__ import annotations

import os
import select
import shlex
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envctl.digests import hexdigest
from envctl.errors import EnvctlError, UsageError
from envctl.hooks import record, text
from envctl.hooks.record import Record

PYTHON, FOLDER = Path("/opt/it's mine/bin/python"), Path('/home/a b/"state"/hooks/0123')
SHEBANGS = (
    b"#!/bin/sh",
    b"#! /bin/bash -eu",
    b"#!/usr/bin/env bash",
    b"#!/usr/bin/env -S A=b sh -e",
    b"#!/bin/busybox sh",
)
RUNNERS = [["dash", "-eu"], ["bash", "-eu"], ["bash", "--posix", "-eu"], ["dash"], ["bash"]]
PATIENCE = 20.0
block = text.made(PYTHON, FOLDER)
older = block.replace(b"# Tells", b"# Told")
"""What stands between the marks of another version; its digest is put right below."""


def with_digest(content: bytes) -> bytes:
    inner = b"".join(content.splitlines(keepends=True)[1:-1])
    return b"# >>> envctl hooks 0 " + hexdigest(inner)[:8].encode() + b" >>>\n" + inner + b"# <<< envctl hooks <<<\n"


def marks(folder: Path) -> None:
    """As they are made with the hook."""
    for name in ("seen", "waiting"):
        (folder / name).touch()


bodies = st.binary(max_size=300).filter(lambda body: b"\0" not in body and b"envctl hooks" not in body)
scripts = st.builds(lambda first, body: first + body, st.sampled_from(SHEBANGS), bodies.map(lambda body: b"\n" + body))


@given(scripts)
def test_in_and_out_is_the_identity(script: bytes) -> None:
    inside = text.installed(script, block)
    assert inside.startswith(script.partition(b"\n")[0] + b"\n# >>> envctl hooks ")
    assert text.uninstalled(inside) == script


@pytest.mark.parametrize("first", SHEBANGS)
def test_a_file_that_is_one_unfinished_line_stays_one(first: bytes) -> None:
    assert text.uninstalled(text.installed(first, block)) == first


@given(scripts)
def test_twice_is_once_and_an_older_block_is_renewed_in_its_place(script: bytes) -> None:
    once = text.installed(script, block)
    assert text.installed(once, block) == once
    assert text.installed(text.installed(script, with_digest(older)), block) == once
    assert text.installed(text.installed(b"#!/bin/sh", with_digest(older)), block) == text.installed(
        b"#!/bin/sh", block
    )


@given(bodies, bodies)
def test_what_others_wrote_around_our_lines_since_is_kept(above: bytes, below: bytes) -> None:
    inside = text.installed(b"#!/bin/sh\necho theirs\n", block)
    edited = inside.replace(b"#!/bin/sh\n", b"#!/bin/sh\n" + above + b"\n") + below
    assert text.uninstalled(edited) == b"#!/bin/sh\n" + above + b"\necho theirs\n" + below


def test_only_a_file_that_is_exactly_ours_goes_as_a_whole() -> None:
    ours = text.installed(None, block)
    assert text.uninstalled(ours) is None
    assert text.uninstalled(ours + b"echo theirs\n") == b"#!/bin/sh\necho theirs\n"
    assert text.uninstalled(text.installed(b"#!/bin/sh\n", block)) == b"#!/bin/sh\n"
    assert text.uninstalled(b"#!/bin/sh\n") == b"#!/bin/sh\n"


@pytest.mark.parametrize(
    "edit",
    [
        lambda inside: inside.replace(b"committed", b"prepared"),
        lambda inside: inside.replace(b"unset", b"echo mine\nunset"),
        lambda inside: inside + block,
        lambda inside: inside.replace(b"# <<< envctl hooks <<<\n", b""),
        lambda inside: inside.replace(b"# >>> envctl hooks 1 ", b"# >>> envctl hooks one "),
        lambda inside: inside + b"# >>> envctl hooks 1 00000000 >>>\n",
    ],
)
def test_lines_that_somebody_has_been_at_are_nobodys_to_remove(edit: Callable[[bytes], bytes]) -> None:
    damaged = edit(text.installed(b"#!/bin/sh\necho theirs\n", block))
    for change in (text.uninstalled, partial(text.installed, block=block)):
        with pytest.raises(text.Damaged):
            change(damaged)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"#!/usr/bin/env python3\nprint()\n", "python3"),
        (b"#!/usr/bin/perl -w\n", "perl"),
        (b"#!/usr/bin/fish\n", "fish"),
        (b"#!/bin/sh\r\necho\r\n", r"sh\r"),
        (b"#!\n", "for ''"),
        (b"#!/usr/bin/env\n", "env"),
        (b"\x7fELF\x02\0\0", "not a text"),
        (b"#!/bin/sh\n\0", "not a text"),
        (b"", "no #!"),
        (b"echo no shebang\n", "no #!"),
    ],
)
def test_what_is_no_shell_script_is_left_alone(content: bytes, why: str) -> None:
    assert why in text.unfit(content)
    with pytest.raises(text.Refused):
        text.installed(content, block)


def test_a_path_is_one_word_whatever_is_in_it() -> None:
    words = [word.rstrip(";") for word in shlex.split(block.decode(), comments=True)]
    assert words.count(str(PYTHON)) == 2
    assert f">{FOLDER}/seen" in words
    assert words.count(f">{FOLDER}/waiting") == 1


@pytest.mark.parametrize("name", ["/a\nb", "/a\tb", "/\x7f"])
def test_a_path_that_could_break_a_line_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be written into a hook"):
        text.made(PYTHON, Path(name))


def test_a_name_that_is_no_utf8_comes_through(tmp_path: Path) -> None:
    folder = tmp_path / "st\udcffate"
    folder.mkdir()
    marks(folder)
    (tmp_path / "hook").write_bytes(text.installed(None, text.made(Path("/bin/true"), folder)))
    subprocess.run(["/bin/sh", tmp_path / "hook", "committed"], check=True, stdin=subprocess.DEVNULL)
    assert (folder / "waiting").read_text()


@pytest.mark.parametrize("shell", RUNNERS)
@pytest.mark.parametrize("words", [[], ["prepared"], ["aborted"], ["committed"]])
def test_nothing_of_it_fails_prints_or_reads(tmp_path: Path, shell: list[str], words: list[str]) -> None:
    """Whatever is missing, and under the strictest flags: the lines below get stdin, arguments and control."""
    marks(tmp_path)
    theirs = b'\ncat\nprintf "%s %s" "$#" "${envctl_waiting-unset}"\nexit 7\n'
    for python, folder in ((PYTHON, FOLDER), (Path("/bin/true"), FOLDER), (Path("/bin/true"), tmp_path)):
        script = tmp_path / "hook"
        script.write_bytes(text.installed(b"#!/bin/sh" + theirs, text.made(python, folder)))
        done = subprocess.run([*shell, script, *words], input=b"0 1 refs/x\n", capture_output=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (7, b"0 1 refs/x\n%d unset" % len(words), b"")


@pytest.mark.parametrize("shell", RUNNERS)
@pytest.mark.parametrize("name", ["seen", "waiting"])
@pytest.mark.parametrize("kind", ["fifo", "device", "file elsewhere", "folder", "nothing"])
def test_a_mark_that_is_no_plain_file_keeps_nobody_waiting(
    tmp_path: Path, shell: list[str], name: str, kind: str
) -> None:
    marks(tmp_path)
    mark, elsewhere = tmp_path / name, tmp_path / "elsewhere"
    mark.unlink()
    elsewhere.write_text("precious")
    if kind == "fifo":
        os.mkfifo(mark)
    elif kind == "folder":
        mark.mkdir()
    elif kind != "nothing":
        mark.symlink_to("/dev/zero" if kind == "device" else elsewhere)
    script = tmp_path / "hook"
    script.write_bytes(text.installed(b"#!/bin/sh\necho theirs\n", text.made(Path("/bin/true"), tmp_path)))
    words = [*shell, str(script), "committed"]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=PATIENCE)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"theirs\n", b"")
    assert elsewhere.read_text() == "precious"


@pytest.mark.parametrize("name", ["lock", "seen", "waiting"])
def test_a_fifo_in_place_of_a_mark_is_told_and_not_waited_for(tmp_path: Path, name: str) -> None:
    (tmp_path / "own").mkdir(mode=0o700)
    os.mkfifo(tmp_path / "own" / name)
    with pytest.raises(EnvctlError, match="cannot be written") as caught:
        record.write(tmp_path / "own", Record("/hooks/reference-transaction", "/usr/bin/python3"))
    assert str(tmp_path / "own" / name) in caught.value.message


@pytest.mark.parametrize("shell", RUNNERS)
@pytest.mark.parametrize("number", ["-1", "0", "00", "self", "../proc/self", "1x", "$$", "9" * 30, ""])
@pytest.mark.parametrize("began", ["", "1\n"])
def test_what_is_no_number_of_a_process_is_nobody_who_waits(
    tmp_path: Path, shell: list[str], number: str, began: str
) -> None:
    """`kill -0 -1` and `kill -0 0` find somebody always."""
    marks(tmp_path)
    (tmp_path / "waiting").write_text(f"{number}\n{began}")
    called, python, script = (tmp_path / one for one in ("called", "python", "hook"))
    os.mkfifo(called)
    python.write_text(f"#!/bin/sh\necho called >'{called}'\n")
    python.chmod(0o700)
    script.write_bytes(text.installed(None, text.made(python, tmp_path)))
    heard = os.open(called, os.O_RDONLY | os.O_NONBLOCK)
    try:
        subprocess.run([*shell, script, "committed"], stdin=subprocess.DEVNULL, check=True, timeout=PATIENCE)
        assert select.select([heard], [], [], PATIENCE)[0], "nobody was called"
    finally:
        os.close(heard)
