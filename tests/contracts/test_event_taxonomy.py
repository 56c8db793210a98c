"""What leaves the journal is what the taxonomy promises; nothing more, and nothing less."""

import ast
from pathlib import Path
from random import Random

import msgspec

from contracts.canonical.order import Order
from contracts.events.taxonomy import TAXONOMY
from deploy.assembly import System
from deploy.profile import Settings, configuration
from process_apis.quote_to_order import reports
from runtime.journal.process import Event

PROCESSES = Path(__file__).parents[2] / "process_apis"
MAKERS = {Event.__name__, "told"}
"""What makes an event, by the names that process APIs call it by."""


def emitted_by(source: str) -> set[str]:
    """Answer every topic that this module can make an event of."""
    topics = set()
    for function in ast.walk(ast.parse(source)):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        assigned = [node for node in ast.walk(function) if isinstance(node, ast.Assign)]
        for call in ast.walk(function):
            if not isinstance(call, ast.Call) or ast.unparse(call.func) == "asyncio.Event":
                continue
            if ast.unparse(call.func).split(".")[-1] in MAKERS:
                topics |= topics_in(call, assigned)
    return topics


def topics_in(call: ast.Call, assigned: list[ast.Assign]) -> set[str]:
    named = [keyword.value for keyword in call.keywords if keyword.arg == "topic"]
    topic = (named or call.args)[0]
    if isinstance(topic, ast.Name):
        topic = ast.Tuple(
            [one.value for one in assigned if topic.id in ast.unparse(one.targets[0])], ast.Load()
        )
    strings = [node.value for node in ast.walk(topic) if isinstance(node, ast.Constant)]
    return {each for each in strings if isinstance(each, str) and "." in each}


def emitted() -> set[str]:
    return {
        topic
        for path in PROCESSES.rglob("*.py")
        if path.name != "story.py"  # its `told` tells a timeline
        for topic in emitted_by(path.read_text(encoding="utf-8"))
    }


def test_every_topic_is_found_wherever_it_is_named():
    """By keyword, in order, by a name with two ends."""
    source = """
def one(p):
    topic = "a.b" if p else "c.d"
    return Event(topic=topic, data=1), outcomes.told("e.f", p)
"""
    assert emitted_by(source) == {"a.b", "c.d", "e.f"}


def test_processes_emit_exactly_the_rows_they_own():
    """An event nobody agreed on, and a row nobody fills, are both faults."""
    assert emitted() == {row.name for row in TAXONOMY.values() if row.owner.startswith("process/")}


def test_subscribers_want_only_what_is_emitted(tmp_path):
    """Whoever waits for a topic that never comes waits for ever."""
    settings = Settings(data=tmp_path)
    system = System(settings, configuration(settings), random=Random(1))
    topics = {each.name: set(each.topics) for each in system.journal.subscribers}

    assert set().union(*topics.values()) <= emitted()
    assert topics["crm-orders"] == {name for name, row in TAXONOMY.items() if row.data is Order}
    assert topics["crm-orders"] == set(reports.TOPICS)


def test_every_row_is_ordered_by_a_field_it_has():
    for row in TAXONOMY.values():
        assert row.ordering_key in {field.name for field in msgspec.structs.fields(row.data)}, row
