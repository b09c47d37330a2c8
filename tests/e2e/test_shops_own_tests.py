"""The example's suite under `envctl test`: two workers, every service, and nothing left."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from checkouts import Envctl
from inside import everything
from leavings import leavings

pytestmark = pytest.mark.embedded


def test_the_shops_suite_is_green_with_two_workers_and_again_on_a_ready_template(envctl: Envctl, shop: Path) -> None:
    first = envctl("test", "--", "-n", "2", "-q", cwd=shop)
    assert re.search(r"^\d\d+ passed", first.out, re.MULTILINE)
    assert "(3 clones, template " in first.err
    assert everything(envctl) == set()
    again = envctl("test", "--json", "--strict", "--", "-n", "2", "-q", cwd=shop)
    assert again.data["templates"]["postgres"]["how"] == "reused"
    assert again.data["workers"] == ["gw0", "gw1"]
    assert everything(envctl) == set()
    assert not leavings(envctl, shop)
