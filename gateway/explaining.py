"""What the gateway would say to a call that is never made."""

from gateway.call import Consumer, Finding, Message, Scope
from gateway.plans import Plan
from gateway.served import Served


def explain(
    served: Served, method: str, path: str, consumer: Consumer, *, now: float
) -> list[Finding]:
    """Say what each policy would do with a call, without effects: the same steps are read."""
    scope: Scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "path": path.partition("?")[0],
        "raw_path": path.partition("?")[0].encode(),
        "query_string": path.partition("?")[2].encode(),
        "headers": [(b"host", b"explain")],
    }
    call, plan = served.begin(scope, _nothing, now)
    call.consumer = consumer
    found = [_routed(served, plan)]
    found += [step.explain(call) for step in plan.steps if step.explain is not None]
    return found


def _routed(served: Served, plan: Plan) -> Finding:
    if plan in (served.unknown, served.disallowed):
        return Finding(policy="route", verdict="refuse", because="no contract names this")
    upgrade = plan.operation.terms.upgrade
    more = "" if upgrade is None else f", and may be upgraded to {upgrade}"
    return Finding(policy="route", verdict="pass", because=f"{plan.operation.key}{more}")


async def _nothing() -> Message:
    return {"type": "http.disconnect"}
