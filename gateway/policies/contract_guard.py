"""contract_guard: sampled answers against the contract; drift is told, never a value of it.

Report only: the caller has its answer before it is looked at. An event names the operation, the
status, where (RFC 6901 pointer, with `*` for list indexes and for names the contract does not
know, which may be data) and which rule of the contract's schema; a counter counts by keyword. The
same drift is told once a minute.
"""

import random
from collections.abc import Mapping, Sequence
from typing import Any, Final

import jsonschema_rs
import msgspec

from gateway.call import PASS, Call, ConfigFault, Finding, Reply, Step, Verdict
from gateway.edge import BODILESS
from gateway.faults import pointer_of
from gateway.records import Metrics, Records
from gateway.resilience import ContractGuardSettings
from gateway.routes import Operation
from runtime.clock import Clock

_MOST_DRIFTS: Final = 10
"""Told of one answer; the rest is likely the same mistake."""
_AGAIN_SECONDS: Final = 60.0
_MOST_REMEMBERED: Final = 1_000


class Drift(msgspec.Struct, frozen=True):
    """One difference between an answer and its contract."""

    pointer: str
    rule: str

    @property
    def keyword(self) -> str:
        """The rule's last word, of which there are few: fit for a metric."""
        return self.rule.rsplit("/", 1)[-1]


class ContractGuard:
    """Looks at some answers after they have gone out."""

    name = "contract_guard"

    def __init__(
        self,
        settings: ContractGuardSettings,
        *,
        clock: Clock,
        chance: random.Random,
        records: Records,
        metrics: Metrics,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._chance = chance
        self._records = records
        self._metrics = metrics
        self._told: dict[tuple[str, int, Drift], float] = {}

    async def provision(self) -> None:
        """Need nothing: a schema is compiled when the first answer is sampled."""

    def check(self, _: Sequence[Operation], /) -> list[ConfigFault]:
        """Nothing beyond the form."""
        return []

    async def close(self) -> None:
        """Hold nothing."""

    def compile(self, operation: Operation) -> tuple[Step, ...]:
        """Apply where the contract says what is answered."""
        share = self._settings.sample_share
        if not operation.responses or not share:
            return ()
        answers = Answers(operation)
        every = max(1, round(1 / share))
        left = self._chance.randrange(every) + 1

        def release(call: Call) -> None:
            nonlocal left
            reply = call.reply
            if reply is None or reply.policy is not None or reply.reason is not None:
                return
            left -= 1
            if left:
                return
            left = every
            self._look(operation, answers, reply)

        return (
            Step(
                self.name,
                ask=_pass,
                release=release,
                explain=lambda _: Finding(
                    policy=self.name, verdict="pass", because=f"one answer in {every} is looked at"
                ),
            ),
        )

    def _look(self, operation: Operation, answers: "Answers", reply: Reply) -> None:
        now = self._clock.monotonic()
        for drift in answers.drifts(reply)[:_MOST_DRIFTS]:
            self._metrics.drifts.labels(operation.key, drift.keyword).inc()
            place = (operation.key, reply.status, drift)
            if now - self._told.get(place, float("-inf")) < _AGAIN_SECONDS:
                continue
            if len(self._told) >= _MOST_REMEMBERED:
                self._told.clear()
            self._told[place] = now
            self._records.event(
                "contract_drift_found",
                operation=operation.key,
                status=reply.status,
                pointer=drift.pointer,
                rule=drift.rule,
            )


class Answers:
    """What an operation may answer; schemas are compiled as they are met."""

    def __init__(self, operation: Operation) -> None:
        self._responses = operation.responses
        self._components = operation.components
        self._compiled: dict[str, jsonschema_rs.Draft202012Validator] = {}
        self._names: frozenset[str] | None = None

    def drifts(self, reply: Reply) -> list[Drift]:  # noqa: PLR0911  a return for each rule
        """Answer how a reply differs from the contract."""
        of_status = (str(reply.status), f"{reply.status // 100}XX", "default")
        said = next((self._responses[each] for each in of_status if each in self._responses), None)
        if said is None:
            return [Drift("", "responses/status")]
        content = said.get("content")
        if reply.status in BODILESS or not content:
            return []
        if reply.body is None:
            return []  # streamed: it was not kept
        given = (reply.header(b"content-type") or b"").split(b";", 1)[0].strip().decode("latin-1")
        ranges = (given, given.partition("/")[0] + "/*", "*/*")
        media = next((content[each] for each in ranges if each in content), None)
        if media is None:
            return [Drift("", "content/media-type")]
        schema = media.get("schema")
        if not schema or not given.endswith("json"):
            return []
        try:
            document = msgspec.json.decode(reply.body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return [Drift("", "content/json")]
        return self._compared(f"{reply.status} {given}", schema, document)

    def _compared(self, place: str, schema: Mapping[str, Any], document: Any) -> list[Drift]:
        validator = self._compiled.get(place)
        if validator is None:
            root = {**schema, "components": self._components}
            validator = self._compiled[place] = jsonschema_rs.Draft202012Validator(
                root, validate_formats=True, offline=True
            )
        if validator.is_valid(document):
            return []
        found: dict[Drift, None] = {}
        for error in validator.iter_errors(document):
            found[Drift(self._masked(error.instance_path), _rule(error.schema_path))] = None
            if len(found) >= _MOST_DRIFTS:
                break
        return list(found)

    def _masked(self, path: Sequence[str | int]) -> str:
        if self._names is None:
            self._names = frozenset(_property_names([self._responses, self._components]))
        names = self._names
        return pointer_of(each if isinstance(each, str) and each in names else "*" for each in path)


def _rule(path: Sequence[str | int]) -> str:
    return pointer_of(path).removeprefix("/")


def _property_names(node: Any) -> set[str]:
    """Collect every name the contract gives to a member of an object."""
    found: set[str] = set()
    pending = [node]
    while pending:
        each = pending.pop()
        if isinstance(each, Mapping):
            properties = each.get("properties")
            if isinstance(properties, Mapping):
                found.update(properties)
            pending.extend(each.values())
        elif isinstance(each, list):
            pending.extend(each)
    return found


def _pass(_: Call) -> Verdict:
    return PASS
