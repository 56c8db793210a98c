"""Who calls, for how long and for whom must survive the way to another process, word by word."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from contracts.context import (
    BUDGET_HEADER,
    IDENTITY_HEADERS,
    SYSTEM,
    CallContext,
    from_headers,
    to_headers,
)

names = st.text(min_size=1, max_size=30)
plain = st.from_regex(r"[A-Za-z0-9._:\-]{1,30}", fullmatch=True)
calls = st.builds(
    CallContext,
    correlation_id=plain,
    consumer=names,
    traceparent=st.none() | plain,
    subject=st.none() | names,
    scopes=st.frozensets(plain, max_size=4),
    accounts=st.none() | st.lists(names, max_size=4).map(tuple),
    idempotency_key=st.none() | plain,
    fingerprint=st.none() | plain,
    criticality=st.sampled_from(["capture", "status", "sync", "bulk"]),
    prefer_wait=st.none() | st.integers(0, 25).map(float),
)


@given(calls)
def test_a_call_is_the_same_on_the_other_side(call):
    """Commas, spaces and letters of any script in names keep two accounts two."""
    assert from_headers(dict(to_headers(call, now=0.0)), now=0.0) == call


@given(calls)
def test_a_header_can_carry_whatever_a_call_says(call):
    """Names come from identity providers and master data; a header takes visible ASCII only."""
    for name, value in to_headers(call, now=0.0):
        assert value.isascii(), name
        assert value.isprintable() or not value, name


def test_an_account_id_may_hold_a_space():
    """The ERP's customer numbers may; two customers must not become three."""
    call = CallContext(correlation_id="c", consumer="crm", accounts=("cust_A B", "cust_C,D"))

    assert from_headers(dict(to_headers(call, now=0.0)), now=0.0).accounts == call.accounts


def test_the_deadline_travels_as_what_is_left_of_it():
    """Two machines' clocks are never compared; a spent budget is told as its last millisecond."""
    call = CallContext(correlation_id="c", consumer="crm", deadline=12.5)

    there = from_headers(dict(to_headers(call, now=10.0)), now=900.0)

    assert there.deadline == 902.5
    assert dict(to_headers(call, now=13.0))[BUDGET_HEADER] == "1"


def test_headers_that_name_nobody_are_no_call():
    """Whoever reaches a tier without the gateway is not believed to be anyone."""
    assert from_headers({"x-correlation-id": "c", "x-crossdock-scopes": "all"}, now=0.0) is None


def test_every_header_that_says_who_calls_is_the_gateways_alone():
    """What `to_headers` adds to a call, the guard strips from what comes in from outside."""
    call = msgspec.structs.replace(
        SYSTEM, subject="s", scopes=frozenset({"a"}), accounts=("b",), idempotency_key="k",
        fingerprint="f",
    )  # fmt: skip
    ours = {name for name, _ in to_headers(call, now=0.0) if name.startswith("x-crossdock-")}

    assert ours == IDENTITY_HEADERS
