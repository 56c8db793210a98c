"""What two readers of JSON could read differently is refused where it comes in."""

import pytest

from contracts.problems import ProblemError
from gateway.documents import parse
from gateway.faults import MOST_FAULTS, Checker


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a":1,"a":2}',
        b'{"a":1,"\\u0061":2}',
        b'{"a":1,"a":"\\u003a"}',
        b'{"a:":1,"a:":2}',
        b'{"a":{"b":1,"b":{"c":1}}}',
        b'[{"a":1},{"a":1,"a":1}]',
        b'{"a":' + b"[" * 990 + b"]" * 990 + b',"a":1}',
        b'{"a":0.1000000000000000055511151231257827}',
        b'{"a":9007199254740993.0}',
        b'{"a":1e400}',
        b'{"a":1e-400}',
        b'{"a":1e-99999999999999999999}',
        b'{"a":1e99999999999999999999}',
        b'{"a":"\\ud800"}',
        b'\xef\xbb\xbf{"a":1}',
        b'{"a":NaN}',
    ],
)
def test_a_document_with_two_meanings_is_refused(raw):
    """Never another error: one that is not foreseen would be answered as a failure of ours."""
    with pytest.raises(ProblemError) as told:
        parse(raw)

    assert told.value.problem.slug == "malformed-request"


def test_no_depth_of_nesting_is_a_failure_of_ours():
    """The reader of duplicates meets what a later value of the same name hid from the first."""
    for depth in range(900, 1_100):
        for opening, closing in ((b"[", b"]"), (b'{"a":', b"}")):
            inside = b"1" if opening != b"[" else b""
            with pytest.raises(ProblemError):
                parse(b'{"a":' + opening * depth + inside + closing * depth + b',"a":1}')


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b'{"a":0.1,"b":1E+2,"c":-0.0}', {"a": 0.1, "b": 100.0, "c": -0.0}),
        (b'{"a":"x:y","b:c":":"}', {"a": "x:y", "b:c": ":"}),
        (b'{"a":"\\u003a","b":"\\ud83d\\ude00"}', {"a": ":", "b": "\U0001f600"}),
        (b'{"a":18446744073709551616}', {"a": 18446744073709551616}),
        (b'"a:b"', "a:b"),
    ],
)
def test_a_document_with_one_meaning_is_read(raw, value):
    assert parse(raw) == value


def test_what_would_hold_the_event_loop_is_refused_and_what_is_told_of_it_is_bounded():
    """So many small arrays cost a tenth of a second to make, and so many faults to tell."""
    with pytest.raises(ProblemError) as told:
        parse(b"[" + b"[]," * 80_000 + b"[]]")
    assert told.value.problem.detail == "The JSON holds too many objects and arrays."

    with pytest.raises(ProblemError) as told:
        parse(b"{" + b",".join([b'"a":1'] * 40_000) + b"}")
    assert len(told.value.problem.errors) == MOST_FAULTS


def test_an_object_of_many_unknown_names_is_told_its_first_fifty_faults():
    """A nearest name is looked for only where the fault will be told."""
    asked = []

    class Names(dict):
        def __iter__(self):
            asked.append(1)
            return super().__iter__()

    checker = Checker({"type": "object", "additionalProperties": False, "properties": {"a": {}}})
    checker._root["properties"] = Names(a={})
    faults = checker.faults({f"a{number}": 1 for number in range(24_000)})

    assert len(faults) == MOST_FAULTS
    assert len(asked) <= 2 * MOST_FAULTS
