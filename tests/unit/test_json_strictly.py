"""What two readers of JSON could read differently is refused where it comes in."""

import pytest

from contracts.problems import ProblemError
from gateway.documents import parse


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
