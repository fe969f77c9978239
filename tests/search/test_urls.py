"""Addresses as they are kept and as they are shown: no password in either."""

import pytest

from search.machine.urls import hide_password, shown_url


@pytest.mark.parametrize(
    ("url", "hidden"),
    [
        ("postgresql+psycopg2://user:secret@host/db", "postgresql+psycopg2://user:***@host/db"),
        ("mysql://user:s@cr/et@host/d", "mysql://user:***@host/d"),
        ("postgresql://user:a?secret@host/d?x=1", "postgresql://user:***@host/d?x=1"),
        (
            "postgresql://user@host/d?password=secret&sslmode=on",
            "postgresql://user@host/d?password=***&sslmode=on",
        ),
        ("postgresql://host/d?user=u&sslpassword=secret", "postgresql://host/d?user=u&sslpassword=***"),
        ("https://user:s:w@host/a", "https://user:***@host/a"),
        ("http://user:sec/ret@host/a", "http://user:***@host/a"),
        ("http://secret@host:5000/a", "http://***@host:5000/a"),
        ("http://host/a?access_token=secret", "http://host/a?access_token=***"),
    ],
)
def test_a_secret_is_hidden_and_the_rest_kept(url: str, hidden: str) -> None:
    assert hide_password(url) == hidden
    assert hide_password(hidden) == hidden
    assert shown_url(url) == hidden.partition("?")[0]


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///a:b@c",
        "sqlite:////mnt/study.db",
        "postgresql+psycopg://user@host:5432/db?options=-csearch_path%3Doptuna",
        "postgresql://[::1]:5432/db",
        "http://host:5000/a@b",
        "http://127.0.0.1:5000",
        "service",
        "localhost:5000",
    ],
)
def test_an_address_without_a_secret_stays_as_it_is(url: str) -> None:
    assert hide_password(url) == url
    assert shown_url(url) == url.partition("?")[0]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("user:secret@host/db", "***"),
        ("host/db?password=secret", "***"),
        ("postgresql://user:secret", "postgresql://user:***"),
        ("postgresql://user:secret/db", "postgresql://user:***"),
        ("://user:secret@host", "://user:***@host"),
    ],
)
def test_what_is_wrong_is_shown_without_its_secret(url: str, shown: str) -> None:
    assert shown_url(url) == shown
