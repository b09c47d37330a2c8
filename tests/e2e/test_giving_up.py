"""`envctl dev down`: whose pins it gives up, and who keeps the servers after it."""

from __future__ import annotations

from pathlib import Path

import pytest
from checkouts import Envctl
from till import till

from envctl.held import Lease
from envctl.model import Holder

pytestmark = pytest.mark.embedded
REDIS = 'project = "till"\nengine = "embedded"\n[services.redis]\n'


def test_a_named_namespace_gives_up_its_own_pin_and_no_other(envctl: Envctl, tmp_path: Path) -> None:
    place = till(tmp_path / "till", config=REDIS)
    envctl("dev", "up", cwd=place)
    envctl("--namespace", "other", "dev", "up", cwd=place)
    envctl("dev", "up", cwd=place, BRANCH_NAME="third")
    mine = envctl("ns", "--json", cwd=place).data["namespace"]

    told = envctl("--namespace", "other", "dev", "down", cwd=place).out
    assert told == f"gave up the pin of other; the servers stay for {mine} (pinned), third (pinned)\n"
    assert "no pin to give up; the servers stay for" in envctl("--namespace", "other", "dev", "down", cwd=place).out
    assert envctl("dev", "down", "--json", cwd=place, BRANCH_NAME="third").data["pins"] == ["third"]
    assert envctl("dev", "down", cwd=place).out == f"gave up the pin of {mine}; stopped the servers\n"
    assert envctl("dev", "down", cwd=place).out == "no pin to give up; nothing ran\n"


def test_a_checkout_gives_up_all_its_pins_and_a_user_without_a_namespace_is_known_by_his_command(
    envctl: Envctl, tmp_path: Path
) -> None:
    place = till(tmp_path / "till", config=REDIS)
    envctl("dev", "up", cwd=place)
    envctl("--namespace", "other", "dev", "up", cwd=place)
    mine = envctl("ns", "--json", cwd=place).data["namespace"]
    leases = envctl.state / "projects" / "till" / "dev-embedded" / "leases"
    lease = Lease.taken(leases, Holder("held", "", "", "envctl clean", ""))
    try:
        done = envctl("dev", "down", "--json", cwd=place).data
    finally:
        lease.drop()
    assert (done["pins"], done["stopped"], done["users"]) == (sorted((mine, "other")), [], ["`envctl clean` (held)"])
