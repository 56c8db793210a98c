"""The operators' commands: what they ask, what they show, and what they say when they cannot."""

import msgspec
import pytest

from tests.command_line import crossdock
from tests.gateway_desk import Desk, refuse, reply
from tests.serving import serving

pytestmark = pytest.mark.anyio

AT = "2026-11-22T09:00:00Z"


def a_redrive(**told):
    return {
        "id": "01RD", "action": "retry", "state": "running", "actor": "operator", "note": "why",
        "rate": 10.0, "selected": 3, "applied": 0, "skipped": 0, "failed": 0, "startedAt": AT,
        "endedAt": None, **told,
    }  # fmt: skip


PREVIEW = {
    "exceptions": 3, "byCategory": {"time-out": 3}, "lookedUpFirst": 2,
    "standingEffects": {"erp.order": 1}, "stalePrices": 0, "vendorCalls": {"bc": 1200},
    "seconds": 150.0, "slowest": "bc", "notAllowed": 0, "more": False,
    "withoutEffect": {"Goods have left the warehouse; they can only come back.": 1}, "oldest": AT,
}  # fmt: skip
EXCEPTION = {
    "exception": {
        "id": "01EX", "category": "time-out", "title": "Too long", "detail": "The ERP is away.",
        "actor": "integration operations", "remedies": ["cancel", "retry"], "openedAt": AT,
        "runbook": "docs/runbooks/time-out.md",
    },
    "order": "01ORDER", "reference": "INV-1", "customer": "cust_1", "closedAt": None,
}  # fmt: skip


def a_breaker(name, **told):
    return {
        "name": name, "state": "closed", "failures": 0, "retryInSeconds": None, "reason": None,
        "wouldRefuse": 0, **told,
    }  # fmt: skip


BREAKERS = {
    ("GET", "/breakers"): {"circuits": [a_breaker("erp.write")]},
    ("GET", "/gateway/v1/circuits"): {"circuits": [a_breaker("sales.v1.reads", state="open")]},
    ("POST", "/breakers/erp.write/changes"): a_breaker("erp.write", state="forced-open"),
    ("POST", "/gateway/v1/circuits/sales.v1.reads/changes"): a_breaker("sales.v1.reads"),
}


class Operated(Desk):
    """Answers operations/v1 and gateway/v1 from a script, and keeps what it was sent."""

    def __init__(self):
        super().__init__()
        self.sent = []
        self.looks = iter([a_redrive(applied=2), a_redrive(state="done", applied=2, skipped=1)])
        self.verdict = {"whole": True, "faults": [], "records": 12, "ends": []}
        self.operations_away = False

    async def __call__(self, scope, receive, send):
        path = scope["path"].removeprefix("/operations/v1")
        if path == scope["path"] and not path.startswith("/gateway/v1"):
            await super().__call__(scope, receive, send)
            return
        body = (await receive())["body"]
        key = dict(scope["headers"]).get(b"idempotency-key")
        query = scope["query_string"].decode()
        self.sent.append((path, msgspec.json.decode(body) if body else query, key))
        if self.operations_away and not path.startswith("/gateway"):
            await refuse(send, "upstream-unavailable")
            return
        await reply(send, 200, self.answer(scope["method"], path))

    def answer(self, method, path):
        match method, path:
            case "POST", "/redrive-previews":
                return PREVIEW
            case "POST", "/redrives":
                return a_redrive()
            case "GET", "/redrives/01RD":
                return next(self.looks)
            case "POST", "/audit-verdicts":
                return self.verdict
            case _ if (method, path) in BREAKERS:
                return BREAKERS[method, path]
        return {"exceptions": [EXCEPTION], "cursor": None}


@pytest.fixture
async def desk():
    made = Operated()
    async with serving(made) as url:
        made.url = url
        yield made


async def test_the_queue_is_a_table_or_the_answer_itself(desk, tmp_path):
    """A person reads rows; a program reads what the API said. Without a word it is the list."""
    code, out, _ = await crossdock(desk.url, tmp_path, "exceptions", "--category", "time-out")
    heading, row = out.splitlines()
    assert (code, heading.split()[:2]) == (0, ["EXCEPTION", "REFERENCE"])
    assert row.split("  ")[0] == "01EX"
    assert row.endswith("The ERP is away.")
    assert desk.sent[-1][1] == "category=time-out&limit=50&open=true"

    _, out, _ = await crossdock(desk.url, tmp_path, "exceptions", "list", "--json")
    assert msgspec.json.decode(out)["exceptions"] == [EXCEPTION]


async def test_a_preview_is_sentences_and_begins_nothing(desk, tmp_path):
    """How many, what is looked up first, what stands, what each vendor is asked, how long."""
    code, out, _ = await crossdock(
        desk.url, tmp_path, "redrive", "--category", "time-out", "--preview"
    )

    assert code == 0
    for said in (
        "3 exceptions to retry", "2: which may have reached a system", "1 erp.order", "1,200 bc",
        "2 min, set by what bc allows", "1: Goods have left the warehouse",
    ):  # fmt: skip
        assert said in out
    assert [path for path, _, _ in desk.sent] == ["/redrive-previews"]


async def test_a_redrive_is_followed_to_its_end(desk, tmp_path):
    """Started once under one key, then watched; the last line says what became of it."""
    code, out, err = await crossdock(
        desk.url, tmp_path, "redrive", "--category", "time-out", "--rate", "20", "--note", "why"
    )

    assert code == 0, err
    assert out == ("Redrive 01RD is done: 3 of 3 (2 applied, 1 seen to by others, 0 failed).\n")
    assert "crossdock redrive cancel 01RD" in err
    path, body, key = desk.sent[0]
    assert (path, body["rate"], body["note"]) == ("/redrives", 20.0, "why")
    assert body["selection"] == {"category": "time-out"}
    assert key.startswith(b"cli-")
    assert [path for path, _, _ in desk.sent[1:]] == ["/redrives/01RD"] * 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["redrive"], "Say which exceptions"),
        (["redrive", "--all"], "Say why with --note"),
        (["redrive", "--all", "--action", "amend", "--note", "x"], "needs --amendment"),
        (["exceptions", "remedy", "01EX", "amend", "--note", "x"], "needs --order"),
        (["exceptions", "remedy", "01EX", "retry"], "Missing option '--note'"),
    ],
)
async def test_what_is_missing_is_said_before_anything_is_asked(desk, tmp_path, arguments, said):
    """Nothing is sent; exit code 2 is wrong usage."""
    code, _, err = await crossdock(desk.url, tmp_path, *arguments)

    assert code == 2
    assert said in err
    assert desk.sent == []


async def test_a_record_that_is_not_whole_fails_the_command(desk, tmp_path):
    """A job that runs it every night notices; checkpoints of it are not written."""
    kept = tmp_path / "kept.json"
    code, out, _ = await crossdock(desk.url, tmp_path, "audit", "verify", "--export", str(kept))
    assert (code, kept.exists()) == (0, True)
    assert "Whole: 12 links" in out

    kept.unlink()
    desk.verdict = {"whole": False, "faults": ["line 7 altered"], "records": 12, "ends": []}
    code, out, _ = await crossdock(desk.url, tmp_path, "audit", "verify", "--export", str(kept))
    assert (code, kept.exists()) == (1, False)
    assert "line 7 altered" in out


async def test_breakers_towards_vendors_and_tiers_are_one_list(desk, tmp_path):
    """With the tiers away those of the gateway are shown all the same, and that is said."""
    code, out, _ = await crossdock(desk.url, tmp_path, "breakers")
    assert code == 0
    assert [row.split()[:2] for row in out.splitlines()[1:]] == [
        ["erp.write", "closed"], ["sales.v1.reads", "open"],
    ]  # fmt: skip

    desk.operations_away = True
    code, out, err = await crossdock(desk.url, tmp_path, "breakers", "--json")
    assert [each["name"] for each in msgspec.json.decode(out)["circuits"]] == ["sales.v1.reads"]
    assert (code, "GET /operations/v1/breakers was refused" in err) == (1, True)


@pytest.mark.parametrize(
    ("act", "breaker", "asked"),
    [
        ("trip", "erp.write", "/breakers/erp.write/changes"),
        ("reset", "sales.v1.reads", "/gateway/v1/circuits/sales.v1.reads/changes"),
    ],
)
async def test_a_breaker_is_tripped_and_reset_by_its_name_alone(
    desk, tmp_path, act, breaker, asked
):
    """Whose it is need not be said; the reason goes with it, under a key."""
    code, out, err = await crossdock(desk.url, tmp_path, "breakers", act, breaker, "--note", "why")

    assert code == 0, err
    assert breaker in out
    path, body, key = desk.sent[-1]
    assert (path, body) == (asked, {"action": act, "note": "why"})
    assert key.startswith(b"cli-")
