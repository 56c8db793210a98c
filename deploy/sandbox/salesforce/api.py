"""``/services/data``: the REST API's resources."""

from typing import Any

from deploy.sandbox.salesforce.allocation import Allocation
from deploy.sandbox.salesforce.call import ROOT, VERSION, Answer, Call
from deploy.sandbox.salesforce.composite import serve_composite
from deploy.sandbox.salesforce.errors import not_found
from deploy.sandbox.salesforce.org import Org
from deploy.sandbox.salesforce.querying import Cursors, serve_query
from deploy.sandbox.salesforce.record_collections import serve_collections
from deploy.sandbox.salesforce.records import serve_sobjects

__all__ = ["Api", "versions"]


def versions() -> list[dict[str, str]]:
    """``GET /services/data``: the versions there are, without sign-in."""
    return [{"label": "Summer '26", "url": ROOT, "version": VERSION.removeprefix("v")}]


class Api:
    """Routes a signed-in call to its resource."""

    def __init__(self, org: Org, allocation: Allocation) -> None:
        self._org = org
        self._allocation = allocation
        self._cursors = Cursors(org)

    def route(self, call: Call) -> Answer:
        """Serve a call.

        Raises:
            Refusal: in Salesforce's words.
        """
        match call.path:
            case ("",):
                call.allow("GET", "HEAD")
                return Answer(200, self._resources())
            case ("limits",):
                call.allow("GET", "HEAD")
                return Answer(200, self._limits())
            case ("sobjects", *_):
                return serve_sobjects(self._org, call)
            case ("query" | "queryAll", *_):
                return serve_query(self._org, self._cursors, call)
            case ("composite",):
                return serve_composite(self._org, call, self.route)
            case ("composite", "sobjects", *_):
                return serve_collections(self._org, call)
        raise not_found()

    def _resources(self) -> dict[str, str]:
        names = ("sobjects", "query", "queryAll", "limits", "composite")
        return {name: f"{ROOT}/{name}" for name in names}

    def _limits(self) -> dict[str, Any]:
        most = self._allocation.most
        return {
            "DailyApiRequests": {"Max": most, "Remaining": max(0, most - self._allocation.used())},
            "DataStorageMB": {"Max": 1073, "Remaining": 1010},
            "FileStorageMB": {"Max": 1073, "Remaining": 1073},
        }
