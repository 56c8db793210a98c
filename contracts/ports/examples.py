"""Examples of the contracts: a customer, items and a deal that the sandbox's catalogue holds.

A reader can send them to a started sandbox as they stand; so does the contract test.
"""

from typing import Any, Final

CUSTOMER: Final = "bc:20001"
ITEM: Final = "bc:10001"
DEAL: Final = "sf:0065g000000264WAAQ"
PRODUCT: Final = "sf:01t5g0000000Q0uAAE"
CURRENCY: Final = "EUR"

LINES: Final[tuple[dict[str, Any], ...]] = (
    {"item": ITEM, "quantity": "12"},
    {"item": "bc:10006", "quantity": "2"},
)
AVAILABILITY_CHECK: Final = {"lines": LINES}
PRICE_CHECK: Final = {"customer": CUSTOMER, "lines": LINES}
CREDIT_CHECK: Final = {"customer": CUSTOMER, "amount": {"amount": "250.00", "currency": "GBP"}}
TAX_CHECK: Final = PRICE_CHECK
QUOTE_CHECK: Final = PRICE_CHECK
ORDER: Final = {
    "customer": CUSTOMER,
    "currency": "GBP",
    "lines": LINES,
    "poNumber": "PO-1207",
    "requestedDeliveryDate": "2026-12-07",
}
CREDIT: Final = {
    "customer": CUSTOMER,
    "currency": "GBP",
    "lines": ({"item": ITEM, "quantity": "1"},),
    "note": "One arrived broken",
}
CANCELLATION: Final = {"reason": "Ordered twice by mistake"}
APPROVAL: Final = {"decision": "approve", "note": "Agreed with the customer for this quarter"}
REMEDY: Final = {"action": "retry", "note": "The master data has been completed"}
REDRIVE: Final = {
    "selection": {"category": "time-out"},
    "action": "retry",
    "note": "The ERP is back",
}
REDRIVE_CHANGE: Final = {"action": "cancel", "note": "The ERP is down again"}
RETELLING: Final = {"note": "The CRM was restored from yesterday's backup"}
REDELIVERY: Final = {"note": "The field is back in the CRM"}
RESET: Final = {"action": "reset", "note": "The vendor says it is mended"}

CANONICAL_CUSTOMER: Final = "cust_20001"
CANONICAL_ITEM: Final = "item_10001"
REFERENCE: Final = "INV-1207"
NOBODYS_REFERENCE: Final = "INV-0000"
_ADDRESS: Final = {
    "name": "Garrick Brighton Garden Centres PLC",
    "street": "14 Station Road",
    "city": "Brighton",
    "postcode": "BN1 3XP",
    "country": "GB",
}
PRICE_ENQUIRY: Final = {"customer": CANONICAL_CUSTOMER, "items": (CANONICAL_ITEM,)}
PRODUCT_ENQUIRY: Final = {"products": (PRODUCT,)}
STOCK_ENQUIRY: Final = {"items": (CANONICAL_ITEM,)}
ERP_ORDER: Final = {
    "reference": REFERENCE,
    "customer": CANONICAL_CUSTOMER,
    "currency": "GBP",
    "lines": ({"item": CANONICAL_ITEM, "quantity": "12"},),
}
SHIPMENT_TO_POST: Final = {
    "reference": REFERENCE,
    "customer": CANONICAL_CUSTOMER,
    "shipment": "60000001/1",
    "lines": ({"item": CANONICAL_ITEM, "quantity": "5"},),
    "shippedAt": "2026-11-22T09:00:00Z",
    "trackingNumber": "XD6000000101GB",
}
ERP_CANCELLATION: Final = {"reference": NOBODYS_REFERENCE, "customer": CANONICAL_CUSTOMER}
CREDIT_MEMO: Final = {
    "memo": {
        "reference": "INV-1207-C",
        "customer": CANONICAL_CUSTOMER,
        "currency": "GBP",
        "lines": (
            {
                "item": CANONICAL_ITEM,
                "quantity": "1",
                "unitPrice": {"amount": "19.57", "currency": "GBP"},
                "netAmount": {"amount": "19.57", "currency": "GBP"},
            },
        ),
        "against": (REFERENCE,),
    }
}
RELEASE: Final = {
    "reference": REFERENCE,
    "lines": (
        {
            "number": 1,
            "item": CANONICAL_ITEM,
            "quantity": "12",
            "unitPrice": {"amount": "19.57", "currency": "GBP"},
            "description": "Glazed Navy Candle Holder",
        },
    ),
    "shipTo": _ADDRESS,
    "total": {"amount": "234.84", "currency": "GBP"},
    "warehouse": "EAST",
}
HOLD: Final = {"reference": REFERENCE, "held": True}
RELEASE_CANCELLATION: Final = {"reference": NOBODYS_REFERENCE, "reason": "Ordered twice by mistake"}
ORDER_REPORTS: Final = {
    "reports": (
        {
            "reference": REFERENCE,
            "version": 1,
            "order": "ord_06fkz5s0xq8d2vqk9b3cnh7e4w",
            "customer": CANONICAL_CUSTOMER,
            "commercial": "confirmed",
            "credit": "approved",
            "fulfilment": "released",
            "billing": "not-invoiced",
            "netAmount": {"amount": "234.84", "currency": "GBP"},
            "message": "Confirmed; the warehouse is picking it.",
        },
    )
}
DOCUMENT_REPORTS: Final = {
    "reports": (
        {
            "reference": REFERENCE,
            "version": 1,
            "order": "ord_06fkz5s0xq8d2vqk9b3cnh7e4w",
            "kind": "invoice",
            "number": "PS-INV103001",
            "on": "2026-11-22",
            "amount": {"amount": "281.81", "currency": "GBP"},
            "remaining": {"amount": "281.81", "currency": "GBP"},
        },
    )
}
SALE: Final = {
    "shipToCountry": "GB",
    "currency": "GBP",
    "lines": (
        {
            "item": CANONICAL_ITEM,
            "quantity": "12",
            "netAmount": {"amount": "234.84", "currency": "GBP"},
            "taxGroup": "STANDARD",
        },
    ),
}
