"""Campaign D1: every API does what its document says, whatever it is asked and whoever asks.

The system runs as a process with the sandbox's vendors behind it, and is asked through the gateway:
every phase (examples, coverage, fuzzing, stories over links) and every check of schemathesis. No
answer may be a 5xx, have a status or a shape its document does not name, take what the schema
refuses or call malformed what it allows; every operation a client has the scope for must succeed at
least once, and no other.

    CROSSDOCK_SCHEMATHESIS=full pytest tests/contracts/test_schemathesis_apis.py    the full size
    CROSSDOCK_SEED=7                                                                another seed
"""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from anyio.from_thread import start_blocking_portal

from contracts.governance.openapi import blessed
from contracts.ports import examples
from contracts.versions import VERSIONS
from deploy.profile import CLIENTS
from tests.contracts.schemathesis_run import Caller, Scene, Size, Told, run
from tests.crash.processes import Stage, staged

pytestmark = pytest.mark.campaign

FULL = os.environ.get("CROSSDOCK_SCHEMATHESIS") == "full"
SEED = int(os.environ.get("CROSSDOCK_SEED", "1"))
EVERYTHING = Size(examples=200, stories=100, coverage=True)
LARGE = EVERYTHING if FULL else Size(examples=2, stories=2, coverage=True)
SMALL = EVERYTHING if FULL else Size(examples=2, stories=2, coverage=False)

RUNS = [
    ("system/tax/v1", "operator", SMALL),
    ("system/crm/v1", "operator", SMALL),
    ("system/wms/v1", "operator", SMALL),
    ("system/erp/v1", "operator", SMALL),
    ("system/accounts/v1", "operator", SMALL),
    ("gateway/v1", "operator", SMALL),
    ("process/pricing-credit/v1", "operator", SMALL),
    ("process/quote-to-order/v1", "operator", SMALL),
    ("process/inventory/v1", "operator", SMALL),
    ("process/journal/v1", "operator", SMALL),
    ("process/reconciliation/v1", "operator", SMALL),
    ("operations/v1", "operator", LARGE),
    ("operations/v1", "crm", SMALL),
    ("operations/v1", "partner-acme", SMALL),
    ("sales/v1", "operator", LARGE),
    ("sales/v1", "crm", SMALL),
    ("sales/v1", "partner-acme", SMALL),
]
NEEDS_TIERS_APART = {"POST /circuits/{circuit}/changes"}
"""Of gateway/v1: in one process it has no circuit to trip. `test_system_apart` tells it whole."""
HELD = 8
"""Orders that wait for approval in a scene. What a run asks first of an approval is well formed and
finds all of them waiting, however much is asked of it later."""
LAUNCHER = ("-m", "tests.contracts.schemathesis_system")


def running(folder: Path, *defect: str) -> Iterator[Stage]:
    """Run the system, as it is or with a defect, and the sandbox for as long as it is asked."""
    with start_blocking_portal() as portal:
        stage = staged(folder, launcher=(*LAUNCHER, *defect))
        with portal.wrap_async_context_manager(stage) as running_stage:
            yield running_stage


@pytest.fixture(scope="function" if FULL else "module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """In the full size every run finds the world as it was; in the smoke it goes on."""
    yield from running(tmp_path_factory.mktemp("system"))


@pytest.fixture
def careless(tmp_path: Path) -> Iterator[Stage]:
    yield from running(tmp_path, "careless-tier")


def token_of(stage: Stage, client: str) -> str:
    answer = httpx.post(
        f"{stage.gateway}/oauth/token",
        auth=(client, f"{client}-dev-secret"),
        data={"grant_type": "client_credentials"},
    )
    return answer.raise_for_status().json()["access_token"]


def caller_of(stage: Stage, client: str) -> Caller:
    peer = "partner-globex" if client == "partner-acme" else None
    return Caller(
        name=client,
        token=token_of(stage, client),
        peer=None if peer is None else (peer, token_of(stage, peer)),
    )


def held_for_approval(stage: Stage, key: str) -> list[str]:
    """Orders at a price below the ERP's, placed by somebody whom nobody of a run is."""
    price = {"amount": "1.00", "currency": "GBP"}
    line = {"item": "item_10001", "quantity": "1", "unitPrice": price}
    body = {"customer": "cust_20001", "currency": "GBP", "lines": [line]}
    held = []
    with httpx.Client(
        base_url=stage.gateway,
        headers={"authorization": f"Bearer {token_of(stage, 'crm')}"},
        timeout=30.0,
    ) as client:
        for number in range(HELD):
            headers = {"idempotency-key": f"{key}-held-{number}"}
            answer = client.post("/sales/v1/orders", json=body, headers=headers)
            order = answer.raise_for_status().json()
            assert order["hold"]["kind"] == "price-approval"
            held.append(order["id"])
    return held


def a_scene(stage: Stage, api: str, key: str) -> Scene:
    """Orders confirmed or held, exceptions that wait, and the names by which they are known."""
    orders, exceptions = [], []
    with httpx.Client(
        base_url=stage.gateway,
        headers={"authorization": f"Bearer {token_of(stage, 'operator')}"},
        timeout=30.0,
    ) as client:

        def send(path: str, item: str, number: int) -> Any:
            lines = [{"item": item, "quantity": "1"}]
            body = {"customer": "cust_20001", "currency": "GBP", "lines": lines}
            headers = {"idempotency-key": f"{key}-{number}", "prefer": "wait=10"}
            answer = client.post(f"/sales/v1/{path}", json=body, headers=headers)
            return answer.raise_for_status().json()

        def operate(path: str, body: Any) -> Any:
            headers = {"idempotency-key": f"{key}-{path}"}
            answer = client.post(f"/operations/v1/{path}", json=body, headers=headers)
            return answer.raise_for_status().json()

        # What an earlier run tripped is closed again.
        circuits = client.get("/operations/v1/breakers").raise_for_status().json()["circuits"]
        for each in circuits:
            operate(f"breakers/{each['name']}/changes", examples.RESET)
        orders = [send("orders", "item_10001", number) for number in range(8)]
        for number in range(8, 12):
            send("credits", "item_11081", number)
        # What the examples of the inner tiers speak of.
        for path, body in (
            ("erp/v1/orders", examples.ERP_ORDER),
            ("wms/v1/releases", examples.RELEASE),
        ):
            client.post(f"/system/{path}", json=body).raise_for_status()
        kept = {"item": "item_10001", "quantity": "1"}
        reservation = {"holder": orders[0]["reference"], "lines": [kept]}
        path = "/process/inventory/v1/reservations"
        client.post(path, json=reservation).raise_for_status()
        path = "/process/reconciliation/v1/sweeps"
        now = {"since": datetime.now(UTC).isoformat()}
        told = client.post(path, json=now, headers={"idempotency-key": f"{key}-sweep"})
        sweep = told.raise_for_status().json()["id"]
        # Credits that fit no order are worked off so slowly that somebody can end it.
        unmatched = {"selection": {"category": "master-data-mismatch"}, "rate": 0.01}
        redrive = operate("redrives", examples.REDRIVE | unmatched)
        page = client.get("/operations/v1/exceptions").raise_for_status().json()
        exceptions = [each["exception"]["id"] for each in page["exceptions"]]
    # Whatever is written into the systems of record themselves is written for another customer.
    inner = api.startswith("system/")
    customers = ["cust_20012"] if inner else ["cust_20001"] * 3 + ["cust_20005"]
    references = [each["reference"] for each in orders]
    held = held_for_approval(stage, key)
    return Scene(
        of={
            "customer": customers,
            "reference": references if api == "system/wms/v1" else customers,
            "/customers/{customer}/orders/{reference}:reference": references,
            "/items/{reference}:reference": ["item_10001"],
            "/exchange-rates/{currency}:currency": ["EUR", "SEK"],
            "item": ["item_10001", "item_10006", "item_10030"],
            "items": ["item_10001", "item_10006"],
            "currency": ["GBP"],
            "order": [each["id"] for each in orders],
            "/orders/{order}/approvals:order": held,
            "holder": references,
            "sweep": [sweep],
            "process": [each["id"] for each in orders],
            "redrive": [redrive["id"]],
            "exception": exceptions,
            "number": [known["id"] for each in orders for known in each["knownAs"]
                       if known["system"] == "bc"],
        }
    )  # fmt: skip


def entitled(api: str, client: str) -> set[str]:
    """The operations a client has the scope for."""
    scopes = set(CLIENTS[client]["scopes"])
    document = blessed(next(each for each in VERSIONS if each.path == f"/{api}"))
    return {
        f"{method.upper()} {path}"
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if set(operation["security"][0]["oauth2"]) <= scopes
    }


@pytest.mark.parametrize(
    ("api", "client", "size"), RUNS, ids=lambda each: each if isinstance(each, str) else ""
)
def test_an_api_does_what_its_document_says(system, tmp_path, api, client, size):
    """A document is a promise to people who have never met us; this is where it is kept."""
    told = run(
        system.gateway,
        api,
        caller_of(system, client),
        size=size,
        scene=a_scene(system, api, f"{api}-{client}".replace("/", "-")[:30]),
        seed=SEED,
        folder=tmp_path,
    )

    print(f"\n{api} as {client}: {told.calls} calls, {dict(_by_status(told))}")
    assert not told.failures, _report(told)
    assert not told.errors, told.errors
    assert told.phases >= {"examples", "fuzzing"} | ({"coverage"} if size.coverage else set())
    needed = entitled(api, client) - (NEEDS_TIERS_APART if api == "gateway/v1" else set())
    missing = needed - told.succeeded()
    assert not missing, {each: told.unanswered[each] for each in sorted(missing)}
    assert told.succeeded() <= entitled(api, client)


def test_a_tier_that_breaks_its_promises_is_caught(careless, tmp_path):
    """An undocumented status, a member too many, another account's order: each is found."""
    told = run(
        careless.gateway,
        "sales/v1",
        caller_of(careless, "partner-acme"),
        size=Size(examples=10, stories=40, coverage=False),
        scene=a_scene(careless, "sales/v1", "careless"),
        seed=SEED,
        folder=tmp_path,
        only="^/orders",
    )

    order = "GET /orders/{order}"
    assert {
        ("status_code_conformance", order),
        ("response_schema_conformance", f"{order}/timeline"),
        ("object_level_authorization", order),
    } <= set(told.failures)


def _by_status(told: Told) -> list[tuple[int, int]]:
    counted = sum(told.statuses.values(), start=type(told.statuses["none"])())
    return sorted(counted.items())


def _report(told: Told) -> str:
    return "\n\n".join(
        f"{check} of {label} (seed {SEED})\n{said}"
        for (check, label), said in told.failures.items()
    )
