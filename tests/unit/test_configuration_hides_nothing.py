"""A fault of form hides no fault of meaning elsewhere, and makes none up."""

import pytest

from deploy.checking import faults_of
from deploy.profile import Settings
from tests.unit.test_configuration_faults import SYSTEMS

KEY = 'id = "d4vdgblnrt5m"\nsecret = "sha256:' + "0" * 64 + '"\n'
ISSUER = 'url = "https://login.example.com"\naudience = "a"\nalgorithms = ["RS256"]\n'


@pytest.fixture
def told(tmp_path, monkeypatch):
    monkeypatch.setenv("ERP_SECRET", "s")

    def check(text):
        file = tmp_path / "crossdock.toml"
        file.write_text(text + SYSTEMS)
        return [(each.place, each.value) for each in faults_of(Settings(config=file))]

    return check


def test_a_quota_that_is_text_hides_neither_secrets_nor_names(told):
    said = dict(
        told("""
[plans.bronze]
services = [{ quota = "60", seconds = 60 }]
[clients.batch]
plan = "brnze"
scopes = ["stock:use"]
[[clients.batch.keys]]
id = "d4vdgblnrt5m"
secret = "my-plain-key"
[services.stock]
contract = "missing.yaml"
url = "http://stock.internal:8080"
scopes = ["stock:use"]
[services.stock.headers]
authorization = "Bearer sk_live_1"
""")
    )

    assert set(said) == {
        "plans.bronze.services[0].quota",
        "clients.batch.plan",
        "clients.batch.keys.d4vdgblnrt5m.secret",
        "services.stock.contract",
        "services.stock.headers.authorization",
    }
    assert "my-plain-key" not in str(said)
    assert "sk_live_1" not in str(said)


def test_a_service_whose_address_is_wrong_is_judged_for_all_else(told):
    said = {
        place
        for place, _ in told("""
[services.one]
contract = "missing.yaml"
url = "ftp://x"
prefix = "/sales"
[services.two]
contract = "missing.yaml"
url = "http://x?y=1"
prefix = "/three/below"
[services.three]
contract = 5
url = "http://x"
[services.three.headers]
host = "env:ERP_SECRET"
""")
    }

    assert said == {
        "services.one.contract", "services.one.prefix", "services.one.url",
        "services.two.contract", "services.two.url",
        "services.three.contract", "services.three.headers.host", "services.three.prefix",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("more", "places"),
    [
        ('secrets = ["hunter2"]\nissuer = 5', {"issuer", "secrets"}),
        ('secrets = ["a", "b", "c"]', {"secrets"}),
        ('secrets = ["hunter2", 5]', {"secrets", "secrets[1]"}),
        ('secrets = "hunter2"', {"secrets"}),
        ('[[clients.c.keys]]\nid = "x"\nsecret = "hunter2"', {"keys[0].id", "keys[0].secret"}),
        ('[[clients.c.keys]]\nsecret = "hunter2"', {"keys[0].id", "keys[0].secret"}),
    ],
)
def test_a_secret_in_the_clear_is_told_whatever_else_is_wrong_with_its_client(told, more, places):
    said = told(
        f'[gateway.issuer]\nenabled = true\n[clients.c]\nscopes = ["orders:read"]\n{more}\n'
    )

    assert {place for place, _ in said} == {f"clients.c.{place}" for place in places}
    assert any(value == "a secret in the clear" for _, value in said)
    assert "hunter2" not in str(said)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (f"[plans]\ngold = 5\n[issuers.i]\n{ISSUER}plan = 'gold'\n", "plans.gold"),
        (f"plans = 5\n[issuers.i]\n{ISSUER}plan = 'gold'\n", "plans"),
        (
            (
                "[plans.gold]\nreads = [{ quota = 5 }]\n[plans.standard]\n"
                f'[clients.c]\nplan = "gold"\nscopes = ["orders:read"]\n[[clients.c.keys]]\n{KEY}'
            ),
            "plans.gold.reads[0].seconds",
        ),
        ('[issuers]\ni = 5\n[clients.c]\nissuer = "i"\n', "issuers.i"),
        ('[issuers.i]\n[clients.c]\nissuer = "i"\n', "issuers.i.url"),
        (
            '[clients.c]\nscopes = "orders:read"\n[[clients.c.keys]]\n'
            + KEY
            + 'scopes = ["orders:read"]\n',
            "clients.c.scopes",
        ),
        (f'[clients.c]\nscope = ["orders:read"]\n[[clients.c.keys]]\n{KEY}', "clients.c.scope"),
        (f"clients.c.keys = 5\n[issuers.i]\n{ISSUER}", "clients.c.keys"),
        (
            (
                "[gateway]\ntrusted_hops = 5\n"
                '[clients.c]\nscopes = ["orders:read"]\ncertificates = ["dns:c"]\n'
            ),
            "gateway.trusted_hops",
        ),
        (
            (
                '[gateway]\nissuer.enabled = "yes"\n'
                f'[clients.c]\nsecrets = ["sha256:{"0" * 64}"]\nscopes = ["orders:read"]\n'
            ),
            "gateway.issuer.enabled",
        ),
        (
            (
                '[services]\nstock = 5\n[clients.c]\nscopes = ["stock:use"]\n'
                f"[[clients.c.keys]]\n{KEY}"
            ),
            "services.stock",
        ),
        (
            (
                '[services.stock]\nurl = "http://s"\ncontract = "no.json"\n'
                f'[clients.c]\nscopes = ["stock:use"]\n[[clients.c.keys]]\n{KEY}'
            ),
            "services.stock.contract",
        ),
        (
            '[orders.channels.shop]\npricing = "honor"\n[sales.channels]\nfront = "shop"\n',
            "orders.channels.shop.pricing",
        ),
    ],
)
def test_what_was_left_out_is_missed_nowhere(told, text, place):
    """A plan, an issuer or a service with a fault is still a name; what it holds is not missing."""
    places = {each for each, _ in told(text)}

    assert {each for each in places if not each.startswith("issuers.i.")} <= {place}
    assert place in places


def test_faults_beyond_the_first_fifty_are_told(told):
    windows = ", ".join("{ quota = 0, seconds = 0 }" for _ in range(60))

    assert len(told(f"[plans.p]\nreads = [{windows}]\n")) == 120


def test_values_that_only_a_rule_of_their_own_refuses_are_told_with_the_others(told):
    places = {
        place
        for place, _ in told("""
[gateway]
instances = "four"
[[orders.channels.shop.approvals]]
region = "a"
approver = "b"
threshold = "7"
[[orders.approvals]]
region = "a"
approver = "b"
threshold = "nan"
[orders.channels.shop]
pricing = "tolerance"
""")
    }

    assert places == {
        "gateway.instances",
        "orders.channels.shop.approvals[0]",
        "orders.approvals[0]",
    }
