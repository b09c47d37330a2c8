"""A quick look and a thorough one tell the same, whatever a name holds; only the thorough one tells sizes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from service_ground import Ground

from envctl.services import likeness


@pytest.mark.parametrize("many", [0, 1, 12])
def test_a_list_without_sizes_is_the_list_but_for_the_sizes(ground: Ground, many: int) -> None:
    claims = [ground.claim(f"look{number}", environment="dev") for number in range(many)]
    for claim in claims:
        ground.service.create(ground.address, ground.settings, claim)
    like = likeness.of(ground.project, buckets=("statements", "exports"))
    whole = ground.service.list(ground.address, ground.project, like=like)
    quick = ground.service.list(ground.address, ground.project, like=like, sizes=False)
    assert [replace(one, bytes=None) for one in whole] == quick
    assert {one.owner.namespace for one in quick if one.owner} == {claim.owner.namespace for claim in claims}
    for claim in claims:
        for resource in ground.service.list(ground.address, ground.project):
            if resource.owner and resource.owner.namespace == claim.owner.namespace and resource.kind != "role":
                ground.service.drop(ground.address, resource)
