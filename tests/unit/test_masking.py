from __future__ import annotations

import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as some

from envctl.masking import MASK, masked, masked_url, secret, spellings

passwords = some.text(some.characters(min_codepoint=33, max_codepoint=126), max_size=20).map(lambda text: f"Zz{text}zZ")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:pw@h:5432/db", "postgresql://u:***@h:5432/db"),
        ("postgresql://u:p%40ss/w@h/db", "postgresql://u:***@h/db"),
        ("https://k:sek/ret@h", "https://k:***@h"),
        ("https://k:sek?ret@h", "https://k:***@h"),
        ("https://k:sek#ret@h", "https://k:***@h"),
        ("https://k:sek@ret@h", "https://k:***@h"),
        ("https://k:sek:ret@h", "https://k:***@h"),
        ("https://k:sek ret@h", "https://k:***@h"),
        ("postgresql://me@corp:pw@h/db", "postgresql://***@corp:***@h/db"),
        ("redis://:pw@h", "redis://:***@h"),
        ("see redis://:p/w@h and http://h:80/", "see redis://:***@h and http://h:80/"),
        ("postgresql://u:pw@h/db?password=p@x", "postgresql://u:***"),
        ("postgresql://u:p?password=x@h/db", "postgresql://u:***"),
        ("postgresql://SECRET@h:5432/db", "postgresql://***@h:5432/db"),
        ("https://TOKEN:@h/x", "https://***:@h/x"),
        ("see https://TOKEN@h/x", "see https://***@h/x"),
        ("redis://:SECRET/x", "redis://:***"),
        ("postgresql://u:SECRET/x", "postgresql://u:***"),
        ("redis://:SEC:RET/x", "redis://:***"),
        ("postgresql://u:80SECRET", "postgresql://u:***"),
        ("http://h/?apikey=abc&page=1", "http://h/?apikey=***&page=1"),
        ("host=h password='a b' dbname=d", "host=h password=*** dbname=d"),
        ("DB_PASS=abc alembic upgrade head", "DB_PASS=*** alembic upgrade head"),
        ("alembic --password=abc", "alembic --password=***"),
    ],
)
def test_a_password_is_hidden_and_the_rest_is_shown(url: str, shown: str) -> None:
    assert masked(url) == shown


@pytest.mark.parametrize(
    "text",
    [
        "",
        "http://127.0.0.1:8000/path?page=1",
        "ssh://git@h:22/x",
        "http://h:{api.port}/x",
        "postgresql://h1:5432,h2:5433/db",
        "http://h:80 is it",
        "me@example.com",
        "postgresql://{postgres.user}:{postgres.password}@{postgres.host}:{postgres.port}/{postgres.database}",
        "https://h/?token={process.token}&x=1",
        "postgresql://[::1]:5432/db",
        "alembic -x name=value upgrade head",
    ],
)
def test_what_holds_no_secret_is_shown_as_it_is(text: str) -> None:
    assert masked(text) == text


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("", ""),
        ("http://[::1]:80/x", "http://[::1]:80/x"),
        ("redis://:pw@h:1", "redis://:***@h:1"),
        ("postgresql://SECRET@h/x", "postgresql://***@h/x"),
        ("postgres//SECRET", "***"),
        ("SECRET", "***"),
        ("postgresql:SECRET@h", "***"),
        ("postgresql://h:SECRET/x", "***"),
        ("postgresql://h name/x", "***"),
    ],
)
def test_of_what_is_no_url_where_one_should_be_nothing_is_shown(value: str, shown: str) -> None:
    assert masked_url(value) == shown


@given(password=passwords)
def test_no_password_of_a_url_is_shown_however_it_is_written(password: str) -> None:
    shown = masked(f"postgresql://user:{password}@host/db")
    assert shown.startswith(f"postgresql://user:{MASK}")
    assert "Zz" not in shown
    assert "zZ" not in shown


@pytest.mark.parametrize(
    "name",
    [
        "OAUTH",
        "GITHUB_OAUTH_APP",
        "AUTH_HEADER",
        "AUTHORIZATION",
        "BASIC_AUTH",
        "DB_PASS",
        "DBPASS",
        "PGPASSWORD",
        "GPG_PASSPHRASE",
        "FTP_PWD",
        "CSRF_TOKENS",
        "CLIENT_SECRET_V2",
        "SECRET_KEY_BASE",
        "SIGNING_KEY",
        "API_KEY_LIVE",
        "STRIPE_KEYS",
        "AWS_SECRET_ACCESS_KEY",
        "GOOGLE_CREDENTIALS",
        "variables.oauth",
    ],
)
def test_a_secret_name_hides_the_whole_value(name: str) -> None:
    assert masked("plain words", name) == MASK


@pytest.mark.parametrize(
    "name",
    [
        "PUBLIC_KEY_ID",
        "PUBLIC_KEY",
        "publicKey",
        "STRIPE_PUBLISHABLE_KEY",
        "AWS_ACCESS_KEY_ID",
        "PRIVATE_KEY_ID",
        "KEYBOARD",
        "AUTHOR",
        "AUTHORITY",
        "GIT_AUTHOR_NAME",
        "PASSTHROUGH",
        "token.kind",
    ],
)
def test_a_harmless_name_hides_nothing(name: str) -> None:
    assert not secret(name)
    assert masked("plain words", name) == "plain words"


def test_a_placeholder_under_a_secret_name_is_shown() -> None:
    assert masked("{postgres.password}", "PGPASSWORD") == "{postgres.password}"


def test_a_secret_of_json_is_not_taken_for_a_placeholder() -> None:
    assert masked('{"private": "hunter22"}', "GOOGLE_CREDENTIALS") == MASK


@pytest.mark.parametrize("part", ["x", "a://b:", "a://b", "a.b-", "b:", "@/", "a=", "a='"])
@pytest.mark.parametrize("end", ["", "@", " "])
def test_a_very_long_text_is_masked(part: str, end: str) -> None:
    """What looked at all of the rest from every letter would take many minutes."""
    text = f"a://{part * 200_000}{end}"
    assert len(masked(text)) <= len(text) + len(MASK)
    assert len(masked_url(text)) <= len(text) + len(MASK)


@pytest.mark.parametrize("text", ["a" * 50 + "://u:hunter22@h", "-dpostgresql://u:hunter22@h", "1x://u:hunter22@h"])
def test_whatever_stands_before_a_url_its_password_is_hidden(text: str) -> None:
    assert "hunter22" not in masked(text)


KEY = '-----BEGIN KEY-----\n  Zm9v/YmFy+==\n"quo\\ted\u00e9"\n-----END KEY-----\n'


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("it is first-and-more", "it is ***"),
        ("it is first", "it is ***"),
        ("[blanks]", "[***]"),
        ("< Zm9v/YmFy+==>", "< ***>"),
        (json.dumps({"key": KEY}), '{"key": "***"}'),
        (json.dumps({"key": KEY}, ensure_ascii=False), '{"key": "***"}'),
        (repr([KEY]), "['***']"),
        (f"?q={quote(KEY, safe='')}&x", "?q=***&x"),
        ("overlapping", "***"),
        ("four stays", "four stays"),
    ],
)
def test_a_secret_that_is_known_is_hidden_however_it_is_written(said: str, shown: str) -> None:
    spelled = spellings(["first", "first-and-more", "\tblanks ", KEY, "overlapp", "lapping", "four", ""])
    assert masked(said, spelled=spelled) == shown
