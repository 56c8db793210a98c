"""Who may come in, and how Entra and the service say no."""

import pytest

from deploy.sandbox.business_central.tenant import TENANT_ID, Tenant

pytestmark = pytest.mark.anyio


async def test_client_credentials_with_the_right_scope_get_a_bearer_token_for_an_hour(erp):
    """Token type Bearer, 3599 seconds, and the API opens with it."""
    answer = await erp.signs_in()

    body = answer.json()
    assert (body["token_type"], body["expires_in"]) == ("Bearer", 3599)
    assert len(body["access_token"].split(".")) == 3
    assert (await erp.get("customers?$top=1")).status_code == 200


REFUSED = [
    ({"client_secret": "wrong"}, 401, "invalid_client", 7000215),
    ({"client_secret": ""}, 401, "invalid_client", 7000218),
    ({"client_id": "somebody"}, 400, "unauthorized_client", 700016),
    ({"client_id": ""}, 400, "invalid_request", 900144),
    ({"scope": ""}, 400, "invalid_request", 900144),
    ({"scope": "openid profile"}, 400, "invalid_scope", 1002012),
    ({"scope": "https://graph.example.com/.default"}, 400, "invalid_resource", 500011),
    ({"grant_type": "password"}, 400, "unsupported_grant_type", 70003),
]


@pytest.mark.parametrize(("form", "status", "error", "number"), REFUSED)
async def test_entra_refuses_in_its_own_words(erp, form, status, error, number):
    """OAuth error, AADSTS number in code and text, trace and correlation ids."""
    answer = await erp.signs_in(**form)

    body = answer.json()
    assert (answer.status_code, body["error"], body["error_codes"]) == (status, error, [number])
    assert body["error_description"].startswith(f"AADSTS{number}: ")
    assert {"timestamp", "trace_id", "correlation_id", "error_uri"} <= set(body)


async def test_another_tenant_is_not_known(erp):
    """Entra names the tenant it cannot find."""
    answer = await erp.http.post("/elsewhere.example/oauth2/v2.0/token", data={})

    assert answer.status_code == 400
    assert answer.json()["error_codes"] == [90002]


async def test_a_token_ends_after_its_hour(erp, problem):
    """An expired token is the same 401 as no token."""
    erp.clock.passes(seconds=3598)
    assert (await erp.get("customers?$top=1")).status_code == 200

    erp.clock.passes(seconds=2)

    expired = problem(await erp.get("customers?$top=1"))
    assert expired[:2] == (401, "Authentication_InvalidCredentials")


@pytest.mark.parametrize("header", ["", "Bearer x.y.z", "Basic dXNlcjpwYXNz", "Bearer é.ü"])
async def test_a_foreign_token_opens_nothing(erp, problem, header):
    """No token, a forged one, another scheme."""
    del erp.http.headers["authorization"]

    answer = await erp.http.get(
        erp.url("customers"), headers={"authorization": header.encode("latin-1")}
    )

    assert problem(answer)[:2] == (401, "Authentication_InvalidCredentials")


async def test_an_app_that_the_company_does_not_list_gets_a_token_and_no_further(erp, problem):
    """Registered in Entra, missing on the company's page of applications."""
    unlisted = next(one for one in Tenant().principals if not one.enabled)

    assert (await erp.signs_in(client_id=unlisted.client_id)).status_code == 200

    refused = problem(await erp.get("customers"))
    assert refused[:2] == (401, "Authentication_InvalidCredentials")


async def test_a_token_outlives_a_restart(make_erp, tmp_path):
    """Tokens carry their own proof; the signing key is in the vault."""
    before = await make_erp(data=tmp_path).opens()
    before.vendor.close()

    after = make_erp(data=tmp_path)
    after.company = before.company
    after.http.headers["authorization"] = before.http.headers["authorization"]

    assert (await after.get("customers?$top=1")).status_code == 200


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        (f"/v2.0/{TENANT_ID}/nowhere/api/v2.0/companies", 404, "NoEnvironment"),
        (f"/v2.0/{TENANT_ID}/sandbox/api/v9.9/companies", 404, "BadRequest_NotFound"),
        (
            f"/v2.0/{TENANT_ID}/sandbox/api/v2.0/customers",
            400,
            "BadRequest_RequiredParamNotProvided",
        ),
        (
            f"/v2.0/{TENANT_ID}/sandbox/api/v2.0/customers?company=Elsewhere",
            404,
            "Internal_CompanyNotFound",
        ),
        ("/v2.0/other/sandbox/api/v2.0/companies", 401, "Authentication_InvalidCredentials"),
    ],
)
async def test_an_address_that_leads_nowhere_is_refused(erp, problem, path, status, code):
    """Environment, API version, company and tenant must all be there."""
    assert problem(await erp.http.get(path))[:2] == (status, code)


async def test_the_company_can_be_named_in_the_query(erp):
    """By name or id, for any set."""
    path = f"{erp.root}/v2.0/customers?company=Crossdock Trading&$top=1"

    assert len((await erp.http.get(path)).json()["value"]) == 1


async def test_companies_cannot_be_made_here(erp, problem):
    """POST there answers BadRequest_MethodNotAllowed."""
    answer = await erp.http.post(f"{erp.root}/v2.0/companies", json={"name": "Second"})

    assert problem(answer)[:2] == (400, "BadRequest_MethodNotAllowed")
