"""What the gateway would say to a call that is never made."""

from urllib.parse import unquote

import msgspec

from gateway.call import Consumer, Finding, Message, Scope
from gateway.plans import Plan
from gateway.routes import Operation
from gateway.served import Served


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """A credential as `authenticate` would take it: whom it proves, and what would withdraw it."""

    consumer: Consumer
    by: str
    """What it is, e.g. `a token of corp`."""
    subjects: tuple[str, ...] = ()
    """As in `gateway.revocation`."""


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a call is asked as: by any of some credentials, or why there is none."""

    proofs: tuple[Proof, ...] = ()
    unproven: str = "no credential is given"

    def best(self, operation: Operation) -> Proof | None:
        """Answer the credential to call an operation with: one whose scopes suffice, if any."""
        for each in self.proofs:
            if any(scopes <= each.consumer.scopes for scopes in operation.scopes or ()):
                return each
        return next(iter(self.proofs), None)


def explain(
    served: Served, method: str, target: str, caller: Caller, *, now: float
) -> list[Finding]:
    """Say what each policy would do with a call, without effects: the same steps are read.

    `target` is a path with its query, percent-encoded as a caller sends it. Headers and body are
    not known. The findings end where nobody is known to call: the rest depends on who does.
    """
    path, _, query = target.partition("?")
    scope: Scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(b"host", b"explain")],
    }
    call, plan = served.begin(scope, _nothing, now)
    found = [] if plan in (served.unknown, served.disallowed) else [_routed(plan)]
    proof = None if plan.operation.scopes is None else caller.best(plan.operation)
    if proof is not None:
        call.consumer = proof.consumer
    for step in plan.steps:
        if step.explain is None:
            continue
        finding = step.explain(call)
        if step.name == "authenticate":
            because = caller.unproven if proof is None else f"{finding.because}, by {proof.by}"
            finding = msgspec.structs.replace(finding, because=because)
        found.append(finding)
        if step.name == "authenticate" and proof is None:
            break
    return found


def _routed(plan: Plan) -> Finding:
    operation = plan.operation
    public = ", which is public: whoever calls counts as anonymous"
    upgrade = operation.terms.upgrade
    said = public if operation.scopes is None else ""
    said += "" if upgrade is None else f", and may be upgraded to {upgrade}"
    return Finding(policy="route", verdict="pass", because=f"{operation.key}{said}")


async def _nothing() -> Message:
    return {"type": "http.disconnect"}
