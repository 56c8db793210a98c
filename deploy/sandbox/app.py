"""The sandbox as one ASGI application: the vendors, and what no vendor gives."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from random import Random

import msgspec

from deploy.sandbox import business_central, salesforce, shiphero
from deploy.sandbox.autopilot import Autopilot, People
from deploy.sandbox.catalog import catalog
from deploy.sandbox.clock import Clock, SystemClock
from deploy.sandbox.faults import KINDS, FaultRule, FaultSwitch
from deploy.sandbox.ledger import Ledger
from deploy.sandbox.limits import Limits
from deploy.sandbox.pushes import Pushes
from deploy.sandbox.settings import SandboxSettings
from deploy.sandbox.vendor import Vendor, VendorContext
from deploy.sandbox.wire import (
    Receive,
    Reply,
    Request,
    RequestJournal,
    Scope,
    Send,
    json_reply,
    read_request,
    send_reply,
)
from deploy.sandbox.world import World

__all__ = ["SYSTEMS", "Sandbox", "build_context", "build_sandbox", "build_world"]

SYSTEMS = ("business_central", "salesforce", "wms")
LEDGER_ROWS_A_CHUNK = 2_000
ADDITIONS = "added.jsonl"

Desk = Callable[[Request], Awaitable[Reply]]


class Vendors(msgspec.Struct, frozen=True, kw_only=True):
    """The vendors of one sandbox, and the desks where an operator makes their people act.

    A desk answers ``/_sandbox/<desk>/...``: what no API of the vendor offers because a person does
    it.
    """

    mounted: Mapping[str, Vendor]
    desks: Mapping[str, Desk]
    people: Sequence[People] = ()
    """Who acts by themselves while the autopilot is on, in this order."""
    warm: Callable[
        [], object
    ]  # loads what the first request would wait for; any thread may call it


def build_world(settings: SandboxSettings) -> World:
    """The world that the settings ask for, with what was added to it while it ran."""
    if settings.orders_file is not None:
        world = World.from_order_file(settings.orders_file)
    else:
        world = World.seeded(settings.seed, settings.items, settings.customers)
    for addition in _additions(settings):
        world = world.including(addition.world, addition.at)
    return world


class Addition(msgspec.Struct, frozen=True, kw_only=True):
    """Items and customers that came from an order file while the sandbox ran."""

    at: str
    world: World


def _additions(settings: SandboxSettings) -> list[Addition]:
    if settings.data is None or not (settings.data / ADDITIONS).exists():
        return []
    lines = (settings.data / ADDITIONS).read_bytes().splitlines()
    return [msgspec.json.decode(line, type=Addition) for line in lines]


def build_context(
    settings: SandboxSettings, *, world: World | None = None, clock: Clock | None = None
) -> VendorContext:
    """What every vendor of one sandbox shares; the ledger is replayed from the data directory."""
    clock = clock or SystemClock()
    ledger = settings.data / "ledger.jsonl" if settings.data is not None else None
    return VendorContext(
        world=world if world is not None else build_world(settings),
        ledger=Ledger(ledger, clock),
        faults=FaultSwitch(SYSTEMS, Random(settings.seed)),  # noqa: S311  # chance, not secrets
        limits=Limits(enabled=settings.limits),
        clock=clock,
        settings=settings,
        requests=RequestJournal(),
        pushes=Pushes(),
    )


def build_vendors(context: VendorContext) -> Vendors:
    """Every vendor of the sandbox, by name: there is no discovery."""
    warehouse = shiphero.build(context)
    finance = business_central.build(context)
    vendors: tuple[Vendor, ...] = (
        finance,
        salesforce.build(context),
        warehouse,
    )
    return Vendors(
        mounted={vendor.path: vendor for vendor in vendors},
        desks={"warehouse": warehouse.floor.answer},
        people=(warehouse.pickers, finance.finance),
        warm=warehouse.library,
    )


def build_sandbox(
    settings: SandboxSettings, *, world: World | None = None, clock: Clock | None = None
) -> "Sandbox":
    """The whole sandbox, its vaults and ledger replayed, ready to serve."""
    return Sandbox(build_context(settings, world=world, clock=clock), build_vendors)


class _CatalogueFrom(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    orders_file: str


class Sandbox:
    """Mounts the vendors at ``/<vendor>`` and answers ``/_sandbox`` itself."""

    def __init__(self, context: VendorContext, build: Callable[[VendorContext], Vendors]) -> None:
        self.context = context
        self._build = build
        self.vendors = build(context)
        self.autopilot = Autopilot(lambda: self.vendors.people, context.clock)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request."""
        if scope["type"] != "http":
            return
        path: str = scope["path"]
        first, slash, rest = path[1:].partition("/")
        vendor = self.vendors.mounted.get(first)
        if vendor is not None:
            scope["path"] = slash + rest
            raw: bytes = scope.get("raw_path") or b""
            scope["raw_path"] = raw[len(first) + 1 :]
            await vendor(scope, receive, send)
            return
        request = await read_request(scope, receive)
        if request is None:
            return
        if path == "/_sandbox/ledger" and request.method == "GET":
            await self._send_ledger(request, send)
            return
        await send_reply(send, await self._answer(request))

    def add(self, world: World) -> tuple[int, int]:
        """Take the items and customers of a world that are not known yet; answer how many.

        The vendors are built anew over the larger world and what their vaults remember, as after
        a restart: nobody is signed out and no document is lost.
        """
        before, at = self.context.world, self.context.clock.now()
        moment = at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"
        larger = before.including(world, moment)
        found = len(larger.items) - len(before.items), len(larger.customers) - len(before.customers)
        if found == (0, 0):
            return found
        data = self.context.settings.data
        if data is not None:
            data.mkdir(parents=True, exist_ok=True)
            with (data / ADDITIONS).open("ab") as file:
                file.write(msgspec.json.encode(Addition(at=moment, world=world)) + b"\n")
        for vendor in self.vendors.mounted.values():
            vendor.close()
        self.context = msgspec.structs.replace(self.context, world=larger)
        self.vendors = self._build(self.context)
        return found

    def reset(self) -> None:
        """Forget all that happened, in memory and on disk; the world is as at the start."""
        context = self.context
        self.autopilot.off()
        context.pushes.cancel()
        context.faults.forget()
        context.limits.forget()
        context.requests.forget()
        for vendor in self.vendors.mounted.values():
            vendor.close()
            if context.settings.data is not None:
                vault = context.settings.data / vendor.name / "vault.jsonl"
                vault.unlink(missing_ok=True)
        context.ledger.erase()
        if context.settings.data is not None:
            (context.settings.data / ADDITIONS).unlink(missing_ok=True)
        self.context = context = msgspec.structs.replace(
            context, world=build_world(context.settings)
        )
        self.vendors = self._build(context)

    async def close(self) -> None:
        """Stop pushing and close every file."""
        self.autopilot.off()
        await self.context.pushes.close()
        for vendor in self.vendors.mounted.values():
            vendor.close()
        self.context.ledger.close()

    async def _answer(self, request: Request) -> Reply:  # noqa: C901, PLR0911  # a table of routes
        context = self.context
        match request.method, request.path.removeprefix("/_sandbox/").split("/"):
            case "GET", ["healthz"]:
                return json_reply(200, {"status": "ok", "vendors": list(self.vendors.mounted)})
            case "GET", ["catalog"]:
                return _tidy(catalog(context.world))
            case "POST", ["catalog"]:
                return await self._take_catalogue(request)
            case "GET", ["faults"]:
                return _tidy({"rules": context.faults.armed(), "acted": context.faults.acted_out()})
            case "POST", ["faults"]:
                return self._arm(request)
            case "DELETE", ["faults"]:
                return self._clear(request)
            case "GET", ["limits"]:
                limits = context.limits
                return _tidy(
                    {"limits": "on" if limits.enabled else "off", "throttles": limits.throttles()}
                )
            case "GET", ["requests"]:
                return self._requests(request)
            case "GET" | "POST", ["autopilot"]:
                return self.autopilot.answer(request)
            case "POST", ["reset"]:
                self.reset()
                return json_reply(200, {"status": "reset"})
            case _, [desk, *_] if desk in self.vendors.desks:
                return await self.vendors.desks[desk](request)
        return _refused(404, f"nothing is at {request.method} {request.path}")

    async def _take_catalogue(self, request: Request) -> Reply:
        try:
            asked = msgspec.json.decode(request.body, type=_CatalogueFrom)
            world = await asyncio.to_thread(World.from_order_file, Path(asked.orders_file))
        except (msgspec.MsgspecError, ValueError) as unclear:
            return _refused(400, f"ordersFile must name an order file: {unclear}")
        items, customers = self.add(world)
        return json_reply(200, {"itemsAdded": items, "customersAdded": customers})

    def _arm(self, request: Request) -> Reply:
        try:
            rule = msgspec.json.decode(request.body, type=FaultRule)
            number = self.context.faults.arm(rule)
        except (msgspec.MsgspecError, ValueError) as unclear:
            return json_reply(
                400,
                {
                    "error": str(unclear),
                    "systems": list(self.context.faults.systems),
                    "kinds": list(KINDS),
                    "fields": [field.encode_name for field in msgspec.structs.fields(FaultRule)],
                },
            )
        return json_reply(201, {"number": number, **msgspec.to_builtins(rule)})

    def _clear(self, request: Request) -> Reply:
        system = request.query.get("system")
        if system is not None and system not in self.context.faults.systems:
            return _refused(400, f"system is one of {', '.join(self.context.faults.systems)}")
        return json_reply(200, {"cleared": self.context.faults.clear(system)})

    def _requests(self, request: Request) -> Reply:
        since = request.query.get("since", "0")
        if not since.isdigit():
            return _refused(400, "since is a whole number")
        journal = self.context.requests
        entries = list(journal.entries(request.query.get("system"), int(since)))
        return json_reply(200, {"total": journal.total, "requests": entries})

    async def _send_ledger(self, request: Request, send: Send) -> None:
        """JSON lines in chunks, so that a long ledger holds up nobody."""
        system, since = request.query.get("system"), request.query.get("since", "0")
        if (system is not None and system not in SYSTEMS) or not since.isdigit():
            allowed = f"system is one of {', '.join(SYSTEMS)}, since a whole number"
            await send_reply(send, _refused(400, allowed))
            return
        encoder = msgspec.json.Encoder(decimal_format="string")
        headers = [(b"content-type", b"application/x-ndjson")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        chunk = []
        for row in self.context.ledger.rows(system, int(since)):
            chunk.append(row)
            if len(chunk) == LEDGER_ROWS_A_CHUNK:
                lines = encoder.encode_lines(chunk)
                await send({"type": "http.response.body", "body": lines, "more_body": True})
                await asyncio.sleep(0)
                chunk.clear()
        await send({"type": "http.response.body", "body": encoder.encode_lines(chunk)})


def _tidy(value: object) -> Reply:
    """JSON that a person can read."""
    reply = json_reply(200, value)
    reply.body = msgspec.json.format(reply.body, indent=2) + b"\n"
    return reply


def _refused(status: int, reason: str) -> Reply:
    return json_reply(status, {"error": reason})
