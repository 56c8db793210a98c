"""The inner tiers are for clients who act for all accounts, whatever scopes another was given."""

import pytest

from gateway.call import ANONYMOUS, PASS, Call, Consumer, Refuse
from gateway.policies.authorize import Authorize
from gateway.routes import Operation, Terms


def a_call(api, accounts):
    operation = Operation(
        key=f"{api}/read", api=api, method="GET", template=f"/{api}/rows",
        scopes=(frozenset({"rows:read"}),), terms=Terms(limit="reads"),
    )  # fmt: skip
    scope = {"method": "GET", "path": operation.template, "headers": []}
    call = Call(scope=scope, receive=None, operation=operation, parameters={}, started=0.0)
    call.consumer = Consumer(
        name="acme", subject="acme", scopes=frozenset({"rows:read"}), accounts=accounts,
        plan="standard", expires=0.0,
    )  # fmt: skip
    (step,) = Authorize(metadata_url="https://api.example/m").compile(operation)
    return step, call


@pytest.mark.parametrize(
    "api", ["process/things/v1", "system/erp/v1", "operations/v1", "gateway/v1"]
)
def test_who_acts_for_some_accounts_is_refused_inside(api):
    step, call = a_call(api, ("cust_1",))
    verdict = step.ask(call)

    assert isinstance(verdict, Refuse)
    assert verdict.problem.slug == "insufficient-scope"
    assert step.explain(call).verdict == "refuse"

    step, call = a_call(api, None)
    assert step.ask(call) is PASS
    assert step.explain(call).verdict == "pass"


def test_a_channel_is_for_everybody_with_its_scope():
    step, call = a_call("sales/v1", ("cust_1",))
    assert step.ask(call) is PASS

    call.consumer = ANONYMOUS
    assert isinstance(step.ask(call), Refuse)
