"""The published documents are what the code does, and nobody changes them by accident."""

import jsonschema_rs
import msgspec
import pytest

from contracts.governance.openapi import blessed, document, encode
from contracts.ports.binding import operation, operations
from contracts.versions import VERSIONS, supported


@pytest.mark.parametrize("api", supported(), ids=lambda api: api.slug)
def test_the_blessed_document_is_what_the_code_generates(api):
    """A difference is either an accident or a change to be blessed by a person, on purpose."""
    generated = document(api)

    assert msgspec.json.decode(encode(generated)) == blessed(api), (
        f"{api.slug} differs from its blessed document; "
        "`python -m contracts.governance FOLDER` writes what the code generates now"
    )


@pytest.mark.parametrize("api", VERSIONS, ids=lambda api: api.slug)
def test_every_schema_of_a_document_compiles(api):
    """A reviewer's tools, and our own gateway, can use every schema as it stands."""
    made = blessed(api)
    for name in made["components"]["schemas"]:
        schema = {"$ref": f"#/components/schemas/{name}", "components": made["components"]}
        jsonschema_rs.validator_for(schema)


@pytest.mark.parametrize("api", VERSIONS, ids=lambda api: api.slug)
def test_every_effect_asks_for_a_key_and_every_operation_says_who_may_call_it(api):
    """A POST with an effect on orders cannot be published without an Idempotency-Key."""
    for path, methods in blessed(api)["paths"].items():
        for method, found in methods.items():
            said = found["x-crossdock"]
            if method != "get" and said["limit"] == "orders" and api.tier == "experience":
                assert said["idempotency"] == "required", f"{method} {path}"
            if api.name != "webhooks":
                assert found["security"], f"{method} {path} names no scope"


def test_a_port_that_breaks_the_conventions_stops_the_start():
    """A parameter that is neither in the path nor body, query or raw is a mistake of ours."""

    class Broken:
        @operation("GET", "/things/{thing}", scope="x")
        async def get(self, thing: str, other: int) -> str: ...

    with pytest.raises(TypeError, match="get: parameters"):
        operations(Broken)
