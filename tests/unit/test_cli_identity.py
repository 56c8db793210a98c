"""A key is told once, and a withdrawal works whatever is or is not running."""

import re
import tomllib

import msgspec
import pytest
from click.testing import CliRunner

from deploy.commands import key, revoke
from gateway.apikeys import ApiKeys, HeldKey
from gateway.call import ANONYMOUS
from gateway.config import from_document, secret_digest
from gateway.revocation import Entry


def test_what_a_new_key_prints_is_a_configuration_that_accepts_it():
    """The key goes to one place, its lines to another: standard output holds nothing else."""
    said = CliRunner().invoke(key.command, ["acme", "--expires", "2027-06-30T00:00:00Z"])
    document = tomllib.loads(said.stderr + '[clients.acme]\nscopes = ["orders:read"]\n')
    made = from_document(document).clients["acme"].keys[0]

    secret = said.stdout.strip()
    assert secret not in said.stderr
    held = HeldKey(id=made.id, digest=secret_digest(made.secret), consumer=ANONYMOUS)
    assert ApiKeys([held]).find(secret.encode(), 0.0) is held
    assert made.expires.year == 2027


@pytest.fixture
def withdraw(tmp_path, monkeypatch):
    monkeypatch.setenv("CROSSDOCK_DATA", str(tmp_path))
    monkeypatch.delenv("CROSSDOCK_CONFIG", raising=False)

    def run(*arguments):
        said = CliRunner().invoke(revoke.command, list(arguments))
        assert said.exit_code == 0, said.output
        lines = (tmp_path / "issuer" / "revocations.jsonl").read_bytes().splitlines()
        return said, msgspec.json.decode(lines[-1], type=Entry)

    return run


def test_a_withdrawal_is_a_line_that_every_gateway_reads(withdraw):
    said, entry = withdraw("client", "crm", "--by", "ann")
    assert (entry.subject, entry.lifted, entry.by) == ("client:crm", False, "ann")
    assert "withdrawn" in said.stdout
    assert not said.stderr

    _, again = withdraw("client", "crm", "--lift")
    assert again.lifted
    assert again.at > entry.at


def test_a_misspelt_client_is_withdrawn_with_a_warning(withdraw):
    said, entry = withdraw("client", "partner-acne")

    assert entry.subject == "client:partner-acne"
    assert re.search("Did you mean partner-acme", said.stderr)
