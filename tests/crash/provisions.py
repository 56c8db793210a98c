"""What a campaign finds in the vendors: credit and stock enough for as many orders as it places."""

from pyreqwest.client import Client

from deploy.sandbox.credentials import APP_ID, APP_SECRET, ENVIRONMENT, TENANT_ID

LIMIT = 900_000_000
"""Of credit, in the company's currency: a limit, so that exposure is counted, and never reached."""


async def grant_credit(client: Client, sandbox: str, customers: list[str]) -> None:
    """Raise the credit limit of these customers through the ERP's own API."""
    vendor = f"{sandbox}/business_central"
    form = {
        "grant_type": "client_credentials",
        "client_id": APP_ID,
        "client_secret": APP_SECRET,
        "scope": "https://api.businesscentral.dynamics.com/.default",
    }
    token_url = f"{vendor}/{TENANT_ID}/oauth2/v2.0/token"
    signed_in = await (await client.post(token_url).form(form).build().send()).json()
    headers = {"authorization": f"Bearer {signed_in['access_token']}"}
    api = f"{vendor}/v2.0/{TENANT_ID}/{ENVIRONMENT}/api/v2.0"
    companies = await _read(client, f"{api}/companies", headers)
    found = f"{api}/companies({companies[0]['id']})/customers"
    for number in customers:
        url = f"{found}?$filter=number%20eq%20'{number}'"
        (customer,) = await _read(client, url, headers)
        answer = await (
            client.patch(f"{found}({customer['id']})")
            .headers({**headers, "if-match": customer["@odata.etag"]})
            .body_json({"creditLimit": LIMIT})
            .build()
            .send()
        )
        assert answer.status == 200, await answer.text()


async def _read(client: Client, url: str, headers: dict[str, str]) -> list[dict]:
    response = await client.get(url).headers(headers).build().send()
    assert response.status == 200, await response.text()
    return (await response.json())["value"]


PIECES = 10_000_000
"""On hand of each item in each warehouse."""


async def fill_shelves(client: Client, sandbox: str, catalog: dict) -> None:
    """Count so much of every item that can be ordered into every warehouse."""
    items = catalog["items"]
    found = items.values() if isinstance(items, dict) else items
    for item in found:
        if item.get("blocked") or not item.get("stock"):
            continue
        for warehouse in item["stock"]:
            url = f"{sandbox}/_sandbox/warehouse/count"
            body = {"sku": item["number"], "warehouse": warehouse, "onHand": PIECES}
            answer = await client.post(url).body_json(body).build().send()
            assert answer.status == 200, await answer.text()
