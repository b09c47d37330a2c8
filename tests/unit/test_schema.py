"""The schema, the example file and the tables in the docs say what the parser does."""

from __future__ import annotations

import json
import re
import runpy
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from config_files import KINDS, SHORT, written

from envctl import config, reference, schema, services
from envctl.description import describe
from envctl.errors import ConfigError

ROOT = Path(__file__).parents[2]
REAL = {name: services.get(name).settings for name in services.REGISTRY}


def test_generated_files_are_up_to_date() -> None:
    made = runpy.run_path(str(ROOT / "scripts" / "generate"))["made"]()
    stale = [path.name for path, text in made.items() if path.read_text() != text]
    assert stale == [], "run scripts/generate"


@pytest.mark.parametrize("environment", [None, "ci"])
def test_the_short_file_loads_with_the_real_services(tmp_path: Path, environment: str | None) -> None:
    found = config.load(
        written(tmp_path, SHORT),
        REAL,
        environ={},
        placeholders=lambda name, settings: services.get(name).placeholders(settings),
        logical_names=lambda name, settings: services.get(name).logical_names(settings),
    )
    assert set(found.services) == {"postgres", "s3", "redis"}
    assert found.services["postgres"].extensions == ("vector",)
    assert found.services["s3"].buckets == ("statements",)
    assert json.dumps(describe(found, "ci" if environment else "dev"))


def test_what_the_services_export_by_default_is_something_they_give(tmp_path: Path) -> None:
    text = 'project = "shop"\n[services.postgres]\n[services.s3]\n[services.redis]\n'
    found = config.load(written(tmp_path, text), REAL, environ={})
    given = {name: services.get(name).placeholders(one) for name, one in found.services.items()}
    from envctl import variables

    variables.check(found.exported(services.get), variables.known(given, ()))


@pytest.mark.parametrize("kinds", [KINDS, REAL], ids=["ours", "real"])
def test_the_example_file_loads_as_it_is_and_with_every_line_in_use(tmp_path: Path, kinds: Mapping[str, type]) -> None:
    text = reference.example(kinds)
    assert config.load(written(tmp_path, text), kinds, environ={}).project == "shop"
    used = re.sub(r"(?m)^# (?=[a-z0-9_]+ = )", "", text)
    assert len(tomllib.loads(used)["names"]) == 12
    assert config.load(written(tmp_path, used), kinds, environ={}).external


def test_the_schema_knows_every_key_that_the_parser_knows() -> None:
    used = re.sub(r"(?m)^# (?=[a-z0-9_]+ = )", "", reference.example(REAL))
    assert list(violations(schema.schema(REAL), tomllib.loads(used))) == []


@pytest.mark.parametrize(
    "text",
    [
        'project = "shop"\nengin = "auto"',
        'project = "shop"\nengine = "docker"',
        'project = "shop"\n[services.mysql]',
        'project = "shop"\n[services.s3]\nbuckets = "x"',
        'project = "shop"\n[environments.prod]\nengine = "auto"',
        'project = "shop"\n[external]\nmysql = "x"',
        'project = "shop"\n[compose.services]\nmysql = "x"',
        'project = "shop"\n[variables]\nPORT = 8000',
        'project = "shop"\nidle = "ten"',
        'project = "shop"\n[dev.processes.api]\nhealth = "/"',
        'engine = "auto"',
    ],
)
def test_the_schema_and_the_parser_refuse_the_same(tmp_path: Path, text: str) -> None:
    assert list(violations(schema.schema(REAL), tomllib.loads(text))) != []
    with pytest.raises(ConfigError):
        config.load(written(tmp_path, text), REAL, environ={})


def test_the_docs_show_every_key() -> None:
    tables = (ROOT / "docs" / "configuration.md").read_text()
    for key in ("`idle`", "`extensions`", "`buckets`", "`[dev.processes.NAME]`", "`profiles`", "`test_bucket`"):
        assert key in tables


def violations(rule: Mapping[str, Any], value: Any, path: str = "") -> Iterator[str]:
    """What a value breaks in a schema, for the words of JSON schema that ours uses."""
    if "anyOf" in rule and all(list(violations(one, value)) for one in rule["anyOf"]):
        yield f"{path}: none of {len(rule['anyOf'])}"
    kinds: dict[str, Any] = {
        "object": dict,
        "array": list,
        "string": str,
        "boolean": bool,
        "integer": int,
        "number": (int, float),
    }
    if "type" in rule and not isinstance(value, kinds[rule["type"]]):
        yield f"{path}: not {rule['type']}"
        return
    if "enum" in rule and value not in rule["enum"]:
        yield f"{path}: {value!r} not in {rule['enum']}"
    if "pattern" in rule and not re.search(rule["pattern"], value):
        yield f"{path}: {value!r} is not like {rule['pattern']}"
    if isinstance(value, dict):
        yield from _inside(rule, value, path)
    for item in value if isinstance(value, list) else ():
        yield from violations(rule.get("items", {}), item, f"{path}[]")


def _inside(rule: Mapping[str, Any], value: Mapping[str, Any], path: str) -> Iterator[str]:
    yield from (f"{path}: lacks {key}" for key in rule.get("required", ()) if key not in value)
    for key, item in value.items():
        yield from violations(rule.get("propertyNames", {}), key, f"{path}.{key}")
        known = rule.get("properties", {})
        other = rule.get("additionalProperties", True)
        if key not in known and other is False:
            yield f"{path}.{key}: unknown"
        else:
            yield from violations(known.get(key, other if isinstance(other, dict) else {}), item, f"{path}.{key}")
