"""What a contract says is what is decoded, and its examples are requests one can send."""

from decimal import Decimal
from typing import Any

import jsonschema_rs
import msgspec
import pytest

from contracts.canonical.money import Money
from contracts.canonical.order import OrderRequest
from contracts.governance.openapi import DECIMAL_PATTERN, blessed
from contracts.ports import examples
from contracts.ports.binding import BoundOperation, operations
from contracts.ports.pricing_credit import PriceCheck
from contracts.ports.reconciliation import StartSweep
from contracts.versions import VERSIONS
from gateway.policies.validate import Parameter
from runtime.rest.routes import _body

BOUND = [(api, one) for api in VERSIONS for one in operations(api.port)]


def checker(api: Any, schema: dict[str, Any]) -> jsonschema_rs.Validator:
    """A validator for one schema of a blessed document."""
    components = blessed(api)["components"]
    return jsonschema_rs.validator_for({**schema, "components": components})


def documented(api: Any, one: BoundOperation) -> dict[str, Any]:
    return blessed(api)["paths"][one.operation.path][one.operation.method.lower()]


@pytest.mark.parametrize(("api", "one"), BOUND, ids=lambda each: getattr(each, "name", each.name))
def test_an_example_is_a_request_one_can_send(api, one):
    """It fits its schema, it is decoded, and an operation with a body has one."""
    known = {"body", *one.path_parameters}
    known |= set(one.query.__struct_encode_fields__) if one.query else set()
    given = one.operation.examples
    assert set(given) <= known
    if one.body is not None:
        assert "body" in given
        msgspec.convert(given["body"], one.body)
        content = documented(api, one)["requestBody"]["content"]["application/json"]
        sent = msgspec.json.decode(msgspec.json.encode(content["example"]))
        assert list(checker(api, content["schema"]).iter_errors(sent)) == []
    for parameter in documented(api, one)["parameters"]:
        if "example" in parameter:
            assert checker(api, parameter["schema"]).is_valid(parameter["example"])


@pytest.mark.parametrize("written", [b"60", b"60.0", b"6e1"])
def test_a_whole_number_is_an_integer_however_it_is_written(written):
    """The document takes them all (JSON Schema, 6.1.1); so does the tier behind it."""
    api = next(api for api in VERSIONS if api.name == "process/reconciliation")
    sent = b'{"since": "2026-11-22T00:00:00Z", "settleSeconds": %b}' % written
    document = checker(api, {"$ref": "#/components/schemas/StartSweep"})

    assert document.is_valid(msgspec.json.decode(sent))
    assert _body(msgspec.json.Decoder(StartSweep), StartSweep, sent).settle_seconds == 60


@pytest.mark.parametrize("written", [b"60.5", b'"60"', b"1e400", b"true"])
def test_what_is_no_integer_stays_refused(written):
    sent = b'{"since": "2026-11-22T00:00:00Z", "settleSeconds": %b}' % written

    with pytest.raises(msgspec.DecodeError):
        _body(msgspec.json.Decoder(StartSweep), StartSweep, sent)


ASKED = [(api, one) for api, one in BOUND if one.query is not None]
REQUIRED = {"channel": "sales", "since": "2026-11-22T00:00:00Z"}
"""What a query cannot be without, whatever else it says."""


@pytest.mark.parametrize(("api", "one"), ASKED, ids=lambda each: getattr(each, "name", each.name))
def test_an_empty_parameter_is_refused_by_the_document_the_gateway_and_the_tier_alike(api, one):
    """`?po=` is no question: nobody takes it for "any", for "none" or for a parameter not given."""
    components = blessed(api)["components"]
    known = {
        each: REQUIRED[each] for each in REQUIRED if each in one.query.__struct_encode_fields__
    }
    msgspec.convert(known, one.query, strict=False)

    for spec in documented(api, one)["parameters"]:
        if spec["in"] != "query":
            continue
        schema = {**spec["schema"], "components": components}
        document = jsonschema_rs.validator_for(schema, validate_formats=True)
        assert not document.is_valid(""), spec["name"]
        assert Parameter(spec, components).faults([""]), spec["name"]
        with pytest.raises(msgspec.ValidationError, match=spec["name"]):
            msgspec.convert({**known, spec["name"]: ""}, one.query, strict=False)


@pytest.mark.parametrize(
    ("quantity", "good"),
    [("1", True), ("0.5", True), ("0.00001", True), ("10000000", True), ("10000000.00", True),
     ("12.50", True), ("0", False), ("0.000", False), ("-1", False), ("10000000.1", False),
     ("10000001", False), ("0.000001", False), ("1e3", False), ("", False)],
)  # fmt: skip
def test_a_quantity_the_contract_allows_is_one_that_is_decoded(quantity, good):
    """The edge refuses, with a pointer, what the struct behind it would refuse."""
    document = {**examples.PRICE_CHECK, "lines": [{"item": "A", "quantity": quantity}]}
    api = next(api for api in VERSIONS if api.name == "sales")
    schema = {"$ref": "#/components/schemas/PriceCheck"}

    assert checker(api, schema).is_valid(_as_json(document)) is good
    if good:
        assert msgspec.convert(document, PriceCheck).lines[0].quantity == Decimal(quantity)


@pytest.mark.parametrize(
    ("price", "good"),
    [({"amount": "0", "currency": "GBP"}, True), ({"amount": "1.25", "currency": "GBP"}, True),
     ({"amount": "-0.01", "currency": "GBP"}, False), (None, True),
     ({"amount": "1", "currency": "GBP", "approved": True}, False),
     ({"amount": "1000000000000", "currency": "GBP"}, False)],
)  # fmt: skip
def test_a_price_the_contract_allows_is_one_that_is_decoded(price, good):
    """Neither a negative price nor a member nobody named gets past the edge or the struct."""
    line = {"item": "A", "quantity": "1", "unitPrice": price}
    document = _as_json({**examples.ORDER, "lines": [line]})
    api = next(api for api in VERSIONS if api.name == "sales")
    schema = {"$ref": "#/components/schemas/OrderRequest"}

    assert checker(api, schema).is_valid(document) is good
    if good:
        msgspec.convert(document, OrderRequest)
    else:
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(document, OrderRequest)


@pytest.mark.parametrize("amount", ["0.000001", "999999999999.999999", "-12", "100", "0.100000"])
def test_an_amount_of_the_contract_comes_back_as_it_went(amount):
    """No exponent appears on the way: what is echoed is an amount of the contract again."""
    told = msgspec.json.encode(Money(amount=Decimal(amount), currency="GBP"))

    schema = {"type": "string", "pattern": DECIMAL_PATTERN}
    assert jsonschema_rs.is_valid(schema, msgspec.json.decode(told)["amount"])


@pytest.mark.parametrize(
    ("segment", "good"),
    [("bc:20001", True), ("A-1 (x)", True), ("50%", True), ("..", False), (".x", False),
     ("a/b", False), ("a\\b", False), ("a\n", False), ("é", False), (" a", False)],
)  # fmt: skip
def test_a_path_takes_what_no_reader_of_it_could_misunderstand(segment, good):
    """Slashes, dot segments and control characters in an id would be read in two ways."""
    api = next(api for api in VERSIONS if api.name == "sales")
    parameter = blessed(api)["paths"]["/customers/{reference}"]["get"]["parameters"][0]

    assert checker(api, parameter["schema"]).is_valid(segment) is good


def _as_json(document: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(document))
