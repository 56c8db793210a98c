"""Routes: compiled from contracts, found in one look, and never beyond what a contract names."""

import pytest

from gateway.routes import ContractError, Match, MethodNotAllowed, Router, compile_documents


def a_contract(paths, **info):
    return {"info": {"x-crossdock-api": "shop/v1", "title": "Shop", **info}, "paths": paths}


def router(*paths: str) -> tuple[Router, list[str]]:
    operations = compile_documents(
        [a_contract({path: {"get": {"operationId": path}} for path in paths})]
    )
    return Router(operations), [each.template for each in operations]


def found(paths: tuple[str, ...], path: str):
    table, templates = router(*paths)
    match = table.find("GET", path)
    return (templates[match.index], match.parameters) if isinstance(match, Match) else match


def test_a_literal_segment_wins_over_a_parameter():
    paths = ("/items/{item}", "/items/new", "/items/{item}/prices", "/items/new/{step}")

    assert found(paths, "/shop/v1/items/new") == ("/shop/v1/items/new", {})
    assert found(paths, "/shop/v1/items/A1") == ("/shop/v1/items/{item}", {"item": "A1"})
    assert found(paths, "/shop/v1/items/new/prices") == (
        "/shop/v1/items/new/{step}",
        {"step": "prices"},
    )
    assert found(paths, "/shop/v1/items/A1/prices")[0] == "/shop/v1/items/{item}/prices"


@pytest.mark.parametrize(
    "path",
    ["/", "", "/shop", "/shop/v1", "/shop/v1/items/", "/shop/v1/items//", "/shop/v1/items/A/B/C"],
)
def test_what_no_contract_names_is_not_found(path):
    assert found(("/items/{item}", "/items/{item}/prices"), path) is None


def test_a_known_path_says_which_methods_it_has():
    operations = compile_documents([a_contract({"/items": {"get": {}, "post": {}}})])

    assert Router(operations).find("PUT", "/shop/v1/items") == MethodNotAllowed(
        allowed="GET, HEAD, POST"
    )


def test_head_falls_back_to_get():
    table, _ = router("/items/{item}")
    match = table.find("HEAD", "/shop/v1/items/A")

    assert isinstance(match, Match)
    assert (match.head, match.parameters) == (True, {"item": "A"})


def test_a_server_gives_the_public_prefix():
    document = {**a_contract({"/salesforce": {"post": {}}}), "servers": [{"url": "/webhooks"}]}
    (operation,) = compile_documents([document])

    assert operation.template == "/webhooks/salesforce"


def test_security_is_alternatives_of_scopes_and_nothing_means_public():
    document = a_contract(
        {
            "/a": {"get": {"security": [{"oauth2": ["x", "y"]}, {"key": ["z"]}]}},
            "/b": {"get": {"security": []}},
            "/c": {"get": {}},
        }
    )
    document["security"] = [{"oauth2": ["q"]}]
    a, b, c = compile_documents([document])

    assert a.scopes == (frozenset({"x", "y"}), frozenset({"z"}))
    assert b.scopes is None
    assert c.scopes == (frozenset({"q"}),)


def test_every_fault_of_every_document_is_told_at_once():
    terms = {"x-crossdock": {"idempotancy": "required"}}
    limit = {"x-crossdock": {"limit": "x"}}
    with pytest.raises(ContractError) as refused:
        compile_documents(
            [
                {"info": {"title": "Nameless"}, "paths": {}},
                a_contract({"/a/b": {"post": terms}, "/c": {"get": limit}}),
            ]
        )

    places = [each.pointer for each in refused.value.faults]
    assert places == [
        "Nameless#/info/x-crossdock-api",
        "shop/v1#/paths/~1a~1b/post/x-crossdock",
        "shop/v1#/paths/~1c/get/x-crossdock",
    ]


def test_one_path_named_by_two_contracts_is_a_fault():
    operations = compile_documents(
        [
            a_contract({"/a/{x}": {"get": {"operationId": "one"}}}),
            a_contract({"/a/{y}": {"get": {"operationId": "two"}}}),
        ]
    )
    with pytest.raises(ContractError):
        Router(operations)
