"""The events' document is what the taxonomy says, and nobody changes it by accident."""

import jsonschema_rs
import msgspec
import pytest

from contracts.events.cloudevents import stream_of
from contracts.events.taxonomy import TAXONOMY
from contracts.governance.asyncapi import blessed, document, encode


def test_the_blessed_document_is_what_the_taxonomy_generates():
    assert msgspec.json.decode(encode(document())) == blessed(), (
        "contracts/asyncapi differs from the taxonomy; "
        "`python -m contracts.governance FOLDER FOLDER` writes what it generates now"
    )


@pytest.mark.parametrize("name", TAXONOMY)
def test_every_row_is_a_message_on_one_channel_with_a_payload_that_compiles(name):
    made = blessed()
    reference = {"$ref": f"#/components/messages/{name}"}
    on = [key for key, one in made["channels"].items() if reference in one["messages"].values()]
    assert on == [name.partition(".")[0]]
    payload = made["components"]["messages"][name]["payload"]
    jsonschema_rs.validator_for({**payload, "components": made["components"]})


def test_what_we_send_has_an_address_and_what_systems_own_has_none():
    made = blessed()
    for row in TAXONOMY.values():
        domain = row.name.partition(".")[0]
        sent = row.owner.startswith("process/")
        assert made["channels"][domain]["address"] == (stream_of(row.name) if sent else None)
        assert made["operations"][domain]["action"] == ("send" if sent else "receive")


def test_every_reference_leads_somewhere():
    made = blessed()

    def references(part):
        if isinstance(part, dict):
            yield from (part["$ref"],) if isinstance(part.get("$ref"), str) else ()
            for each in part.values():
                yield from references(each)
        elif isinstance(part, list):
            for each in part:
                yield from references(each)

    for reference in references(made):
        found = made
        for step in reference.removeprefix("#/").split("/"):
            found = found[step]
