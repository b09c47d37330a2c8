"""What engines say when something is wrong that no test may do to a machine: their words as they were heard."""

from __future__ import annotations

from pathlib import Path

import pytest

from envctl import runtimes
from envctl.containers import Stack
from envctl.engines.compose import errors
from envctl.model import Command
from envctl.shell import Done

NO_POOL = "could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network"
HEARD = {
    "docker 20": f"failed to create network shop_default: Error response from daemon: {NO_POOL}",
    "docker 28": "failed to create network shop_default: Error response from daemon: "
    "all predefined address pools have been fully subnetted",
    "what it broke off": "error during connect: Post http://%2Fvar%2Frun%2Fdocker.sock/v1.41/containers/create: "
    f"context canceled\nfailed to create network shop_default: Error response from daemon: {NO_POOL}",
}


@pytest.mark.parametrize("said", HEARD.values(), ids=HEARD.keys())
def test_a_machine_without_a_free_network_is_told_so(said: str) -> None:
    stack = Stack(runtimes.named("docker compose"), "shop", (Path("compose.yaml"),), Path())
    error = errors.from_up(stack, Done(Command(("docker",)), 1, "", f" Network shop_default Creating \n{said}\n"))
    assert (error.code, error.message) == ("no_network", "docker has no network left for shop")
    assert "shop_default" in error.cause
    assert "docker network prune" in error.hint


TAKEN = "Error response from daemon: driver failed programming external connectivity on endpoint shop-web-1: "
BUSY = {
    "docker 20": f"{TAKEN}Error starting userland proxy: listen tcp4 0.0.0.0:PORT: bind: address already in use",
    "docker 28": f"{TAKEN}Bind for 127.0.0.1:PORT failed: port is already allocated",
}


@pytest.mark.parametrize("said", BUSY.values(), ids=BUSY.keys())
def test_a_port_that_the_engine_picked_itself_and_found_taken_is_worth_another_attempt(said: str) -> None:
    assert errors.passing(said.replace("PORT", "32768"), {"5432"})
    assert not errors.passing(said.replace("PORT", "5432"), {"5432"})
    assert not errors.passing("no space left on device", {"5432"})
