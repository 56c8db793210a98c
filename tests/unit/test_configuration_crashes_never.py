"""Whatever stands at any place of a file, it is told or taken; nothing of it ends the check."""

import datetime as dt
import json
import math
from collections.abc import Iterator
from typing import Any

import pytest

from deploy.checking import faults_of
from deploy.profile import Settings, configuration

SECRET = "hunter2"
HASH = "sha256:" + "0" * 64
COPY = {"firm_for": 60.0, "size": 10}
SYSTEM = {"base_url": "https://v.example.com", "read_timeout": 5.0, "write_timeout": 5.0}
WHOLE: dict[str, Any] = {
    "promise_key": "env:A_SECRET",
    "gateway": {
        "public_url": "https://api.example.com",
        "audience": "crossdock",
        "instances": 2,
        "redis": "redis://h:6379/0",
        "trusted_hops": ["10.0.0.0/8"],
        "drain_seconds": 5.0,
        "attempts": {"seconds": 60.0, "client": 5},
        "guard": {"url_bytes": 8192, "body_seconds": 8.0},
        "issuer": {"enabled": True, "token_seconds": 900},
        "shield": {"concurrency": 8, "breaker": {"window": 50, "slow_seconds": 1.0}},
        "cache": {"enabled": True, "most_bytes": 65_536, "largest_bytes": 100},
    },
    "issuers": {
        "corp": {
            "url": "https://login.example.com",
            "audience": "a",
            "algorithms": ["RS256"],
            "jwks_uri": "https://login.example.com/keys",
            "fresh_seconds": 600.0,
        }
    },
    "plans": {"standard": {"orders": [{"quota": 60, "seconds": 60}]}},
    "clients": {
        "c": {
            "issuer": "built-in",
            "secrets": [HASH],
            "keys": [
                {
                    "id": "d4vdgblnrt5m",
                    "secret": HASH,
                    "expires": dt.datetime(2037, 1, 1, tzinfo=dt.UTC),
                    "scopes": ["orders:read"],
                }
            ],
            "certificates": ["dns:c"],
            "disabled": False,
            "scopes": ["orders:read", "parcels:use"],
            "accounts": ["cust_1"],
            "plan": "standard",
        }
    },
    "services": {
        "parcels": {
            "contract": "parcels.json",
            "url": "http://parcels.internal:8080",
            "prefix": "/parcels",
            "scopes": ["parcels:use"],
            "public": ["readStatus"],
            "budget_ms": 1000,
            "identity": ["consumer"],
            "headers": {"x-key": "env:A_SECRET"},
            "websockets": ["readStatus"],
        }
    },
    "systems": {
        "business_central": {
            **SYSTEM,
            "tenant": "t",
            "environment": "p",
            "company": "c",
            "client_id": "c",
            "client_secret": "env:A_SECRET",
            "webhook_secrets": ["env:A_SECRET"],
        },
        "salesforce": {**SYSTEM, "client_id": "c", "client_secret": "env:A_SECRET"},
        "shiphero": {**SYSTEM, "username": "u", "password": "env:A_SECRET"},
        "allowances": {"shiphero": {"windows": [{"limit": 5, "seconds": 5.0}], "concurrency": 5}},
    },
    "store": {"url": "sqlite:///journal.db"},
    "tiers": {"system": "http://127.0.0.1:8081"},
    "pricing": {"check_budget": 2.5, "overdue_tolerated": "5.00", "prices": COPY},
    "inventory": {"fresh_for": 5.0},
    "reconciliation": {"every": 900.0, "foreign": {"erp": ["x.*"]}},
    "orders": {
        "channels": {"shop": {"pricing": "ignore", "tolerance": "0.02"}},
        "approvals": [{"region": "r", "threshold": "0.10", "approver": "a", "countries": ["GB"]}],
        "reserve_for": "PT24H",
    },
    "propagation": {"held_for": "PT1H"},
    "sales": {"channels": {"c": "shop"}, "channel": "sales"},
    "telemetry": {"traces_endpoint": "http://c:4318/v1/traces", "sample_ratio": 0.1},
}
CONTRACT = {
    "openapi": "3.1.0",
    "info": {"title": "Parcels", "version": "1"},
    "paths": {"/status": {"get": {"operationId": "readStatus", "responses": {}}}},
}
ODD = [
    "",
    SECRET,
    "http://[",
    f"redis://:{SECRET}@h:notaport/0",
    "file:\0",
    "file:/" + "x" * 5000,
    "nan",
    dt.time(7, 32),
    dt.date(2027, 6, 30),
    math.nan,
    math.inf,
    10**30,
    [["x"], [SECRET]],
    {"a/b~c": {"": {}}},
]
SECRET_PLACES = (
    ("promise_key",), ("store", "url"), ("gateway", "redis"), ("clients", "c", "secrets"),
    ("clients", "c", "keys"), ("services", "parcels", "headers"),
    ("systems", "business_central", "client_secret"),
    ("systems", "business_central", "webhook_secrets"),
    ("systems", "salesforce", "client_secret"), ("systems", "shiphero", "password"),
)  # fmt: skip


def written(node: Any) -> str:
    """The value as TOML has it, on one line."""
    match node:
        case dict():
            return "{" + ", ".join(f"{json.dumps(k)} = {written(v)}" for k, v in node.items()) + "}"
        case list():
            return "[" + ", ".join(map(written, node)) + "]"
        case dt.datetime() | dt.date() | dt.time():
            return node.isoformat()
        case float():
            return repr(node)
        case _:
            return json.dumps(node)


def places(node: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    if path:
        yield path
    entries = node if isinstance(node, dict) else dict(enumerate(node)) if is_list(node) else {}
    for name, each in entries.items():
        yield from places(each, (*path, name))


def is_list(node: Any) -> bool:
    return isinstance(node, list)


def with_instead(node: Any, path: tuple[str | int, ...], value: Any) -> Any:
    if not path:
        return value
    if isinstance(node, dict):
        return {k: with_instead(v, path[1:], value) if k == path[0] else v for k, v in node.items()}
    return [with_instead(v, path[1:], value) if i == path[0] else v for i, v in enumerate(node)]


def is_secret(path: tuple[str | int, ...]) -> bool:
    """Tell whether a secret may stand there, rightly or not."""
    return not {"id", "expires", "scopes"}.intersection(path) and any(
        path[: len(each)] == each for each in SECRET_PLACES
    )


@pytest.fixture
def told(tmp_path, monkeypatch):
    monkeypatch.setenv("A_SECRET", "s")
    (tmp_path / "parcels.json").write_text(json.dumps(CONTRACT))
    file = tmp_path / "crossdock.toml"

    def check(path=(), value=None):
        whole = with_instead(WHOLE, path, value) if path else WHOLE
        file.write_text("\n".join(f"{name} = {written(each)}" for name, each in whole.items()))
        return [str(each) for each in faults_of(check.settings)]

    check.settings = Settings(config=file)
    return check


def test_the_whole_file_has_no_fault(told):
    assert told() == []


def test_an_odd_value_anywhere_is_told_or_taken(told):
    """What is told never repeats a secret; what is taken can be read at a start."""
    for path in places(WHOLE):
        for value in ODD:
            said = "\n".join(told(path, value))

            if not said:
                assert configuration(told.settings)
            assert f":{SECRET}@" not in said, (path, value)
            if is_secret(path):
                assert SECRET not in said, (path, value)


@pytest.mark.parametrize("text", ["a = " + "[" * 5000, "a = 0x" + "f" * 9000, "a = " + "9" * 9000])
def test_a_file_beyond_all_measure_is_told(tmp_path, text):
    file = tmp_path / "crossdock.toml"
    file.write_text(text)

    [fault, *_] = faults_of(Settings(config=file))

    assert fault.place


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("tiers", "system"), "http://[::1:8081"),
        (("gateway", "redis"), "redis://["),
        (("clients", "c", "keys", 0, "expires"), dt.time(7, 32)),
        (("gateway", "instances"), 10**30),
        (("orders", "approvals", 0, "threshold"), "nan"),
        (("orders", "reserve_for"), "P99999999999D"),
        (("services", "parcels", "contract"), "\0"),
        (("services", "parcels", "headers", "x-key"), "file:\0"),
    ],
)
def test_what_once_ended_the_check_has_a_place(told, path, value):
    [said] = told(path, value)

    assert said.startswith(f"{path[0]}.{path[1]}")


def test_many_wrong_entries_of_one_list_are_each_told(told):
    said = told(("clients", "c", "scopes"), [*range(12), "orders:reed"])

    assert len(said) == 13, said


@pytest.mark.parametrize("field", ["secrets", "keys"])
def test_a_hash_in_capitals_is_told_as_one(told, field):
    hashed = "sha256:" + "AB" * 32
    path = ("clients", "c", field, 0) + (("secret",) if field == "keys" else ())

    [said] = told(path, hashed)

    assert "64 lower-case hex digits" in said
    assert "in the clear" not in said


@pytest.mark.parametrize("value", ["cust_1", "", 5, ["*"], ["cust_1", ""]])
def test_accounts_are_never_told_to_become_everybody(told, value):
    [said] = told(("clients", "c", "accounts"), value)

    assert 'Allowed: "*" or a list of customer ids' in said
    assert "Choose one of these" not in said
