"""The operators' commands: what they ask, what they show, and what they say when they cannot."""

import asyncio
import os
import sys

import msgspec
import pytest

from tests.gateway_desk import Desk, reply
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


class Operated(Desk):
    """Answers operations/v1 from a script, and keeps what it was sent."""

    def __init__(self):
        super().__init__()
        self.sent = []
        self.looks = iter([a_redrive(applied=2), a_redrive(state="done", applied=2, skipped=1)])
        self.verdict = {"whole": True, "faults": [], "records": 12, "ends": []}

    async def __call__(self, scope, receive, send):
        path = scope["path"].removeprefix("/operations/v1")
        if path == scope["path"]:
            await super().__call__(scope, receive, send)
            return
        body = (await receive())["body"]
        key = dict(scope["headers"]).get(b"idempotency-key")
        query = scope["query_string"].decode()
        self.sent.append((path, msgspec.json.decode(body) if body else query, key))
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
        return {"exceptions": [EXCEPTION], "cursor": None}


async def crossdock(url, folder, *arguments):
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "deploy.cli", *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "CROSSDOCK_PORT": url.rpartition(":")[2], "CROSSDOCK_DATA": str(folder)},
    )  # fmt: skip
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


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
