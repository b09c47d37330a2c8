"""What the edge says, to whom, and how it looks."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import termios
from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

import envctl
from envctl import render
from envctl.dev import screen
from envctl.doctor.findings import Finding
from envctl.errors import EnvctlError, UnavailableError
from envctl.output import Output

SOURCES = os.pathsep.join([str(Path(envctl.__file__).parent.parent), *filter(None, sys.path)])
ERROR = EnvctlError(
    "postgres was not ready after 30 s", cause="exited (1)\nwrong version 15", hint="envctl dev down", code="not_ready"
)


def elsewhere(code: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run code in a Python of its own, with pipes."""
    environ = {**os.environ, "PYTHONPATH": SOURCES, **variables}
    argv = [sys.executable, "-c", dedent(code)]
    return subprocess.run(argv, capture_output=True, text=True, env=environ, check=True)


def on_terminal(code: str, variables: Mapping[str, str] | None = None, *, width: int = 80) -> str:
    """Run code in a Python of its own on a terminal, and return all that came to the screen."""
    end, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (24, width))
    environ = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "COLUMNS", "FORCE_COLOR")}
    environ |= {"PYTHONPATH": SOURCES, "TERM": "xterm-256color", **(variables or {})}
    argv = [sys.executable, "-c", dedent(code)]
    with subprocess.Popen(argv, stdin=theirs, stdout=theirs, stderr=theirs, env=environ) as started:
        os.close(theirs)
        seen = b""
        try:
            while chunk := os.read(end, 4096):
                seen += chunk
        except OSError:
            pass  # the other end is closed
        os.close(end)
    assert started.returncode == 0, seen
    return seen.decode()


def plain(screen: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen).replace("\r", "")


# Who hears what


def test_answer_is_stdout_and_talk_is_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    voice = Output()
    voice.say("starting postgres")
    voice.detail("with these flags")
    voice.warn("no git")
    voice.result("ns", {"namespace": "main"}, "main\n")
    assert capsys.readouterr() == ("main\n", "starting postgres\nwarning: no git\n")


def test_verbose_hears_details(capsys: pytest.CaptureFixture[str]) -> None:
    Output(verbose=True).detail("with these flags")
    assert capsys.readouterr().err == "with these flags\n"


def test_quiet_hears_the_answer_and_errors_only(capsys: pytest.CaptureFixture[str]) -> None:
    voice = Output(quiet=True, verbose=True)
    voice.say("starting")
    voice.detail("flags")
    voice.warn("careful")
    with voice.progress("working"):
        pass
    voice.result("ns", {}, "main")
    voice.fail("ns", EnvctlError("broken"))
    assert capsys.readouterr() == ("main\n", "error: broken\n")


def test_error_says_what_why_and_what_next(capsys: pytest.CaptureFixture[str]) -> None:
    assert Output().fail("dev up", UnavailableError("it is down", cause="a\nb", hint="start it\nor wait")) == 4
    expected = "error: it is down\n  a\n  b\n  hint: start it\n        or wait\n"
    assert capsys.readouterr() == ("", expected)


def test_progress_is_two_lines_where_nothing_can_move(capsys: pytest.CaptureFixture[str]) -> None:
    voice = Output()
    with voice.progress("dev environment"):
        voice.say("starting postgres")
    first, second, third = capsys.readouterr().err.splitlines()
    assert (first, second) == ("dev environment …", "starting postgres")
    assert re.fullmatch(r"dev environment done in \d+\.\d s", third)


def test_progress_that_failed_says_so_and_lets_the_error_through(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ZeroDivisionError), Output().progress("dev environment"):
        raise ZeroDivisionError
    assert "dev environment failed after" in capsys.readouterr().err


# JSON


def document(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text)
    return found


def test_json_is_one_document_with_the_data(capsys: pytest.CaptureFixture[str]) -> None:
    voice = Output(json=True)
    voice.say("talk")
    voice.result("dev up", {"path": Path("/x"), "é": 1}, "text")
    out, err = capsys.readouterr()
    assert err == "talk\n"
    assert document(out) == {
        "envctl": 1,
        "command": "dev up",
        "status": "ok",
        "exit_code": 0,
        "data": {"path": "/x", "é": 1},
        "errors": [],
    }


def test_json_tells_of_a_failure_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert Output(json=True).fail("dev up", ERROR) == 1
    out, err = capsys.readouterr()
    assert err.startswith("error: postgres was not ready")
    found = document(out)
    assert (found["status"], found["exit_code"], found["data"]) == ("error", 1, {})
    assert found["errors"] == [
        {"code": "not_ready", "message": ERROR.message, "cause": ERROR.cause, "hint": "envctl dev down"}
    ]


def test_json_of_an_answer_that_is_not_all_well_is_partial(capsys: pytest.CaptureFixture[str]) -> None:
    Output(json=True).result("dev status", {"healthy": False}, exit_code=3)
    found = document(capsys.readouterr().out)
    assert (found["status"], found["exit_code"]) == ("partial", 3)


def test_failure_after_the_answer_does_not_make_two_documents(capsys: pytest.CaptureFixture[str]) -> None:
    voice = Output(json=True)
    voice.result("dev up", {})
    assert voice.fail("dev up", ERROR) == 1
    out, err = capsys.readouterr()
    assert document(out)["status"] == "ok"
    assert "postgres was not ready" in err


# How it looks


def test_rich_is_not_imported_before_something_is_shown() -> None:
    code = """
        import sys
        from envctl.errors import EnvctlError
        from envctl.output import Output
        from envctl.render import settings_table, prefixed
        voice = Output(json=True)
        with voice.progress("working"):
            voice.say("x")
        voice.result("config", {}, settings_table({"a": {"value": 1, "source": "default"}}))
        voice.fail("config", EnvctlError("x"))
        prefixed(Output())("app", "line")
        sys.exit("rich" in sys.modules)
    """
    assert "working …" in elsewhere(code).stderr


def test_what_cannot_be_encoded_is_escaped_not_lost() -> None:
    code = """
        from envctl.output import Output
        Output().result("ns", {}, "naïve \\udcff done…")
        Output().say("größer")
    """
    done = elsewhere(code, PYTHONIOENCODING="ascii")
    assert done.stdout == "na\\xefve \\udcff done\\u2026\n"
    assert done.stderr == "gr\\xf6\\xdfer\n"


@pytest.mark.parametrize(
    ("variables", "coloured"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
)
def test_colours_are_for_terminals_that_want_them(variables: dict[str, str], coloured: bool) -> None:
    code = """
        from envctl.errors import EnvctlError
        from envctl.doctor.findings import Finding
        from envctl.output import Output
        from envctl.render import findings_table, prefixed
        Output().fail("x", EnvctlError("broken", hint="repair"))
        Output().result("doctor", {}, findings_table([Finding("disk", "problem", "full", "make room")]))
        prefixed(Output())("app", "line")
    """
    screen = on_terminal(code, variables)
    assert re.search(r"\x1b\[[0-9;]*3[0-9]m", screen) is not None if coloured else "\x1b[3" not in screen
    assert "error: broken" in plain(screen)
    assert "app | line" in plain(screen)


def test_talk_during_a_spinner_stays_on_the_screen_as_it_was_said() -> None:
    code = """
        from envctl.output import Output
        voice = Output()
        with voice.progress("dev environment"):
            voice.say("starting [bold]postgres[/bold] at /a/very/long/path/that/is/wider/than/the/terminal")
    """
    screen = on_terminal(code, width=40)
    assert "starting [bold]postgres[/bold] at /a/very/long/path/that/is/wider/than/the/terminal\n" in plain(screen)
    assert "dev environment done in" in plain(screen)
    assert screen.count("\x1b[?25l") == screen.count("\x1b[?25h")  # the cursor is back


SETTINGS: dict[str, dict[str, Any]] = {
    "project": {"value": "shop", "source": "envctl.toml:1"},
    "names.test": {"value": "x" * 100, "source": "default"},
    "empty": {"value": None, "source": "[default]"},
}


def test_table_in_a_pipe_is_neither_cut_nor_wrapped_nor_coloured(capsys: pytest.CaptureFixture[str]) -> None:
    Output().result("config", {}, render.settings_table(SETTINGS))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines] == [
        ["setting", "value", "from"],
        ["project", "shop", "envctl.toml:1"],
        ["names.test", "x" * 100, "default"],
        ["empty", "[default]"],
    ]


def test_table_on_a_terminal_keeps_to_its_width_and_loses_nothing() -> None:
    code = f"""
        from envctl.output import Output
        from envctl.render import settings_table
        Output().result("config", {{}}, settings_table({SETTINGS!r}))
    """
    lines = plain(on_terminal(code, width=50)).splitlines()
    assert max(len(line) for line in lines) <= 50
    assert "".join(lines).count("x") == 100


def test_findings_show_the_remedy_below_and_a_sum() -> None:
    found = [Finding("git", "ok", "2.39"), Finding("disk", "problem", "full", "make room")]
    assert render.findings_table(found).text().splitlines() == [
        "ok       git   2.39",
        "problem  disk  full",
        "               → make room",
        "",
        "1 problem, 0 warnings, 1 ok",
    ]


STATUS: dict[str, Any] = {
    "project": "shop",
    "namespace": "main_1234",
    "engine": "embedded",
    "state": "/state",
    "processes": {"api": 20001},
    "servers": [{"service": "postgres", "state": "running", "address": "127.0.0.1:1", "pid": 7, "detail": ""}],
    "leases": [],
    "resources": [{"service": "postgres", "kind": "database", "name": "shop", "bytes": 7_340_032}],
    "others": [{"namespace": "old", "path": "/gone", "branch": "x", "there": False}],
    "tests": {"servers": [], "runs": [], "kept": [], "templates": {"count": 0, "bytes": 0}},
}
TESTS: dict[str, Any] = {
    "servers": [{**STATUS["servers"][0], "set": "test-embedded"}],
    "runs": [{"namespace": "main_1234", "slot": 2, "command": "envctl test unit", "since": "long ago"}],
    "kept": [{"name": "shop_test_gw0", "since": "today", "open": "envctl dev psql shop_test_gw0"}],
    "templates": {"count": 3, "bytes": 9_000_000},
}


def test_status_says_what_is_there_and_what_is_not() -> None:
    text = screen.status_screen(STATUS).text()
    for row in ("postgres  running  127.0.0.1:1  7", "no leases", "database  shop  7.3 MB"):
        assert row in text
    assert re.search(r"old +x +/gone +gone", text)


def test_status_says_what_the_tests_have_and_nothing_of_what_they_do_not_have() -> None:
    text = screen.status_screen({**STATUS, "tests": TESTS}).text()
    for row in (r"running  127.0.0.1:1  7    test-embedded", "main_1234    2     envctl test unit  long ago"):
        assert row in text
    assert "shop_test_gw0         today  envctl dev psql shop_test_gw0" in text
    assert "templates: 3, 9.0 MB" in text
    assert not re.search("template|kept|at work", screen.status_screen(STATUS).text())


@pytest.mark.parametrize(("servers", "said"), [("stopped", "data stay"), ("", "dev has no servers yet")])
def test_status_does_not_claim_to_know_what_is_on_servers_that_do_not_run(servers: str, said: str) -> None:
    stopped = [{**STATUS["servers"][0], "state": servers}] if servers else []
    text = screen.status_screen({**STATUS, "servers": stopped, "resources": []}).text()
    assert "resources of this namespace: not seen while the servers do not run" in text
    assert said in text


def test_live_screen_is_built_anew_until_the_interrupt_key() -> None:
    code = f"""
        import itertools
        from envctl.dev.screen import status_screen
        from envctl.render import live
        turns = itertools.count()
        def pause():
            if next(turns) > 2:
                raise KeyboardInterrupt
        live(lambda: status_screen({{**{STATUS!r}, "project": f"turn{{next(turns)}}"}}), pause=pause)
        print("after")
    """
    screen = plain(on_terminal(code))
    assert "turn0" in screen
    assert "after" in screen


def test_summary_names_addresses_resources_and_variables() -> None:
    data = {
        "namespace": "main",
        "environment": "dev",
        "engine": "embedded",
        "servers": {"postgres": "127.0.0.1:1"},
        "resources": [{"service": "postgres", "kind": "database", "name": "shop"}],
        "processes": {"api": 20001},
        "variables": ["DATABASE_URL"],
    }
    text = screen.sandbox_summary(data).text()
    for words in ("main ready", "127.0.0.1:1  shop", "api 20001", "DATABASE_URL"):
        assert words in text


EVIL = "x\x1b]0;pwned\x07\x1b[2J\u202ey\r\x9b1A"
SHOWN = "x\\x1b]0;pwned\\x07\\x1b[2J\\u202ey\\r\\x9b1A"


def test_what_strangers_named_never_reaches_the_terminal_raw(capsys: pytest.CaptureFixture[str]) -> None:
    voice = Output(verbose=True)
    voice.say(EVIL)
    voice.insist(f"\x1b[31m{EVIL}")
    voice.warn(EVIL)
    voice.fail("x", EnvctlError(EVIL, cause=EVIL.replace("\r", ""), hint=EVIL.replace("\r", "")))
    voice.result("x", {}, f"\x1b[31m{EVIL}\n\tnext")
    voice.result("x", {}, render.settings_table({EVIL: {"value": EVIL, "source": EVIL}}))
    voice.result("x", {}, render.findings_table([Finding(EVIL, "problem", EVIL, EVIL)]))
    voice.line(f"\x1b[31m{EVIL}")
    out, err = capsys.readouterr()
    assert f"\\x1b[31m{SHOWN}\n\tnext\n" in out
    assert f"\x1b[31m{SHOWN}\n" in err
    assert out.count("\\x1b]0;pwned") == 8
    assert not set("\x07\u202e\r\x9b") & set(out + err)
    assert "\x1b" not in (out + err).replace("\x1b[31m", "")


def test_what_a_program_reads_is_exact(capsys: pytest.CaptureFixture[str]) -> None:
    Output().result("env", {}, f"A='{EVIL}'", exact=True)
    assert capsys.readouterr().out == f"A='{EVIL}'\n"


def test_lines_of_processes_are_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    write = render.prefixed(Output(), ("api", "worker"))
    write("api", "one")
    write("worker", "\x1b[31mtwo")
    assert capsys.readouterr().out == "api    | one\nworker | \x1b[31mtwo\x1b[0m\n"


@pytest.mark.parametrize(
    ("count", "text"),
    [(None, ""), (0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (7_340_032, "7.3 MB"), (2e15, "2000.0 TB")],
)
def test_sizes_are_for_people(count: int | None, text: str) -> None:
    assert render.size(count) == text


def test_a_project_without_services_is_told_so_in_words_and_no_empty_table(capsys: pytest.CaptureFixture[str]) -> None:
    data = {"namespace": "main", "environment": "dev", "engine": "embedded", "processes": {}, "variables": ["A"]}
    Output().result("dev up", data, screen.sandbox_summary({**data, "servers": {}, "resources": []}))
    said = capsys.readouterr().out
    assert "the project has no [services.postgres]" in said.replace("\n", " ")
    assert "address" not in said
