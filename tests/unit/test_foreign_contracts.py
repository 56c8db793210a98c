"""Contracts of others: read strictly, told over faithfully, and nothing taken on trust."""

import json

import pytest

from gateway.faults import Checker
from gateway.foreign import adapt
from gateway.mounting import mount
from gateway.reading import UnreadableError, read
from gateway.routes import compile_documents
from gateway.schemas import modern
from gateway.services import Service
from tests.policies.parcels import a_contract


def a_service(**said):
    return Service(contract="c.json", url="http://c", **{"scopes": ("parcels:use",), **said})


def a_document(paths, version="3.1.0", **more):
    return {"openapi": version, "info": {"title": "C"}, "paths": paths, **more}


@pytest.fixture
def written(tmp_path):
    def write(text, name="c.yaml"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_yaml_says_what_json_would_say(written):
    """YAML 1.1 would read a country as false, a version as a date and a status as a number."""
    text = """
openapi: 3.1.0
info: {title: Norway, version: 2026-11-30}
paths:
  /no:
    get:
      responses:
        200: {description: yes}
      x: [no, on, 010, 1_000, null, true, -1.5e3, "7"]
"""
    told = read(written(text))

    assert told["info"]["version"] == "2026-11-30"
    assert told["paths"]["/no"]["get"]["responses"] == {"200": {"description": "yes"}}
    assert told["paths"]["/no"]["get"]["x"] == ["no", "on", "010", "1_000", None, True, -1500, "7"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: 2\na: 3\n", "'a' is written twice (line 3)"),
        ("a: &x [1]\nb: *x\n", "an alias, which JSON has not (line 2)"),
        ("a: !!python/object/apply:os.system [ls]\n", "could not determine a constructor"),
        ("a: [1\n", "line 2"),
    ],
)
def test_yaml_that_two_readers_could_read_differently_is_refused(written, text, said):
    with pytest.raises(UnreadableError) as refused:
        read(written(text))

    assert said in str(refused.value)


def test_a_file_that_is_none_says_why(written, tmp_path):
    for path, said in (
        (tmp_path / "nothing.json", "no such file"),
        (tmp_path, "is a directory"),
        (written("{", "c.json"), "Input data was truncated"),
    ):
        with pytest.raises(UnreadableError) as refused:
            read(path)
        assert said in str(refused.value)


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"type": "string", "nullable": True}, None, 5),
        ({"enum": ["a"], "nullable": True}, None, "b"),
        ({"type": "number", "minimum": 0, "exclusiveMinimum": True}, 0.1, 0),
        ({"type": "number", "maximum": 9, "exclusiveMaximum": False}, 9, 10),
        ({"items": {"type": "integer", "nullable": True}}, [None, 1], ["a"]),
        ({"properties": {"nullable": {"type": "boolean"}}}, {"nullable": True}, {"nullable": 1}),
        (
            {"required": ["id", "n"], "properties": {"id": {"readOnly": True}, "n": {}}},
            {"n": 1},
            {"id": 1},
        ),
    ],
)
def test_schemas_of_3_0_mean_the_same_in_todays_words(schema, good, bad):
    checker = Checker(modern(schema, old=True))

    assert checker.is_valid(good)
    assert not checker.is_valid(bad)


def test_a_contract_becomes_one_of_ours():
    """Our prefix, our security and whole terms; its own servers and security are left behind."""
    adapted = adapt("parcels", a_service(public=("readStatus",)), a_contract())
    operations = {each.key: each for each in compile_documents([adapted.document])}

    made = operations["services/parcels/createShipment"]
    assert (made.method, made.template) == ("POST", "/parcels/shipments")
    assert made.scopes == (frozenset({"parcels:use"}),)
    assert (made.terms.limit, made.terms.criticality) == ("services", "sync")
    assert operations["services/parcels/readStatus"].scopes is None
    assert [each["name"] for each in operations["services/parcels/readShipment"].parameters] == [
        "shipment"
    ]


def test_parameters_of_an_operation_go_before_those_of_its_path():
    shared, own = ({"name": "a", "in": "query", "schema": {"type": t}} for t in ("string", "null"))
    item = {"parameters": [shared], "get": {"operationId": "x", "parameters": [own]}}
    adapted = adapt("c", a_service(), a_document({"/x": item}))
    (operation,) = compile_documents([adapted.document])

    assert operation.parameters == (own,)


def test_what_a_document_calls_public_is_not():
    """Only the section may say so: a contract is somebody else's word."""
    document = a_document({"/x": {"get": {"operationId": "x", "security": []}}}, security=[])

    assert adapt("c", a_service(), document).document["paths"]["/x"]["get"]["security"] == [
        {"oauth2": ["parcels:use"]}
    ]
    assert adapt("c", a_service(scopes=()), document).faults[0].place == "services.c.scopes"


@pytest.mark.parametrize(
    ("node", "place"),
    [
        ({"get": {"parameters": [{"in": "query"}]}}, "#/paths/~1x/get/parameters/0/name"),
        ({"get": {"parameters": {}}}, "#/paths/~1x/get/parameters"),
        ({"get": {"requestBody": []}}, "#/paths/~1x/get/requestBody"),
        ({"get": {"responses": {"200": {"content": []}}}}, "#/paths/~1x/get/responses/200/content"),
        ({"$ref": "#/components/pathItems/y"}, "#/paths/~1x/$ref"),
        ({"$ref": "#/paths/~1x"}, "#/paths/~1x/$ref"),
        ({"get": {"x-crossdock": 5}}, "#/paths/~1x/get/x-crossdock"),
        ([], "#/paths/~1x"),
    ],
)
def test_a_document_of_any_form_is_told_off_and_never_crashes(node, place):
    faults = adapt("c", a_service(), a_document({"/x": node})).faults

    assert "c.json" + place in {each.place for each in faults}


@pytest.mark.parametrize("told", [None, [], 5, {}, {"openapi": 3.1}, {"openapi": "3.2.0"}])
def test_what_is_no_openapi_is_one_fault(told):
    [fault] = adapt("c", a_service(), told).faults

    assert fault.place == "c.json#/openapi"


def test_every_service_is_told_at_once(tmp_path):
    good = tmp_path / "good.json"
    good.write_text(json.dumps(a_contract()), encoding="utf-8")
    there = {"url": "http://c", "scopes": ("parcels:use",)}
    mounted = mount(
        {
            "good": Service(contract=str(good), **there),
            "bad": Service(contract=str(tmp_path / "bad.json"), **there),
            "worse": Service(contract=str(good), url="http://:80", scopes=("a",)),
        },
        [],
    )

    assert [each.place for each in mounted.faults] == [
        "services.bad.contract",
        "services.worse.url",
    ]
    assert {each.api for each in mounted.operations} == {"services/good", "services/worse"}
    assert mounted.scopes == {"parcels:use", "a"}
