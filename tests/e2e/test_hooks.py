"""Git's hook: what it notices, what it costs others (nothing), and that it goes as it came."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from itertools import count
from pathlib import Path

import psutil
import pytest
from checkouts import BIN, Envctl
from hooked import CONFIG, DEADLINE, Ground, ground

from envctl.hooks import branches, installation, record, text

NOTICED = "till: nothing to remove"
READER = """#!/bin/sh
# Somebody's own.
[ "$1" = committed ] && cat >>'{log}'
exit {code}
"""


@pytest.fixture
def till(envctl: Envctl, tmp_path: Path) -> Iterator[Ground]:
    with ground(envctl, tmp_path / "till") as made:
        yield made


def write_hook(path: Path, content: str, mode: int = 0o755) -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    path.chmod(mode)
    return path.read_bytes()


def test_push_force_push_and_push_delete_are_noticed(till: Ground) -> None:
    till.hooks("install")
    till.git("switch", "-q", "-c", "feature/x")
    assert till.log() == [NOTICED]
    till.git("push", "-q", "-u", "origin", "feature/x")
    assert till.log() == [NOTICED] * 2
    till.git("commit", "-q", "--amend", "--allow-empty", "-m", "other")
    till.git("push", "-q", "--force", "origin", "feature/x")
    assert till.log() == [NOTICED] * 3
    till.git("push", "-q", "--delete", "origin", "feature/x")
    assert till.log() == [NOTICED] * 4
    till.git("switch", "-q", "main")
    till.git("branch", "-q", "-D", "feature/x")
    assert till.log() == [NOTICED] * 5
    assert till.status()["log"][-1].endswith(NOTICED)


@pytest.mark.embedded
def test_the_database_of_a_branch_goes_aside_once_the_branch_is_deleted_on_the_remote(
    envctl: Envctl, tmp_path: Path
) -> None:
    with ground(envctl, tmp_path / "till", config=CONFIG.replace("redis", "postgres")) as till:
        till.git("switch", "-q", "-c", "feature/x")
        till.git("push", "-q", "origin", "feature/x")
        envctl("dev", "up", cwd=till.place)
        envctl("dev", "down", cwd=till.place)
        till.git("switch", "-q", "main")
        envctl("dev", "up", cwd=till.place)
        till.hooks("install")
        till.git("branch", "-q", "-D", "feature/x")
        assert till.log() == [NOTICED]
        till.git("push", "-q", "--delete", "origin", "feature/x")
        assert "put into quarantine" in till.log()[1]
        listed = envctl("clean", "--list-quarantine", cwd=till.place)
        assert "_dev_feature_x_" in listed.out
        envctl("restore", "feature/x", cwd=till.place)


@pytest.mark.embedded
def test_what_a_pin_keeps_of_a_deleted_branch_is_told(till: Ground, envctl: Envctl) -> None:
    till.git("switch", "-q", "-c", "feature/x")
    envctl("dev", "up", cwd=till.place)
    till.git("switch", "-q", "main")
    till.hooks("install")
    till.git("branch", "-q", "-D", "feature/x")
    assert till.log() == [f"{NOTICED}; 1 kept: pinned by dev up (envctl dev down)"]
    envctl("dev", "down", cwd=till.place)
    envctl("dev", "up", cwd=till.place)
    till.git("branch", "-q", "other")
    assert till.log()[1:] == ["till: 1 put into quarantine"]


def test_what_changes_no_branch_is_no_reason_to_clean(till: Ground) -> None:
    till.hooks("install")
    till.commit()
    till.git("tag", "v1")
    (till.place / "file").write_text("x")
    till.git("add", ".")
    till.git("stash", "-q")
    till.git("gc", "-q")
    assert till.log() == []


def counted(till: Ground, log: Path) -> None:
    """Let the hook start its background through something that counts."""
    wrapper = till.place.parent / "python"
    write_hook(wrapper, f"#!/bin/sh\necho $$ >>'{log}'\nexec '{sys.executable}' \"$@\"\n")
    till.hook.write_bytes(till.hook.read_bytes().replace(sys.executable.encode(), str(wrapper).encode()))


def test_a_rebase_of_many_commits_starts_one_process_that_has_nothing_to_do(till: Ground, tmp_path: Path) -> None:
    till.hooks("install")
    till.git("switch", "-q", "-c", "long")
    for _ in range(30):
        till.commit()
    till.git("switch", "-q", "main")
    till.commit()
    assert till.log() == [NOTICED]
    counted(till, tmp_path / "started")
    till.patience(600)
    till.git("rebase", "-q", "main", "long")
    till.attended()
    assert len((tmp_path / "started").read_text().splitlines()) == 1
    till.end()
    till.patience(0.2)
    till.commit()
    assert till.log() == [NOTICED]


def test_a_fetch_of_many_refs_is_one_clean(till: Ground, tmp_path: Path) -> None:
    till.hooks("install")
    counted(till, tmp_path / "started")
    head = till.git("rev-parse", "HEAD")
    for change in ("create", "delete"):
        words = "".join(f"{change} refs/heads/b{one} {head}\n" for one in range(60))
        subprocess.run(["git", "update-ref", "--stdin"], cwd=till.remote, input=words, text=True, check=True)
        till.patience(600)
        till.git("fetch", "-q", "--prune")
        till.attended()
        assert len((tmp_path / "started").read_text().splitlines()) == 1
        till.end()
        till.patience(0.2)
        till.commit()
        assert set(till.log()) == {NOTICED}
        (tmp_path / "started").unlink()
    assert till.log() == [NOTICED] * 2


def test_it_fires_from_a_linked_worktree_and_survives_the_one_it_was_installed_from(till: Ground) -> None:
    linked = till.place.parent / "a linked 'one'"
    till.git("worktree", "add", "-q", "-b", "side", str(linked))
    till.hooks("install", at=linked)
    assert till.hook.exists()
    till.commit(at=linked)
    till.git("push", "-q", "origin", "side", at=linked)
    assert till.log() == [NOTICED]
    till.git("worktree", "remove", str(linked))
    till.commit()
    till.git("push", "-q", "origin", "main")
    assert till.log() == [NOTICED] * 2
    till.hooks("uninstall")
    assert not till.hook.exists()
    assert not till.folders


def test_a_submodule_has_its_own(till: Ground) -> None:
    till.git("clone", "-q", "--bare", str(till.remote), str(till.place.parent / "inner.git"))
    till.git("submodule", "--quiet", "add", str(till.place.parent / "inner.git"), "inner")
    inner = till.place / "inner"
    till.hooks("install", at=inner)
    assert not till.hook.exists()
    assert (till.place / ".git/modules/inner/hooks/reference-transaction").exists()
    till.commit(at=inner)
    till.git("push", "-q", "origin", "HEAD:main", at=inner)
    assert till.log() == [NOTICED]
    till.hooks("uninstall", at=inner)
    assert not (till.place / ".git/modules/inner/hooks/reference-transaction").exists()


def test_a_repository_of_sha256_is_one_like_others(envctl: Envctl, tmp_path: Path) -> None:
    with ground(envctl, tmp_path / "sha256", "--object-format=sha256") as till:
        till.hooks("install")
        till.commit()
        till.git("push", "-q", "origin", "main")
        assert till.log() == [NOTICED]


def test_a_repository_that_was_moved_is_still_looked_after(till: Ground, tmp_path: Path) -> None:
    till.hooks("install")
    moved = Ground(till.envctl, till.place.rename(tmp_path / "moved"))
    moved.git("remote", "set-url", "origin", str(till.remote))
    moved.commit()
    moved.git("push", "-q", "origin", "main")
    assert moved.log() == [NOTICED]
    assert "moved or copied" in moved.status(code=3)["why"]
    former = moved.folder
    moved.hooks("install")
    assert moved.folder != former
    copied = Ground(till.envctl, Path(shutil.copytree(moved.place, tmp_path / "copied")))
    assert "moved or copied" in copied.status(code=3)["why"]
    for word in ("install", "uninstall"):
        copied.hooks(word)
        assert moved.status()["state"] == "installed"
    assert not copied.hook.exists()


@pytest.mark.parametrize("first", ["#!/bin/sh", "#!/bin/bash", "#!/usr/bin/env bash"])
def test_somebody_elses_hook_gets_its_stdin_and_its_word_counts(till: Ground, tmp_path: Path, first: str) -> None:
    theirs = READER.format(log=tmp_path / "seen", code=0).replace("#!/bin/sh", first)
    before = write_hook(till.hook, theirs, 0o711)
    assert till.hooks("install", "--json").data["done"] == "added"
    assert till.status()["beside"]
    till.commit()
    till.git("push", "-q", "origin", "main")
    old, head = (till.git("rev-parse", one) for one in ("HEAD~1", "HEAD"))
    lines = (tmp_path / "seen").read_text().splitlines()
    assert f"{old} {head} refs/heads/main" in lines
    assert lines[-1].split()[1:] == [head, "refs/remotes/origin/main"]
    assert till.log() == [NOTICED]
    till.hook.write_text(till.hook.read_text().replace("exit 0", "exit 3"))
    till.git("commit", "-q", "--allow-empty", "-m", "refused", code=128)
    assert till.git("rev-parse", "HEAD") == head
    till.hook.write_text(till.hook.read_text().replace("exit 3", "exit 0"))
    till.hooks("uninstall")
    assert till.hook.read_bytes() == before
    assert stat.S_IMODE(till.hook.stat().st_mode) == 0o711


def test_a_hook_appended_to_ours_gets_its_stdin_and_stays(till: Ground, tmp_path: Path) -> None:
    """As others install theirs where a hook is there already."""
    till.hooks("install")
    with till.hook.open("a") as file:
        file.write(f"cat >>'{tmp_path / 'seen'}'\n")
    till.commit()
    assert "refs/heads/main" in (tmp_path / "seen").read_text()
    assert till.status()["state"] == "installed"
    till.hooks("uninstall")
    assert till.hook.read_text() == f"#!/bin/sh\ncat >>'{tmp_path / 'seen'}'\n"


def test_installing_twice_changes_nothing_and_an_older_one_is_renewed(till: Ground) -> None:
    assert till.hooks("install", "--json").data["done"] == "made"
    first = till.hook.stat()
    assert till.hooks("install", "--json").data["done"] == "unchanged"
    assert (till.hook.stat().st_ino, till.hook.stat().st_mtime_ns) == (first.st_ino, first.st_mtime_ns)
    current = till.hook.read_bytes()
    folder = till.folder
    older = record.read(folder)
    assert older is not None
    till.hook.write_bytes(text.installed(None, text.made(Path("/gone/python"), folder)))
    assert till.status(code=3)["state"] == "broken"
    assert till.hooks("install", "--json").data["done"] == "renewed"
    assert till.hook.read_bytes() == current
    assert till.status()["state"] == "installed"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("#!/usr/bin/env python3\nimport sys\n", "python3"),
        ("echo no shebang\n", "no #! line"),
        ("\x7fELF\x00", "not a text"),
    ],
)
def test_what_is_no_shell_script_is_left_alone_and_can_call_us_by_hand(till: Ground, content: str, why: str) -> None:
    before = write_hook(till.hook, content)
    refused = till.hooks("install", code=1)
    assert why in refused.err
    assert till.hook.read_bytes() == before
    line = refused.err.splitlines()[-1].strip()
    write_hook(till.hook, f"#!/usr/bin/perl\nsystem(q({line.replace(chr(34) + '$@' + chr(34), '')}) . $ARGV[0]);\n")
    script = till.folder / "reference-transaction"
    assert str(script) in line
    assert till.status()["state"] == "installed"
    till.patience(0.2)
    till.commit()
    subprocess.run([script, "committed"], cwd=till.place, check=True, stdin=subprocess.DEVNULL)
    till.git("branch", "new")
    subprocess.run([script, "committed"], cwd=till.place, check=True, stdin=subprocess.DEVNULL)
    assert till.log() == [NOTICED]
    till.hooks("uninstall")
    assert not till.folders


@pytest.mark.parametrize("kind", ["link", "second name", "folder", "not executable"])
def test_a_file_that_is_also_elsewhere_or_turned_off_is_left_alone(till: Ground, tmp_path: Path, kind: str) -> None:
    other = tmp_path / "theirs"
    before = write_hook(other, READER.format(log="/dev/null", code=0))
    if kind == "link":
        till.hook.symlink_to(other)
    elif kind == "second name":
        till.hook.hardlink_to(other)
    elif kind == "folder":
        till.hook.mkdir()
    else:
        shutil.copy(other, till.hook)
        till.hook.chmod(0o644)
    refused = till.hooks("install", "--json", code=1).document["errors"][0]
    assert refused["code"] == "hook_refused"
    assert other.read_bytes() == before
    assert till.status()["state"] == "absent"
    assert till.hooks("uninstall").out == "there was no hook of ours\n"


def test_a_tool_that_writes_the_file_anew_is_told_and_not_fought(till: Ground) -> None:
    """As lefthook does with hooks that its own file names."""
    till.hooks("install")
    before = write_hook(till.hook, READER.format(log="/dev/null", code=0))
    assert "anew" in till.status(code=3)["why"]
    till.git("branch", "new")
    assert till.hook.read_bytes() == before
    till.hooks("install")
    assert till.status()["state"] == "installed"
    till.hooks("uninstall")
    assert till.hook.read_bytes() == before


def test_lines_of_ours_that_were_edited_are_a_persons_to_remove(till: Ground) -> None:
    till.hooks("install")
    till.hook.write_bytes(till.hook.read_bytes().replace(b"unset", b"true; unset"))
    edited = till.hook.read_bytes()
    for words in (("install",), ("uninstall",)):
        refused = till.hooks(*words, "--json", code=1).document["errors"][0]
        assert refused["code"] == "hook_edited"
        assert "by hand" in refused["hint"]
    assert till.status(code=3)["state"] == "broken"
    assert till.hook.read_bytes() == edited


def test_an_ignored_folder_in_the_work_tree_is_used_as_husky_has_it(till: Ground) -> None:
    folder = till.place / ".husky" / "_"
    theirs = write_hook(folder / "pre-commit", "#!/usr/bin/env sh\nexit 0\n")
    (folder / ".gitignore").write_text("*")
    till.git("config", "core.hooksPath", ".husky/_")
    till.hooks("install")
    assert not till.hook.exists()
    assert till.git("status", "--porcelain") == ""
    till.commit()
    till.git("push", "-q", "origin", "main")
    assert till.log() == [NOTICED]
    assert till.status()["setting"] == "core.hooksPath (local)"
    till.hooks("uninstall")
    assert sorted(path.name for path in folder.iterdir()) == [".gitignore", "pre-commit"]
    assert (folder / "pre-commit").read_bytes() == theirs


def test_a_folder_that_the_project_tracks_is_not_written_to_without_a_word(till: Ground) -> None:
    hook = till.place / ".githooks" / "reference-transaction"
    before = write_hook(hook, READER.format(log="/dev/null", code=0))
    till.git("add", ".githooks")
    till.commit()
    till.git("config", "extensions.worktreeConfig", "true")
    till.git("config", "--worktree", "core.hooksPath", ".githooks")
    refused = till.hooks("install", "--json", code=2).document["errors"][0]
    assert refused["code"] == "hooks_tracked"
    assert "core.hooksPath (worktree)" in refused["cause"]
    hook.unlink()
    assert till.hooks("install", "--json", code=2).document["errors"][0]["code"] == "hooks_tracked"
    till.git("checkout", "-q", ".")
    till.hooks("install", "--force")
    assert till.git("status", "--porcelain") == "M .githooks/reference-transaction"
    till.hooks("uninstall")
    assert hook.read_bytes() == before
    assert till.git("status", "--porcelain") == ""


@pytest.mark.parametrize("scope", ["--global", "--local"])
def test_a_folder_outside_is_shared_and_wants_its_word(
    till: Ground, envctl: Envctl, tmp_path: Path, scope: str
) -> None:
    shared = tmp_path / "every hook"
    shared.mkdir()
    till.git("config", scope, "core.hooksPath", str(shared))
    assert till.hooks("install", "--json", code=2).document["errors"][0]["code"] == "hooks_shared"
    assert list(shared.iterdir()) == []
    other = Ground.laid(envctl, tmp_path / "other")
    other.git("config", "core.hooksPath", str(shared))
    till.hooks("install", "--global")
    other.git("branch", "nobody-asked")
    assert till.log() == []
    other.hooks("install", "--global")
    till.commit()
    till.git("push", "-q", "origin", "main")
    other.commit()
    other.git("push", "-q", "origin", "main")
    assert till.log() == [NOTICED] * 2
    assert "too" in till.hooks("uninstall").out
    assert (shared / "reference-transaction").exists()
    other.hooks("uninstall")
    assert list(shared.iterdir()) == []


def test_a_folder_of_hooks_that_is_a_link_out_of_the_repository_is_shared(till: Ground, tmp_path: Path) -> None:
    shutil.move(till.place / ".git/hooks", tmp_path / "shared")
    (till.place / ".git/hooks").symlink_to(tmp_path / "shared")
    assert till.hooks("install", "--json", code=2).document["errors"][0]["code"] == "hooks_shared"


@pytest.mark.parametrize("path", ["/dev/null", ""])
def test_hooks_that_are_turned_off_stay_off(till: Ground, path: str) -> None:
    till.hooks("install")
    till.git("config", "core.hooksPath", path)
    assert till.hooks("install", "--json", code=1).document["errors"][0]["code"] == "hooks_off"
    assert "turned off" in till.status()["why"]
    till.hooks("uninstall")
    assert not till.hook.exists()


def test_a_hook_that_core_hookspath_hides_is_told_and_goes_with_the_other(till: Ground) -> None:
    till.hooks("install")
    folder = till.place / ".git" / "more hooks"
    till.git("config", "core.hooksPath", str(folder))
    hidden = till.status(code=3)
    assert str(till.hook) in hidden["why"]
    till.hooks("install")
    assert till.status()["state"] == "installed"
    till.hooks("uninstall")
    assert not till.hook.exists()
    assert not folder.exists()
    assert not till.folders


def test_two_projects_of_one_repository_share_it(till: Ground) -> None:
    inner = till.place / "back end"
    inner.mkdir()
    (inner / "envctl.toml").write_text(CONFIG.replace("till", "inner"))
    till.hooks("install")
    till.hooks("install", at=inner)
    till.git("branch", "new")
    assert till.log() == [NOTICED, NOTICED.replace("till", "inner")]
    assert "stays" in till.hooks("uninstall").out
    till.hooks("uninstall", at=inner)
    assert not till.hook.exists()


def test_the_background_is_a_process_apart(till: Ground) -> None:
    """Pipes of git's caller end with git; it has nothing of git's, waits for nobody and stands in nobody's way."""
    till.hooks("install")
    till.patience(600)
    till.commit()
    with (till.place / "held").open("w") as file:
        done = subprocess.run(
            ["git", "push", "origin", "main"],
            cwd=till.place,
            env={**till.envctl.environment, **till.person},
            capture_output=True,
            pass_fds=[file.fileno()],
            check=True,
        )
    assert b"envctl" not in done.stderr
    waits = till.waiting()
    assert waits is not None
    deadline = time.monotonic() + DEADLINE
    while waits.cwd() != "/":
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert os.getsid(waits.pid) == waits.pid
    assert waits.nice() == 19
    opened = {str(one.readlink()) for one in Path(f"/proc/{waits.pid}/fd").iterdir()}
    assert opened <= {"/dev/null", str(till.folder / record.LOCK)}


def test_the_background_hears_nothing_of_gits_variables(till: Ground, tmp_path: Path) -> None:
    """A repository that git was told of by variables is not mistaken for the one that is looked after."""
    till.hooks("install")
    other = Ground.laid(till.envctl, tmp_path / "other")
    head = till.git("rev-parse", "HEAD")
    told = {"GIT_DIR": str(till.place / ".git"), "GIT_WORK_TREE": str(other.place)}
    till.git("push", "-q", "origin", "main:refs/heads/more", at=other.place, env=told)
    assert till.log() == [NOTICED]
    assert till.git("rev-parse", "HEAD") == head


def test_one_that_was_killed_while_it_waited_is_followed_by_another(till: Ground) -> None:
    till.hooks("install")
    till.patience(600)
    till.git("branch", "one")
    first = till.waiting()
    assert first is not None
    till.git("branch", "two")
    assert till.waiting() == first
    first.kill()
    psutil.wait_procs([first], timeout=DEADLINE)
    till.patience(0.2)
    till.git("branch", "three")
    assert till.log() == [NOTICED]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="only there the system tells when a process began")
@pytest.mark.parametrize("other_is", ["at work", "dead and not buried"])
def test_the_number_of_one_that_waited_may_be_anothers_by_now(till: Ground, other_is: str) -> None:
    till.hooks("install")
    till.patience(0.2)
    with subprocess.Popen(["sleep", "600"]) as other:
        try:
            began = "98765432109"
            if other_is != "at work":
                other.kill()
                os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
                began = Path(f"/proc/{other.pid}/stat").read_text().rpartition(") ")[2].split()[19]
            (till.folder / record.WAITING).write_text(f"{other.pid}\n{began}\n")
            till.git("branch", "one")
            assert till.log() == [NOTICED]
        finally:
            other.kill()


def test_what_the_hook_and_the_background_say_of_who_waits_is_the_same(till: Ground) -> None:
    till.hooks("install")
    till.patience(600)
    till.git("branch", "one")
    by_hook = (till.folder / record.WAITING).read_text()
    till.attended()
    first = till.waiting()
    assert first is not None
    assert by_hook == (till.folder / record.LOCK).read_text()
    till.git("branch", "two")
    assert (till.folder / record.WAITING).read_text() == by_hook
    assert till.waiting() == first


def test_two_pushes_at_once_are_one_clean(till: Ground) -> None:
    places = [till.place.parent / f"side {number}" for number in range(2)]
    for number, place in enumerate(places):
        till.git("worktree", "add", "-q", "-b", f"side{number}", str(place))
    till.hooks("install")
    till.patience(600)
    environment = {**till.envctl.environment, **till.person}
    pushes = [
        subprocess.Popen(["git", "push", "-q", "origin", "HEAD"], cwd=place, env=environment, stderr=subprocess.PIPE)
        for place in places
    ]
    assert [(one.communicate()[1], one.returncode) for one in pushes] == [(b"", 0)] * 2
    till.end()
    assert till.log() == []
    till.patience(0.2)
    till.commit()
    assert till.log() == [NOTICED]


def test_a_hint_that_comes_while_it_cleans_is_not_lost(till: Ground) -> None:
    """Many changes, each at another moment of the background's work: the last of them is always looked at."""
    till.hooks("install")
    till.patience(0.01)
    for number in range(25):
        till.git("branch", f"b{number}")
    till.log()
    seen = branches.last(till.folder, till.place)
    assert seen == branches.Seen(branches.digest(till.place), done=True)


@pytest.mark.parametrize(
    "trouble", ["no envctl", "no state", "state is a file", "no home, no path", "marks are folders"]
)
def test_nothing_that_envctl_lacks_is_gits_trouble(till: Ground, trouble: str) -> None:
    till.hooks("install")
    env: dict[str, str] = {}
    if trouble == "no envctl":
        till.hook.write_bytes(till.hook.read_bytes().replace(sys.executable.encode(), b"/gone/python"))
    elif trouble == "no state":
        shutil.rmtree(till.envctl.state)
    elif trouble == "state is a file":
        shutil.rmtree(till.envctl.state)
        till.envctl.state.write_text("")
    elif trouble == "no home, no path":
        env = {"HOME": "", "PATH": "/usr/lib/git-core:/bin:/usr/bin"}
    else:
        for name in ("seen", "waiting"):
            (till.folder / name).unlink()
            (till.folder / name).mkdir()
    till.git("commit", "-q", "--allow-empty", "-m", "more", env=env)
    till.git("push", "-q", "origin", "main", env=env)
    if till.envctl.state.is_dir():
        till.log()
    else:
        till.envctl.state.unlink(missing_ok=True)


def test_a_hook_that_is_taken_out_while_the_background_waits_leaves_nothing(till: Ground) -> None:
    till.hooks("install")
    till.patience(600)
    till.git("branch", "new")
    waits = till.waiting()
    assert waits is not None
    till.hooks("uninstall")
    waits.terminate()
    psutil.wait_procs([waits], timeout=DEADLINE)
    assert not list(till.envctl.state.glob("hooks/*"))
    assert not till.hook.exists()


DYING = """
import os, signal, sys
from pathlib import Path

left = int(sys.argv[1])
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC

def seen(event, details):
    global left
    if event == "open" and not (isinstance(details[2], int) and details[2] & WRITING):
        return
    if event in ("open", "os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "os.utime"):
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

from envctl.hooks import installation
verb = getattr(installation, sys.argv[2])
sys.addaudithook(seen)
verb(Path(sys.argv[3]), wait=5, talk=print)
"""


@pytest.mark.parametrize("verb", ["install", "uninstall"])
@pytest.mark.parametrize("theirs", ["", READER.format(log="/dev/null", code=0)], ids=["alone", "beside"])
def test_a_kill_at_any_moment_leaves_a_whole_hook_and_the_next_call_ends_it(
    till: Ground, monkeypatch: pytest.MonkeyPatch, verb: str, theirs: str
) -> None:
    before = write_hook(till.hook, theirs) if theirs else None
    environment = {**till.envctl.environment, **till.person}
    for name in ("ENVCTL_STATE_DIR", "GIT_CONFIG_GLOBAL"):
        monkeypatch.setenv(name, environment[name])
    install = partial(installation.install, till.place, wait=DEADLINE, talk=print)
    uninstall = partial(installation.uninstall, till.place, wait=DEADLINE, talk=print)
    do, undo = (install, uninstall) if verb == "install" else (uninstall, install)
    install()
    inside = till.hook.read_bytes()
    for deaths in count():
        undo()
        command = [sys.executable, "-c", DYING, str(deaths), verb, str(till.place)]
        done = subprocess.run(command, env=environment, capture_output=True, check=False)
        found = till.hook.read_bytes() if till.hook.exists() else None
        assert found in (before, inside)
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL, done.stderr
        till.commit()
        do()
        assert (till.hook.read_bytes() if till.hook.exists() else None) == (inside if verb == "install" else before)
        assert [path.name for path in till.hook.parent.iterdir() if ".envctl-" in path.name] == []
    assert deaths > 4


@pytest.mark.skipif(os.geteuid() == 0 and not shutil.which("setpriv"), reason="nothing here can limit root")
def test_a_folder_that_nobody_may_write_to_is_told_in_one_line(till: Ground) -> None:
    folder = till.place / ".git" / "hooks"
    folder.chmod(0o555)
    limits = ("setpriv", "--bounding-set=-dac_override") if os.geteuid() == 0 else ()
    done = subprocess.run(
        [*limits, BIN / "envctl", "hooks", "install"],
        cwd=till.place,
        env={**till.envctl.environment, **till.person},
        capture_output=True,
        text=True,
        check=False,
    )
    folder.chmod(0o755)
    assert done.returncode == 1
    assert "cannot be read or written" in done.stderr
    assert "Permission denied" in done.stderr
    assert not till.hook.exists()


def test_the_log_is_private_and_never_long(tmp_path: Path) -> None:
    for number in range(4000):
        record.note(tmp_path, f"line {number} of many\nwith a break")
    found = (tmp_path / record.LOG).stat()
    assert found.st_size <= record.LOG_LIMIT
    assert stat.S_IMODE(found.st_mode) == 0o600
    assert record.log(tmp_path, 1)[0].endswith("line 3999 of many with a break")
    assert sorted(path.name for path in tmp_path.iterdir()) == [record.LOG]


def test_outside_of_git_there_is_nothing_to_hook(envctl: Envctl, tmp_path: Path) -> None:
    (tmp_path / "envctl.toml").write_text(CONFIG)
    for words in (("install",), ("uninstall",), ("status",)):
        assert (
            envctl("hooks", *words, "--json", cwd=tmp_path, code=1).document["errors"][0]["code"] == "no_git_checkout"
        )
