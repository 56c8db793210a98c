"""`crossdock.toml`: every fault at once, each with its place, what is allowed and what to do."""

import tomllib

import pytest

from gateway.checking import check
from gateway.config import (
    ConfigError,
    GatewayConfig,
    from_document,
    hashed,
    json_schema,
)
from gateway.routes import compile_documents

GOOD = f"""
[gateway]
public_url = "https://api.example"
instances = 2
[gateway.issuer]
enabled = true
[plans.partner]
orders = [{{quota = 10, seconds = 1}}, {{quota = 200, seconds = 60}}]
[clients.acme]
secrets = ["{hashed("x")}"]
scopes = ["orders:write"]
accounts = ["C1"]
plan = "partner"
"""


def test_a_good_document_is_read():
    config = from_document(tomllib.loads(GOOD))

    assert config.plans["partner"].orders[1].quota == 200
    assert config.clients["acme"].accounts == ("C1",)


def test_every_fault_of_form_is_told_at_once():
    with pytest.raises(ConfigError) as refused:
        from_document(
            {
                "gatway": {},
                "gateway": {"instances": 0, "guard": {"url_bites": 1}},
                "plans": {"p": {"order": [], "orders": [{"quota": 0, "seconds": "60"}]}},
                "clients": {"acme": {"secrets": ["a", "b", "c"], "acounts": []}},
            }
        )

    faults = {each.place: each for each in refused.value.faults}
    assert faults["gatway"].nearest == "gateway"
    assert faults["gateway.instances"].allowed == "1 or more"
    assert faults["gateway.guard.url_bites"].nearest == "url_bytes"
    assert faults["plans.p.order"].nearest == "orders"
    assert faults["plans.p.orders.0.quota"].allowed == "1 or more"
    assert faults["plans.p.orders.0.seconds"].allowed == "integer"
    assert faults["clients.acme.acounts"].nearest == "accounts"
    assert faults["clients.acme.secrets"].allowed == "at most 2"


def test_names_that_name_nothing_are_told_with_the_nearest(monkeypatch):
    monkeypatch.delenv("NOT_THERE", raising=False)
    config = from_document(
        {
            "gateway": {"issuer": {"enabled": True}},
            "plans": {"partner": {}},
            "issuers": {
                "cloud": {
                    "url": "http://login.example",
                    "audience": "a",
                    "algorithms": ["HS256", "RS265"],
                    "plan": "partner",
                }
            },
            "clients": {
                "acme": {
                    "secrets": ["plain-canary", "env:NOT_THERE"],
                    "scopes": ["order:write"],
                    "plan": "partners",
                    "issuer": "clod",
                }
            },
        }
    )
    operations = compile_documents(
        [
            {
                "info": {"x-crossdock-api": "sales/v1"},
                "paths": {"/o": {"post": {"security": [{"o": ["orders:write"]}]}}},
            }
        ]
    )
    faults = check(config, operations)

    said = [(each.place, each.nearest) for each in faults]
    assert ("clients.acme.plan", "partner") in said
    assert ("clients.acme.scopes", "orders:write") in said
    assert ("clients.acme.issuer", "cloud") in said
    assert ("issuers.cloud.algorithms", "RS256") in said
    assert sum(place == "issuers.cloud.algorithms" for place, _ in said) == 2
    assert ("issuers.cloud.url", None) in said
    assert sum(place == "clients.acme.secrets" for place, _ in said) == 2
    assert all("plain-canary" not in str(each) for each in faults)


def test_the_schema_is_published_and_describes_itself():
    schema = json_schema()

    assert schema["$schema"].endswith("2020-12/schema")
    assert "GatewaySettings" in schema["$defs"]


def test_clients_without_an_issuer_are_a_fault():
    config = from_document({"clients": {"acme": {"secrets": [hashed("x")]}}})

    assert [each.place for each in check(config, [])] == ["clients.acme.secrets"]


def test_nothing_configured_is_a_configuration():
    assert check(GatewayConfig(), []) == []
