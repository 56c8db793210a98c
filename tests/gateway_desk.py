"""A stand-in for gateway and sandbox on one socket: orders by key, a ledger, and planned troubles.

Small and real: it speaks HTTP, checks tokens, reads bodies by the contract, and keeps what it took.
"""

import asyncio
from decimal import Decimal
from urllib.parse import parse_qs

import msgspec

from contracts.canonical.order import OrderRequest
from contracts.problems import problem, render

AT = "2026-11-22T05:00:00Z"


class Desk:
    """`troubles` maps a key to the (slug, Retry-After) pairs its next calls are answered with.

    `stopped` maps a reference to the category of its exception; those also in `confirmed` were
    stopped only after the ERP had confirmed them. `posts` decides what the ERP's
    ledger shows for an order: a list of amounts, normally the one agreed.
    """

    def __init__(self):
        self.tokens = 0
        self.valid = None
        self.kept = {}
        self.arrivals = []
        self.overlaps = []
        self.busy = {}
        self.troubles = {}
        self.stopped = {}
        self.confirmed = set()
        self.posts = lambda _, net: [net]
        self.catalogues = []

    async def __call__(self, scope, receive, send):
        body = (await receive())["body"]
        headers = dict(scope["headers"])
        path = scope["path"]
        if path == "/oauth/token":
            await self.grant(parse_qs(body.decode()), send)
        elif path.startswith("/_sandbox/"):
            await self.sandbox(path, body, send)
        elif headers.get(b"authorization", b"").decode() != self.valid:
            await refuse(send, "token-expired")
        elif path.startswith("/operations/"):
            query = parse_qs(scope["query_string"].decode())
            await reply(send, 200, getattr(self, path.rpartition("/")[2])(query))
        else:
            key = headers[b"idempotency-key"].decode()
            await self.take(key, path, msgspec.json.decode(body, type=OrderRequest), send)

    async def grant(self, form, send):
        if form["client_secret"] != [f"{form['client_id'][0]}-dev-secret"]:
            await reply(send, 401, {"error": "invalid_client", "error_description": "Wrong."})
            return
        self.tokens += 1
        self.valid = f"Bearer token-{self.tokens}"
        await reply(send, 200, {"access_token": f"token-{self.tokens}", "expires_in": 900})

    async def take(self, key, path, order, send):
        self.arrivals.append((key, path))
        if self.busy.get(order.customer):
            self.overlaps.append(key)
        self.busy[order.customer] = True
        await asyncio.sleep(0.002)
        self.busy[order.customer] = False
        if self.troubles.get(key):
            slug, wait = self.troubles[key].pop(0)
            await refuse(send, slug, wait)
            return
        replayed = key in self.kept
        self.kept[key] = (path.rpartition("/")[2], order)
        net = {"amount": str(worth(order)), "currency": "GBP"}
        headers = [(b"idempotency-replayed", b"true")] if replayed else []
        await reply(send, 202, {"id": "ord_1", "netAmount": net}, headers)

    async def sandbox(self, path, body, send):
        if path == "/_sandbox/healthz":
            await reply(send, 200, {"status": "ok"})
        elif path == "/_sandbox/catalog":
            self.catalogues.append(msgspec.json.decode(body)["ordersFile"])
            await reply(send, 200, {})
        else:
            await reply(send, 200, msgspec.json.Encoder().encode_lines(self.ledger()))

    def ledger(self):
        rows = []
        for key, (kind, order) in self.kept.items():
            operation = "salesOrders.create" if kind == "orders" else "salesCreditMemos.post"
            amounts = [] if self.never_posted(key) else self.posts(key, worth(order))
            rows += [
                {
                    "sequence": len(rows) + at,
                    "time": AT,
                    "system": "business_central",
                    "operation": operation,
                    "externalReference": key,
                    "amount": str(amount),
                    "currency": "GBP",
                }
                for at, amount in enumerate(amounts)
            ]
        return rows

    def never_posted(self, key):
        return key in self.stopped and key not in self.confirmed

    def orders(self, query):
        (key,) = query["reference"]
        state = "on-exception" if self.never_posted(key) else "confirmed"
        return {"orders": [{"commercial": state}]}

    def totals(self, _):
        counts = {"orders": 0, "credits": 0}
        nets = {"orders": Decimal("0.00"), "credits": Decimal("0.00")}
        stopped = {}
        for key, (kind, order) in self.kept.items():
            if key in self.stopped:
                stopped[self.stopped[key]] = stopped.get(self.stopped[key], 0) + 1
            if not self.never_posted(key):
                counts[kind] += 1
                nets[kind] += worth(order)
        kinds = [kind for kind, _ in self.kept.values()]
        return {
            "channel": "order-file",
            "orders": kinds.count("orders"),
            "confirmed": counts["orders"],
            "credits": kinds.count("credits"),
            "credited": counts["credits"],
            "exceptions": stopped,
            "netOrdered": {"GBP": str(nets["orders"])},
            "netCredited": {"GBP": str(nets["credits"])},
        }

    def exceptions(self, _):
        return {
            "exceptions": [
                {
                    "exception": {
                        "id": f"exc_{key}",
                        "category": category,
                        "title": "Stopped",
                        "detail": "Somebody must look.",
                        "actor": "operations",
                        "remedies": ["retry"],
                        "openedAt": AT,
                        "runbook": "",
                    },
                    "order": "ord_1",
                    "reference": key,
                    "customer": None,
                }
                for key, category in self.stopped.items()
            ]
        }


def worth(order):
    return sum((line.quantity * line.unit_price.amount for line in order.lines), Decimal("0.00"))


async def reply(send, status, body, headers=()):
    raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    await send({"type": "http.response.body", "body": raw})


async def refuse(send, slug, wait=None):
    trouble = problem(slug)
    headers = [(b"retry-after", str(wait).encode())] if wait is not None else []
    await reply(send, trouble.status, render(trouble), headers)
