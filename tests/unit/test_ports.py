from __future__ import annotations

import multiprocessing
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from envctl import ports


@pytest.fixture(autouse=True)
def registry(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path_factory.mktemp("state")
    monkeypatch.setenv("ENVCTL_STATE_DIR", str(root))
    return root / "ports.json"


def listen(port: int, host: str = "127.0.0.1") -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family)


def test_a_key_keeps_its_port_and_no_other_key_gets_it() -> None:
    first = ports.take("shop/a/api")
    others = {ports.take(f"shop/{number}/api") for number in range(30)}
    assert ports.take("shop/a/api") == ports.lookup("shop/a/api") == first
    assert len(others | {first}) == 31
    assert all(ports.FIRST <= port <= ports.LAST for port in others)


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_port_that_a_stranger_listens_on_is_replaced_for_good(host: str) -> None:
    first = ports.take("shop/a/api")
    with listen(first, host):
        second = ports.take("shop/a/api")
        assert second != first
    assert ports.take("shop/a/api") == second


def test_a_strangers_listener_on_the_other_loopback_counts_too() -> None:
    first = ports.take("shop/a/api")
    try:
        stranger = listen(first, "::1")
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    with stranger:
        assert not ports.is_free(first)


def test_looking_a_port_up_does_not_move_it_while_its_process_listens() -> None:
    first = ports.lookup("shop/a/api")
    with listen(first):
        assert ports.lookup("shop/a/api") == first


def test_closing_connections_do_not_make_a_port_look_taken() -> None:
    port = ports.take("shop/a/api")
    with listen(port) as server, socket.create_connection(("127.0.0.1", port)) as client:
        peer, _ = server.accept()
        peer.close()  # The side that closes first waits in TIME_WAIT.
        client.recv(1)
    assert ports.take("shop/a/api") == port


def test_a_preferred_port_is_given_if_it_is_free_and_nobodys() -> None:
    with listen(0) as free:
        wanted = free.getsockname()[1]
    assert ports.take("shop/a/api", preferred=wanted) == wanted
    assert ports.take("shop/b/api", preferred=wanted) != wanted


def test_again_books_another_port_even_if_the_old_one_is_free() -> None:
    first = ports.take("shop/a/api")
    assert ports.again("shop/a/api") != first


def test_release_gives_up_what_starts_so_and_nothing_else() -> None:
    for key in ("shop/a/api", "shop/a/web", "shop/ab/api"):
        ports.take(key)
    assert ports.release("shop/a/") == 2
    assert set(ports.listing()) == {"shop/ab/api"}


@given(some.text(min_size=1), some.text(min_size=1))
def test_two_keys_never_share_a_port(one: str, other: str) -> None:
    assert (ports.lookup(one) == ports.lookup(other)) is (one == other)


def _book(number: int) -> int:
    return ports.take(f"shop/{number}/api")


def test_processes_that_book_at_once_get_different_ports() -> None:
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        booked = pool.map(_book, range(40))
        pool.close()
        pool.join()
    assert sorted(booked) == sorted(ports.listing().values())
    assert len(set(booked)) == 40
