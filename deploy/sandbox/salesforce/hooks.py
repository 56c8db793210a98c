"""What an operator of the sandbox can do that no vendor's customer can: under ``/_sandbox``.

``POST close {"opportunityId"}`` clicks Closed Won as a rep would. ``GET|POST policy`` shows or
changes the org's policy. ``POST connected-apps`` registers an application (with a public key for
JWT bearer).
``POST sessions/expire`` ends every session.
"""

from typing import Any

import msgspec

from deploy.sandbox.salesforce.call import read_json
from deploy.sandbox.salesforce.errors import Refusal, not_found
from deploy.sandbox.salesforce.org import Caller, Org
from deploy.sandbox.salesforce.policy import OrgPolicy
from deploy.sandbox.salesforce.seed import SALES_USER
from deploy.sandbox.salesforce.sessions import ConnectedApp, Sessions
from deploy.sandbox.salesforce.writing import record_at, update
from deploy.sandbox.wire import Reply, Request, json_reply

__all__ = ["serve_hooks"]


def serve_hooks(org: Org, sessions: Sessions, request: Request) -> Reply:
    """Serve an operator's request; mistakes are answered like the vendor answers them."""
    try:
        return _act(org, sessions, request)
    except Refusal as refusal:
        return json_reply(refusal.status, refusal.as_body())
    except (msgspec.ValidationError, ValueError) as mistake:
        return json_reply(400, Refusal("INVALID_INPUT", str(mistake)).as_body())


def _act(org: Org, sessions: Sessions, request: Request) -> Reply:
    match (request.method, request.path):
        case ("POST", "/_sandbox/close"):
            return _close(org, _object(request))
        case ("GET", "/_sandbox/policy"):
            return json_reply(200, org.policy)
        case ("POST", "/_sandbox/policy"):
            return _set_policy(org, _object(request))
        case ("POST", "/_sandbox/connected-apps"):
            app = msgspec.convert(_object(request), ConnectedApp)
            sessions.register(app)
            return json_reply(201, {"clientId": app.client_id})
        case ("POST", "/_sandbox/sessions/expire"):
            return json_reply(200, {"expired": sessions.expire_all()})
    raise not_found()


def _object(request: Request) -> dict[str, Any]:
    body = read_json(request.body)
    if not isinstance(body, dict):
        raise Refusal("JSON_PARSER_ERROR", "The HTTP entity body is required, and an object")
    return body


def _close(org: Org, body: dict[str, Any]) -> Reply:
    """The same path as a PATCH, on the sales user's behalf."""
    sobject = org.schema.objects["Opportunity"]
    record = record_at(org, sobject, str(body.get("opportunityId", "")), writing=True)
    update(org, sobject, record, {"StageName": "Closed Won"}, Caller(user_id=SALES_USER))
    closed = org.tables["Opportunity"].get(record["Id"])
    return json_reply(200, closed)


def _set_policy(org: Org, body: dict[str, Any]) -> Reply:
    merged = {**msgspec.to_builtins(org.policy), **body}
    unknown = sorted(set(body) - set(msgspec.to_builtins(org.policy)))
    if unknown:
        raise ValueError(f"unknown: {', '.join(unknown)}")
    policy = msgspec.convert(merged, OrgPolicy, strict=False)
    policy.check()
    org.policy = policy
    return json_reply(200, policy)
