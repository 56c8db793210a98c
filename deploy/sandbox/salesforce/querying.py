"""``query`` and ``queryAll``: SOQL by pages. Cursors die by age, by number, with the process."""

from typing import Any

from deploy.sandbox.salesforce.call import ROOT, Answer, Call, options_of
from deploy.sandbox.salesforce.errors import Refusal, not_found
from deploy.sandbox.salesforce.ids import Minter
from deploy.sandbox.salesforce.org import Org
from deploy.sandbox.salesforce.soql.running import Result, run

__all__ = ["Cursors", "serve_query"]

_CURSOR_PREFIX = "01g"
_LEAST_BATCH, _MOST_BATCH = 200, 2000


class _Cursor:
    __slots__ = ("batch", "opened", "result")

    def __init__(self, result: Result, batch: int, opened: float) -> None:
        self.result = result
        self.batch = batch
        self.opened = opened


class Cursors:
    """Open cursors, oldest first. A page shows the records as they were when the query ran."""

    def __init__(self, org: Org) -> None:
        self._org = org
        self._open: dict[str, _Cursor] = {}
        self._minter = Minter(_CURSOR_PREFIX, None)

    def first(self, result: Result, batch: int) -> dict[str, Any]:
        """The first page, and a cursor when there are more."""
        if result.counted is not None:
            return {"totalSize": result.counted, "done": True, "records": []}
        records = result.records
        page: dict[str, Any] = {"totalSize": len(records), "done": len(records) <= batch}
        if not page["done"]:
            locator = self._minter.mint()
            while len(self._open) >= self._org.policy.query_cursors:
                del self._open[next(iter(self._open))]
            self._open[locator] = _Cursor(result, batch, self._org.clock.monotonic())
            page["nextRecordsUrl"] = f"{ROOT}/query/{locator}-{batch}"
        page["records"] = [result.show(record) for record in records[:batch]]
        return page

    def following(self, text: str) -> dict[str, Any]:
        """A later page.

        Raises:
            Refusal: INVALID_QUERY_LOCATOR, for one that never was or is no more.
        """
        locator, _, start = text.partition("-")
        cursor = self._open.get(locator)
        if cursor is not None and self._expired(cursor):
            del self._open[locator]
            cursor = None
        if cursor is None or not start.isdigit() or int(start) >= len(cursor.result.records):
            raise Refusal("INVALID_QUERY_LOCATOR", "invalid query locator")
        begin = int(start)
        end = begin + cursor.batch
        records = cursor.result.records
        page: dict[str, Any] = {"totalSize": len(records), "done": end >= len(records)}
        if not page["done"]:
            page["nextRecordsUrl"] = f"{ROOT}/query/{locator}-{end}"
        page["records"] = [cursor.result.show(record) for record in records[begin:end]]
        return page

    def _expired(self, cursor: _Cursor) -> bool:
        age = self._org.clock.monotonic() - cursor.opened
        return age > self._org.policy.cursor_seconds


def serve_query(org: Org, cursors: Cursors, call: Call) -> Answer:
    """Route ``query``, ``queryAll`` and their following pages."""
    call.allow("GET", "HEAD")
    match call.path:
        case ("query" | "queryAll",):
            text = call.query.get("q")
            if text is None:
                raise Refusal("MALFORMED_QUERY", "SOQL query parameter 'q' is missing")
            result = run(org, text, deleted=call.path[0] == "queryAll")
            return Answer(200, cursors.first(result, _batch(call)))
        case (_, locator):
            return Answer(200, cursors.following(locator))
    raise not_found()


def _batch(call: Call) -> int:
    """Rows a page: what the header asks for, inside the vendor's bounds."""
    asked = options_of(call.headers.get("sforce-query-options", "")).get("batchsize", "")
    if not asked.isdigit():
        return _MOST_BATCH
    return min(max(int(asked), _LEAST_BATCH), _MOST_BATCH)
