"""Vendors tell us what changed because we asked them to, and go on because we ask again."""

import asyncio
from collections import Counter
from decimal import Decimal

import pytest

from contracts.canonical.ids import item_id
from contracts.canonical.money import money
from contracts.canonical.party import Address
from contracts.ports.wms import ReleaseOrder, WarehouseLine
from system_apis.erp.business_central import notifications as business_central
from system_apis.wms.shiphero import notifications as shiphero
from tests.connected import SMALL, connected
from tests.serving import serving

pytestmark = pytest.mark.anyio

ITEMS = [item for item in SMALL.items.values() if min(item.stock.values()) > 50][:2]


class Listener:
    """Answers handshakes and keeps what it is told."""

    def __init__(self):
        self.told = []
        self.handshakes = 0
        self.news = asyncio.Event()

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return
        query = dict(part.split("=") for part in scope["query_string"].decode().split("&") if part)
        token = business_central.handshake(query)
        if token is not None:
            self.handshakes += 1
        else:
            headers = {name.decode(): value.decode() for name, value in scope["headers"]}
            self.told.append(((await receive())["body"], headers))
            self.news.set()
        body = token or shiphero.ACKNOWLEDGEMENT
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def is_told(self, kind=b"", times=1):
        """Wait for so many messages that contain `kind`."""
        async with asyncio.timeout(5):
            while True:
                matching = [message for message in self.told if kind in message[0]]
                if len(matching) >= times:
                    return matching
                self.news.clear()
                await self.news.wait()


async def test_the_erp_tells_what_changed_and_is_asked_only_once():
    listener = Listener()
    async with serving(listener) as url, connected(webhook_secrets=("s3cret",)) as vendors:
        assert await vendors.erp.keep_subscribed(url) == 4
        assert await vendors.erp.keep_subscribed(url) == 0
        assert listener.handshakes == 4
        company = vendors.erp._company
        from system_apis.erp.business_central import wire

        page = await company.read("items?$top=1", wire.items_decoder)
        answer = await company._get(f"{company._api}/companies({company._id})/items?$top=1")
        identity = answer.body.split(b'"id":"')[1].split(b'"')[0].decode()
        await company.write(
            "PATCH", f"items({identity})", body=b'{"unitPrice":9.5}', headers={"if-match": "*"}
        )
        ((body, _),) = await listener.is_told()
    assert page.value
    assert business_central.verified(body, ["s3cret"])
    (notice,) = business_central.parse(body)
    assert (notice.records, notice.record) == ("items", identity)


async def test_the_warehouse_signs_what_it_tells_and_each_package_is_told():
    listener = Listener()
    async with serving(listener) as url, connected() as vendors:
        await vendors.wms.register_webhooks(url)
        secrets = await vendors.wms.register_webhooks(url)  # a secret that was lost is made anew
        lines = tuple(
            WarehouseLine(
                number=at, item=item_id(item.number), quantity=Decimal(4),
                unit_price=money(3, "GBP"), description="x",
            )
            for at, item in enumerate(ITEMS, 1)
        )  # fmt: skip
        to = Address(street="1 Quay", city="Leeds", country="GB", name="Goods in")
        await vendors.wms.release(
            ReleaseOrder(reference="INV-1", lines=lines, ship_to=to, total=money(24, "GBP"))
        )
        await ships(vendors, packages=2)
        told = await listener.is_told(b"Shipment Update", 2)
    assert all(shiphero.verified(body, headers, secrets) for body, headers in told)
    assert not any(shiphero.verified(body, headers, ["x"]) for body, headers in told)
    notices = [shiphero.parse(body, headers) for body, headers in told]
    packages = [notice for notice in notices if isinstance(notice, shiphero.PackageShipped)]
    assert sorted(package.package for package in packages) == [1, 2]
    assert {package.packages for package in packages} == {2}
    shipped = Counter()
    for package in packages:
        for part in package.lines:
            shipped[part.item] += part.quantity
    assert shipped == {line.item: 4 for line in lines}


async def ships(vendors, packages):
    """The warehouse packs an order."""
    from deploy.sandbox.wire import Request

    body = b'{"orderNumber":"INV-1","packages":%d}' % packages
    scope = {"method": "POST", "path": "/_sandbox/warehouse/ship", "headers": []}
    reply = await vendors.sandbox.vendors.mounted["shiphero"].floor.answer(Request(scope, body))
    assert reply.status < 300, reply.body
