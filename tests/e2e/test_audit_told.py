"""`--audit`: every way in which Python makes a path outside is told with its test, and so are asyncpg's sessions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from checkouts import Envctl
from till import CONFIG, till

pytestmark = pytest.mark.embedded

PATHS = """
import copy, inspect, os, pathlib, pickle, stat

import pytest

outside = pathlib.Path(os.environ["OUTSIDE"])


@pytest.fixture
def folder():
    descriptor = os.open(outside, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


def test_fifo():
    os.mkfifo(outside / "fifo")


def test_fifo_at(folder):
    os.mkfifo("fifo_at", dir_fd=folder)


def test_node():
    os.mknod(outside / "node", stat.S_IFREG | 0o600)


def test_open():
    os.close(os.open(outside / "open", os.O_WRONLY | os.O_CREAT))


def test_open_at(folder):
    os.close(os.open("open_at", os.O_WRONLY | os.O_CREAT, dir_fd=folder))


def test_folder():
    os.mkdir(outside / "folder")


def test_folder_at(folder):
    os.mkdir("folder_at", dir_fd=folder)


def test_link():
    os.link(__file__, outside / "link")


def test_link_at(folder):
    os.link(__file__, "link_at", dst_dir_fd=folder)


def test_symlink():
    os.symlink(__file__, outside / "symlink")


def test_symlink_at(folder):
    os.symlink(__file__, "symlink_at", dir_fd=folder)


def test_rename(tmp_path):
    (tmp_path / "here").touch()
    os.rename(tmp_path / "here", outside / "rename")


def test_rename_at(tmp_path, folder):
    (tmp_path / "here").touch()
    os.rename(tmp_path / "here", "rename_at", dst_dir_fd=folder)


def test_what_stays_in_the_checkout():
    inside = os.open(".", os.O_RDONLY)
    os.mkfifo("fifo", dir_fd=inside)
    os.mkdir("folder", dir_fd=inside)
    os.close(inside)
    assert {os.open, os.mkfifo} <= os.supports_dir_fd


class Opener:
    opener = os.open
    mkfifo = os.mkfifo


class Once:  # A path that can be asked for once.
    def __init__(self, path):
        self.path = [str(path)]

    def __fspath__(self):
        return self.path.pop()


def test_once():
    Opener().mkfifo(Once(outside / "once"))


def test_once_at(folder):
    os.close(os.open(Once("once_at"), os.O_WRONLY | os.O_CREAT, dir_fd=folder))


def test_they_are_what_they_were():
    for function in (os.open, os.mkfifo, os.mknod):
        assert pickle.loads(pickle.dumps(function)) is copy.deepcopy(function) is function
        assert "dir_fd" in inspect.signature(function).parameters
    os.close(Opener().opener(__file__, os.O_RDONLY))
    os.close(Opener.opener(path=__file__, flags=os.O_RDONLY))
    for wrong, error in ((7, TypeError), (None, TypeError), ("a\\0b", ValueError)):
        with pytest.raises(error):
            os.open(wrong, os.O_RDONLY)
        with pytest.raises(error):
            os.mkfifo(wrong)
    used = Once("x")
    os.fspath(used)
    with pytest.raises(IndexError):
        os.open(used, os.O_RDONLY)
"""
MADE = ["fifo", "node", "open", "folder", "link", "symlink", "rename"]
WAYS = ["once", "once_at", *MADE, *(f"{one}_at" for one in MADE if one != "node")]

VISITS = """
import asyncio, os

import asyncpg

kept = []


async def visit(url, statement):
    connection = await asyncpg.connect(url)
    await connection.execute(statement)
    return connection


def test_a_visit():
    async def there():
        await (await visit(os.environ["NEIGHBOURS_URL"], "CREATE TABLE left_behind (id int)")).close()

    asyncio.run(there())


def test_a_database():
    async def there():
        await (await visit(os.environ["NEIGHBOURS_URL"], "CREATE DATABASE scratch")).close()

    asyncio.run(there())


def test_a_session():
    loop = asyncio.new_event_loop()
    kept.extend([loop, loop.run_until_complete(visit(os.environ["DATABASE_URL"], "BEGIN"))])
"""


def test_every_way_to_make_a_path_outside_is_told_with_its_test(envctl: Envctl, tmp_path: Path) -> None:
    outside, temporary = tmp_path / "outside", tmp_path / "tmp"
    for folder in (outside, temporary):
        folder.mkdir()
    config = f"{CONFIG}\n[test.suites.paths]\nservices = []\n"
    place = till(tmp_path / "till", config=config, tests=PATHS)
    done = envctl("test", "paths", "--audit", "--json", cwd=place, code=3, OUTSIDE=str(outside), TMPDIR=str(temporary))
    assert "17 passed" in done.err
    told = {one["name"]: one["test"].rpartition("::test_")[2] for one in done.data["audit"]["escapes"]}
    assert told == {str(outside / one): one for one in WAYS}


def test_what_asyncpg_opens_is_told_whose_it_is(envctl: Envctl, tmp_path: Path) -> None:
    place = till(tmp_path / "till", tests=VISITS)
    envctl("dev", "up", "--namespace", "neighbour", cwd=place)
    words = ("dev", "run", "--namespace", "neighbour", "--", "printenv", "DATABASE_URL")
    neighbour = envctl(*words, cwd=place).out.strip()
    done = envctl("test", "--audit", "--json", cwd=place, code=3, NEIGHBOURS_URL=neighbour)
    assert "3 passed" in done.err
    escapes: list[dict[str, Any]] = done.data["audit"]["escapes"]
    told = {one["kind"]: one for one in escapes}
    assert sorted(one["kind"] for one in escapes) == ["database", "session", "visit"], escapes
    assert told["visit"]["evidence"].startswith(f"came into database {told['visit']['name']} as ")
    assert told["database"]["name"] == "scratch"
    assert "a test came in as" in told["database"]["evidence"]
    assert told["session"]["test"].endswith("::test_a_session")
