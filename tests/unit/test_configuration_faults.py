"""Whatever is wrong with a configuration file is told with its place; none of it is a crash."""

import pytest

from deploy.checking import faults_of
from deploy.profile import Settings, configuration

SYSTEMS = """
[systems.business_central]
tenant = "t"
environment = "Production"
company = "Crossdock Trading"
client_id = "c"
client_secret = "env:ERP_SECRET"
[systems.salesforce]
base_url = "https://example.my.salesforce.com"
client_id = "c"
client_secret = "env:ERP_SECRET"
[systems.shiphero]
username = "u"
password = "env:ERP_SECRET"
"""


@pytest.fixture
def faults_in(tmp_path, monkeypatch):
    monkeypatch.setenv("ERP_SECRET", "s")

    def check(text):
        file = tmp_path / "crossdock.toml"
        file.write_text(text)
        return {fault.place: fault for fault in faults_of(Settings(config=file, data=tmp_path))}

    return check


def test_a_whole_file_has_none(faults_in):
    assert faults_in(SYSTEMS) == {}


def test_a_broken_line_is_named(faults_in):
    [fault] = faults_in("[gateway\n").values()

    assert "line 1" in fault.value


@pytest.mark.parametrize(
    ("text", "place"), [("systems = 5", "systems"), ("systems.shiphero = 5", "systems.shiphero")]
)
def test_a_section_that_is_none_is_named(faults_in, text, place):
    """One value where a table belongs is easily written in TOML."""
    assert set(faults_in(text)) == {place}


def test_a_secret_that_is_not_there_is_named(faults_in):
    assert set(faults_in(SYSTEMS.replace('password = "env:ERP_SECRET', 'password = "env:NO'))) == {
        "systems.shiphero.password"
    }


def test_an_address_that_is_not_there_is_named(faults_in):
    """Found by the check, not by the start."""
    assert set(faults_in(SYSTEMS + '[gateway]\nredis = "env:NO_REDIS"\n')) == {"gateway.redis"}


def test_a_channel_of_ones_own_takes_none_away(faults_in, tmp_path):
    """Deals of the CRM still have theirs when the file speaks of a shop alone."""
    shop = '[orders.channels.shop]\npricing = "ignore"\n[sales.channels]\nfrontend = "shop"\n'
    assert faults_in(SYSTEMS + shop) == {}

    told = configuration(Settings(config=tmp_path / "crossdock.toml"))
    assert set(told.orders.channels) == {"sales", "crm", "order-file", "shop"}
    assert told.sales.channels == {"frontend": "shop"}


def test_a_channel_without_a_policy_is_named(faults_in):
    """Its orders would be refused one by one, each as if the caller had been wrong."""
    [fault] = faults_in(SYSTEMS + '[sales.channels]\nfrontend = "sale"\n').values()

    assert (fault.place, fault.nearest) == ("sales.channels.frontend", "sales")
