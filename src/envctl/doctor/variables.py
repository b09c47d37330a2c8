"""The `ENVCTL_…` variables of a session that nothing listens to: most of them are typing errors."""

from __future__ import annotations

from collections.abc import Mapping

from envctl import services
from envctl.config import Config
from envctl.toml.values import PREFIX
from envctl.toml.words import did_you_mean

OURS = frozenset(
    f"{PREFIX}{word}"
    for word in (
        *("PROJECT", "NAMESPACE", "ENGINE", "WAIT", "JSON", "QUIET", "VERBOSE", "TEST_ENVIRONMENT"),
        *("STATE_DIR", "COMPOSE", "SANDBOX", "ENVIRONMENT", "RUN", "KEPT_BY", "PASSWORD"),
    )
)
"""What flags, the state folder and a sandbox are told by, and what envctl tells its own processes."""


def unheard(config: Config, environ: Mapping[str, str]) -> dict[str, str]:
    """Each of them, with what was probably meant."""
    known = {*OURS, *config.listening, *config.exported(services.get)}
    found = sorted(word for word in environ if word.startswith(PREFIX) and word not in known)
    return {word: _meant(word, known) for word in found}


def _meant(word: str, known: set[str]) -> str:
    """Without what all of them begin with, which would make any two alike."""
    near = did_you_mean(word.removeprefix(PREFIX), {one.removeprefix(PREFIX) for one in known})
    return near.replace("mean '", f"mean '{PREFIX}") if near.startswith("did") else "nothing is called so"
