"""One schemathesis run: one API, one client, every phase and every check, and what came of it.

Generated data names customers and items nobody has; a hook puts real ones, and orders and
exceptions of the scene, into most of the well-formed requests, so that more than refusals is
tested. What schemathesis got wrong on purpose is sent as it is.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import schemathesis
from schemathesis import engine
from schemathesis.config import SchemathesisConfig
from schemathesis.engine.events import NonFatalError, ScenarioFinished
from schemathesis.generation.meta import TestPhase

KEY = "Idempotency-Key"
USABLE_KEY = re.compile(r"[!-~]{1,255}")
FIRST_REFUSAL = 400
MOST_SHOWN = 5
REAL = 0.75
"""How many of the well-formed requests speak of what there is."""


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is asked of each operation in fuzzing, and how many stories are tried.

    `coverage`: whether every way a request can be right or wrong is gone through, too. The gateway
    finds what is wrong before it matters who asks, so in a smoke one client of an API stands for
    the others.
    """

    examples: int
    stories: int
    coverage: bool


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Who calls, and a peer that must not see what is the caller's."""

    name: str
    token: str
    peer: tuple[str, str] | None = None


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What there is, by the name under which a request speaks of it.

    A name that means another thing in one path is given with it: `/items/{reference}:reference`.
    What is `minted` has a name that no document can know beforehand.
    """

    of: Mapping[str, Sequence[Any]]
    minted: frozenset[str] = frozenset(
        {"order", "exception", "number", "process", "redrive", "sweep"}
    )

    def put_into_path(self, path: str, values: dict[str, Any], random: Random) -> dict[str, Any]:
        """Answer path parameters of what there is."""
        found = {name: self.of.get(f"{path}:{name}", self.of.get(name)) for name in values}
        return {name: random.choice(found[name] or [made]) for name, made in values.items()}

    def put_into(self, value: Any, random: Random, name: str = "") -> Any:
        """Answer a document with what there is in place of what was made up."""
        match value:
            case dict():
                return {key: self.put_into(each, random, key) for key, each in value.items()}
            case list() | tuple():
                return [self.put_into(each, random, name) for each in value]
            case str() if name in self.of:
                return random.choice(self.of[name])
            case _:
                return value


@dataclass
class Told:
    """What a run found. `statuses` counts every call that was made, by operation."""

    failures: dict[tuple[str, str], str] = field(default_factory=dict)
    """By check and operation; the first of each, told so that it can be repeated."""
    errors: list[str] = field(default_factory=list)
    statuses: dict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    phases: set[str] = field(default_factory=set)
    unanswered: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """The first refusals of each operation: what went over the wire, and what came back."""

    @property
    def calls(self) -> int:
        """How many calls were made."""
        return sum(counted.total() for counted in self.statuses.values())

    def note(self, label: str, response: Any) -> None:
        """Count an answer, and keep it if it is one of the first refusals."""
        self.statuses[label][response.status_code] += 1
        if response.status_code >= FIRST_REFUSAL and len(self.unanswered[label]) < MOST_SHOWN:
            self.unanswered[label].append(_wire(response))

    def succeeded(self) -> set[str]:
        """Answer the operations that were done at least once."""
        return {
            label
            for label, counted in self.statuses.items()
            if any(200 <= status < 300 for status in counted)
        }


def run(
    gateway: str,
    api: str,
    caller: Caller,
    *,
    size: Size,
    scene: Scene,
    seed: int,
    folder: Path,
    only: str | None = None,
) -> Told:
    """Run every phase and check against one API, as the gateway publishes and serves it."""
    config = SchemathesisConfig.from_dict(_settings(f"{gateway}/{api}", caller, size, seed, folder))
    schema = schemathesis.openapi.from_url(f"{gateway}/openapi/{api}.json", config=config)
    if only is not None:
        schema = schema.include(path_regex=only)
    told = Told()
    with _hooked(told, scene, Random(f"{seed} {api} {caller.name}")):
        for event in engine.from_schema(schema).execute():
            _note(told, event)
    return told


@contextmanager
def _hooked(told: Told, scene: Scene, random: Random) -> Iterator[None]:
    """Give each call on its way out a key of its own and what there is; count how it came back."""
    run, sent = random.getrandbits(32), count(1)

    def before_call(_: Any, case: Any, __: dict[str, Any]) -> None:
        given = case.headers.get(KEY)
        if isinstance(given, str) and USABLE_KEY.fullmatch(given):
            case.headers[KEY] = f"{given[:200]}.{run:x}.{next(sent)}"
        if case.meta is not None and not case.meta.generation.mode.is_positive:
            return
        phase = None if case.meta is None else case.meta.phase.name
        if phase is TestPhase.EXAMPLES:
            # An example is sent as a reader would send it; what is minted has none.
            if scene.minted & set(case.path_parameters):
                case.path_parameters = scene.put_into_path(case.path, case.path_parameters, random)
        elif random.random() < REAL:
            # In a story the path leads to what an earlier call was answered with.
            if phase is not TestPhase.STATEFUL:
                case.path_parameters = scene.put_into_path(case.path, case.path_parameters, random)
            case.query = scene.put_into(case.query, random)
            if isinstance(case.body, dict):
                case.body = scene.put_into(case.body, random)

    def after_call(_: Any, case: Any, response: Any) -> None:
        told.note(case.operation.label, response)

    schemathesis.hook(before_call)
    schemathesis.hook(after_call)
    try:
        yield
    finally:
        schemathesis.hooks.unregister(before_call)
        schemathesis.hooks.unregister(after_call)


def _settings(base: str, caller: Caller, size: Size, seed: int, folder: Path) -> dict[str, Any]:
    return {
        "seed": seed,
        "base-url": base,
        "continue-on-failure": True,
        "request-timeout": 30,
        "cache": {"enabled": False},
        "generation": {"max-examples": size.examples, "database": "none", "no-shrink": True},
        "phases": {
            "coverage": {"enabled": size.coverage},
            "stateful": {"generation": {"max-examples": size.stories}},
        },
        **_credentials(caller, folder),
    }


def _credentials(caller: Caller, folder: Path) -> dict[str, Any]:
    """The caller's token; with a peer, both (Web Fuzzing Commons), so that each can be tried."""
    if caller.peer is None:
        return {"headers": {"Authorization": f"Bearer {caller.token}"}}
    both = [(caller.name, caller.token), caller.peer]
    users = [
        {"name": name, "fixedHeaders": [{"name": "Authorization", "value": f"Bearer {token}"}]}
        for name, token in both
    ]
    path = folder / "users.json"
    path.write_bytes(msgspec.json.encode({"auth": users}))
    peers = [name for name, _ in both]
    return {"auth": {"wfc": {"path": str(path), "user": caller.name, "peers": peers}}}


def _note(told: Told, event: Any) -> None:
    match event:
        case ScenarioFinished(recorder=recorder):
            told.phases.add(event.phase.value)
            for where, said in _failures(recorder):
                told.failures.setdefault(where, said)
        case NonFatalError():
            told.errors.append(f"{event.label}: {event.info.format()}")
        case _:
            pass


def _failures(recorder: Any) -> Iterator[tuple[tuple[str, str], str]]:
    for case_id, checks in recorder.checks.items():
        for check in checks:
            if check.failure_info is None:
                continue
            failure = check.failure_info.failure
            answer = recorder.find_response(case_id=failure.case_id or case_id)
            label = recorder.cases[case_id].value.operation.label
            wire = "nothing" if answer is None else _wire(answer)
            said = f"{failure.title}: {failure.message}\n{check.failure_info.code_sample}\n{wire}"
            yield (check.name, label), said


def _wire(answer: Any) -> str:
    """Say a call as it was sent, which may be another than the case it was made of."""
    body = answer.content[:600].decode(errors="replace")
    return f"sent: {answer.request.method} {answer.request.url}\n{answer.status_code} {body}"
