"""Whoever is killed while he works on templates leaves nothing that is used, in the way, or unexplained."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from postgres_ground import names
from service_ground import Servers
from template_deaths import LEASE, alone, children
from templates_ground import PYTHON, Shop, shop, tables, tables_of

from envctl import services, templates
from envctl.model import Address
from envctl.services.postgres import sessions

WHEN = ["before", "sent"]
SHARED = ("template", "pool")


@pytest.fixture
def address(servers: Servers) -> Iterator[Address]:
    yield servers.address("postgres")
    sessions.close()


@pytest.fixture
def checkout(address: Address, tmp_path: Path) -> Shop:
    name = f"shop{secrets.token_hex(3)}"
    made = shop(tmp_path / "one", address, name, 'sql = ["migrations/*.sql"]\nmigrate = []', watch=False)
    made.write(tables(["t1", "t2"]))
    return made


def explained(checkout: Shop, before: set[tuple[str, str]], step: int) -> None:
    """Whatever the dead one left has a record that says whose it is; the group is nobody's of them."""
    left = names(checkout.address) - before - {("role", f"{checkout.project.config.project}_owner")}
    listed = services.get("postgres").list(checkout.address, checkout.project.config.project)
    assert left <= {(one.kind, one.name) for one in listed if one.owner}, f"killed at step {step}"


def recovered(checkout: Shop, before: set[tuple[str, str]], step: int) -> None:
    """What the dead run had to itself goes by its lease, what is for all by an eviction; then nothing is left."""
    service, project = services.get("postgres"), checkout.project.config.project
    for one in service.list(checkout.address, project):
        if one.owner and one.owner.lease == LEASE and one.owner.notes.get("kind") not in SHARED:
            service.drop(checkout.address, one, sessions="end")
    sessions.close()
    templates.evict(checkout.project, checkout.address, "postgres", (), 0)
    for one in service.list(checkout.address, project):
        service.drop(checkout.address, one, sessions="end")
    assert names(checkout.address) == before, f"killed at step {step}"


def killed_at_every_step(checkout: Shop, verb: str, when: str) -> Iterator[int]:
    """At exchanges of that work, until it lives to its end: a spread of them, or all with ENVCTL_NIGHTLY=1."""
    stride = 1 if os.environ.get("ENVCTL_NIGHTLY") else 9
    step, code = len(verb + when) % stride - stride + 1, -9
    with children(checkout) as crowd:
        while code != 0:
            step += stride
            code = crowd.code(verb, step, when)
            assert code in (0, -9)
            yield step


@pytest.mark.parametrize("verb", ["ready", "scratch"])
@pytest.mark.parametrize("when", WHEN)
def test_a_build_killed_at_any_step_is_never_used_and_never_in_the_way(checkout: Shop, verb: str, when: str) -> None:
    before, step = names(checkout.address), 0
    for step in killed_at_every_step(checkout, verb, when):
        explained(checkout, before, step)
        access = checkout.clone(checkout.ready("next").template, lease="next")
        assert tables_of(access) == {"t1", "t2"}, f"killed at step {step}"
        if verb == "ready":
            recovered(checkout, before, step)
    recovered(checkout, before, step)
    assert step > 40


@pytest.mark.parametrize("pool", [0, 1])
@pytest.mark.parametrize("when", WHEN)
def test_a_clone_killed_at_any_step_is_replaced_by_the_next(checkout: Shop, when: str, pool: int) -> None:
    before, step = names(checkout.address), 0
    template = checkout.ready("next").template
    templates.refill(checkout.project, checkout.address, "postgres", template, pool)
    for step in killed_at_every_step(checkout, "clone", when):
        explained(checkout, before, step)
        access = checkout.clone(template, "gw0", lease="next")
        assert access.created
        assert tables_of(access) == {"t1", "t2"}, f"killed at step {step}"
        for one in access.resources:
            services.get("postgres").drop(checkout.address, one, sessions="end")
        assert set(checkout.kinds().values()) <= {"template", "pool"}
        templates.refill(checkout.project, checkout.address, "postgres", template, pool)
    recovered(checkout, before, step)
    assert step > 15


@pytest.mark.parametrize("verb", ["fill", "evict"])
@pytest.mark.parametrize("when", WHEN)
def test_upkeep_killed_at_any_step_leaves_nothing_half_made_to_be_used(checkout: Shop, verb: str, when: str) -> None:
    before, step = names(checkout.address), 0
    for step in killed_at_every_step(checkout, verb, when):
        explained(checkout, before, step)
        template = checkout.ready("next").template
        templates.refill(checkout.project, checkout.address, "postgres", template, 2)
        for number in range(3):
            access = checkout.clone(template, f"gw{number}", lease="next")
            assert tables_of(access) == {"t1", "t2"}, f"killed at step {step}"
        for number in range(3):
            for one in checkout.clone(template, f"gw{number}", lease="next").resources:
                services.get("postgres").drop(checkout.address, one, sessions="end")
        sessions.close()
    recovered(checkout, before, step)
    assert step > 15


HANGING = 'migrate = "if [ -e hang ]; then touch hanging; sleep 600; fi; {python} tool.py"\nwatch = ["migrations/**"]'


def test_a_build_killed_in_its_migration_is_begun_again_at_once(address: Address, tmp_path: Path) -> None:
    before, name = names(address), f"shop{secrets.token_hex(3)}"
    checkout = shop(tmp_path / "one", address, name, HANGING.format(python=PYTHON), watch=False)
    checkout.write(tables(["t1"]))
    (checkout.root / "hang").touch()
    with alone(checkout, "ready") as dying:
        while not (checkout.root / "hanging").exists():
            assert dying.poll() is None
            time.sleep(0.01)
        dying.kill()
    (checkout.root / "hang").unlink()
    explained(checkout, before, 1)
    made = checkout.ready("next")
    assert tables_of(checkout.clone(made.template, lease="next")) == {"revisions", "t1"}
    recovered(checkout, before, 1)
