"""What a project's file says of targets, previews and audits; and what is wrong with it, at its line."""

from __future__ import annotations

from pathlib import Path

import pytest
from config_files import loaded

from envctl.errors import ConfigError

HEAD = 'project = "shop"\n'


def test_targets_previews_and_audits_are_read(tmp_path: Path) -> None:
    preview = '[preview]\nimages = ["r/a"]\npulls = "https://x/pulls"\n'
    found = loaded(tmp_path, f'{HEAD}[targets.away]\ncontext = "c"\n{preview}[leaks]\ntimeout = "5s"\n')
    assert found.targets["away"].context == "c"
    assert (found.preview.images, found.preview.pulls_variable) == (("r/a",), "GITHUB_TOKEN")
    assert (found.leaks.timeout, found.leaks.notify) == (5.0, "")


@pytest.mark.parametrize(
    ("text", "place", "hint"),
    [
        ('[targets.away]\ncontxt = "c"\n', ":3:", "did you mean 'context'?"),
        ("[targets.away]\n", ":2:", "shop-staging"),
        ('[preview]\nimage = ["r/a"]\n', ":3:", "did you mean 'images'?"),
        ('[leaks]\nnotifiy = "mail"\n', ":3:", "did you mean 'notify'?"),
        ('[leek]\nnotify = "mail"\n', ":2:", "did you mean 'leaks'?"),
        ("[leaks]\ntimeout = 5\n", ":3:", ""),
    ],
)
def test_a_mistake_is_told_at_its_line(tmp_path: Path, text: str, place: str, hint: str) -> None:
    with pytest.raises(ConfigError) as raised:
        loaded(tmp_path, HEAD + text)
    assert place in raised.value.message
    assert hint in raised.value.hint
