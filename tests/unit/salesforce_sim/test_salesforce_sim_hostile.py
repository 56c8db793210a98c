"""Whatever is sent, the org answers in Salesforce's words: never an exception, never a 500."""

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.sandbox_callers import SMALL

pytestmark = pytest.mark.anyio
ROOT = "/services/data/v67.0"
DEAL = next(iter(SMALL.deals))
FEW = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

words = st.sampled_from(
    "Id id Name attributes type records Account ERP_Order__c StageName Account__r Reference__c "
    "ERP_Customer_No__c allOrNone compositeRequest url method referenceId body httpHeaders PATCH "
    f"Draft Closed\tWon {DEAL} @{{a.id}}".split(" ")
)
plain = (
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False) | words
)
junk = st.recursive(
    plain, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=5)
)
attributed = st.fixed_dictionaries(
    {"attributes": st.fixed_dictionaries({"type": words}) | junk}, optional={}
).flatmap(lambda one: st.dictionaries(words, junk, max_size=4).map(lambda more: {**more, **one}))
collection = st.fixed_dictionaries({"records": st.lists(attributed, max_size=4) | junk})
part = st.fixed_dictionaries(
    {
        "referenceId": st.sampled_from(["a", "b", "c"]),
        "method": st.sampled_from(["GET", "POST", "PATCH", "DELETE"]),
        "url": st.sampled_from(
            [
                f"{ROOT}/sobjects/Account",
                f"{ROOT}/sobjects/Opportunity/{DEAL}",
                f"{ROOT}/sobjects/Account/@{{a.id}}",
                f"{ROOT}/composite/sobjects",
                f"{ROOT}/query?q=SELECT+Id+FROM+Account+WHERE+Id='@{{b.id}}'",
                f"{ROOT}/",
                "/elsewhere",
            ]
        ),
        "body": junk | collection,
    }
)
composite = st.fixed_dictionaries(
    {"compositeRequest": st.lists(part, max_size=4) | junk, "allOrNone": st.booleans() | junk}
)
VOCABULARY = (
    "SELECT FROM WHERE ORDER BY LIMIT OFFSET AND OR NOT IN LIKE ( ) , = != < > >= NULLS LAST "
    "Id Name Account Opportunity Account.Name a COUNT FIELDS ALL OpportunityLineItems IsWon "
    "Amount CloseDate SystemModstamp 'x' '\\%' 5 -1 1.5 true null TODAY LAST_N_DAYS : ; \" \\ "
    "2026-11-22 2026-11-22T00:00:00Z Description AccountId '006'"
)
tokens = st.lists(st.sampled_from(VOCABULARY.split()), max_size=14)


async def answered(org, method, path, body) -> None:
    """The answer is JSON of a status that Salesforce gives, or empty."""
    content = msgspec.json.encode(body)
    answer = await org.http.request(method, f"{ROOT}/{path}", content=content)
    assert answer.status_code < 500, answer.text
    if answer.content:
        msgspec.json.decode(answer.content)


@FEW
@given(body=junk)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "sobjects/Account"),
        ("PATCH", f"sobjects/Opportunity/{DEAL}"),
        ("PATCH", "sobjects/ERP_Order__c/Reference__c/X"),
        ("POST", "composite/sobjects/Account"),
    ],
)
async def test_any_body_of_a_record_is_answered(shared_org, method, path, body):
    await answered(shared_org, method, path, body)


@FEW
@given(body=collection)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "composite/sobjects"),
        ("PATCH", "composite/sobjects"),
        ("PATCH", "composite/sobjects/ERP_Order__c/Reference__c"),
    ],
)
async def test_any_body_of_a_collection_is_answered(shared_org, method, path, body):
    await answered(shared_org, method, path, body)


@FEW
@given(body=composite)
async def test_any_body_of_a_composite_is_answered(shared_org, body):
    await answered(shared_org, "POST", "composite", body)


@settings(FEW, max_examples=300)
@given(words=tokens, begun=st.booleans())
async def test_any_query_is_answered(shared_org, words, begun):
    """Half of them begin well, so that the words behind are met too."""
    text = " ".join(["SELECT Id FROM Account WHERE", *words] if begun else words)
    answer = await shared_org.query(text)
    assert answer.status_code in {200, 400}, answer.text
    msgspec.json.decode(answer.content)
