"""The objects of our managed package: what the integration tells sales about an order."""

from deploy.sandbox.salesforce.declaring import (
    amount,
    currency_code,
    date_field,
    instant_field,
    link,
    number,
    text,
)
from deploy.sandbox.salesforce.fields import Field
from deploy.sandbox.salesforce.objects import SObject

__all__ = ["package_objects"]


def package_objects() -> tuple[SObject, ...]:
    """``ERP_Order__c``, ``Shipment__c`` and ``ERP_Invoice__c``."""
    return _order(), _shipment(), _invoice()


def _key(name: str, length: int) -> Field:
    """A unique external id that tells upper from lower case, as references of other systems may."""
    return text(
        name,
        length,
        external_id=True,
        unique=True,
        indexed=True,
        case_sensitive=True,
        required=True,
    )


def _order() -> SObject:
    return SObject(
        "ERP_Order__c",
        "a00",
        "ERP Orders",
        (
            text("Name", 80, read_only=True, label="ERP Order Number"),
            _key("Reference__c", 35),
            link("Opportunity__c", "Opportunity", children="ERP_Orders__r"),
            link("Account__c", "Account", children="ERP_Orders__r"),
            text("Status__c", 40),
            text("Credit_Status__c", 40),
            text("Fulfilment_Status__c", 40),
            text("Billing_Status__c", 40),
            text("Hold_Reason__c", 255),
            text("Message__c", 4000, "textarea"),
            text("ERP_Order_No__c", 35, indexed=True),
            text("Warehouse_Order_No__c", 35, indexed=True),
            text("Order_Id__c", 64, indexed=True),
            amount("Net_Amount__c"),
            text("Currency__c", 3),
            number("Version__c", 18, 0),
            link("OwnerId", "User", indexed=False),
            currency_code(),
        ),
        label="ERP Order",
        auto_field="Name",
        auto_number="EO-{:06d}",
    )


def _shipment() -> SObject:
    return SObject(
        "Shipment__c",
        "a01",
        "Shipments",
        (
            text("Name", 80, read_only=True, label="Shipment Number"),
            _key("Shipment_No__c", 50),
            link("ERP_Order__c", "ERP_Order__c", children="Shipments__r", cascades=True),
            text("Tracking_No__c", 80, external_id=True, indexed=True),
            text("Carrier__c", 80),
            text("Warehouse__c", 20),
            text("Status__c", 40),
            number("Quantity__c", 18, 2),
            instant_field("Shipped_At__c"),
            instant_field("Delivered_At__c"),
            number("Version__c", 18, 0),
            currency_code(),
        ),
        label="Shipment",
        auto_field="Name",
        auto_number="SH-{:06d}",
    )


def _invoice() -> SObject:
    return SObject(
        "ERP_Invoice__c",
        "a02",
        "ERP Invoices",
        (
            text("Name", 80, read_only=True, label="ERP Invoice Number"),
            _key("Invoice_No__c", 35),
            link("ERP_Order__c", "ERP_Order__c", children="ERP_Invoices__r", cascades=True),
            link("Account__c", "Account", children="ERP_Invoices__r"),
            date_field("Invoice_Date__c"),
            date_field("Due_Date__c"),
            amount("Net_Amount__c"),
            amount("Tax_Amount__c"),
            amount("Total_Amount__c"),
            amount("Remaining_Amount__c"),
            text("Currency__c", 3),
            text("Status__c", 40),
            date_field("Paid_On__c"),
            number("Version__c", 18, 0),
            currency_code(),
        ),
        label="ERP Invoice",
        auto_field="Name",
        auto_number="INV-{:06d}",
    )
