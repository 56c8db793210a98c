"""The standard objects of quote-to-cash, with the fields of theirs that matter here.

Names, lengths and requirements are the object reference's; custom fields (``__c``) our package's.
"""

from deploy.sandbox.salesforce.declaring import (
    amount,
    choice,
    currency_code,
    date_field,
    flag,
    instant_field,
    link,
    number,
    text,
    whole,
)
from deploy.sandbox.salesforce.fields import Field
from deploy.sandbox.salesforce.objects import Schema, SObject
from deploy.sandbox.salesforce.package import package_objects

__all__ = ["ORDER_STATUSES", "STAGES", "Stage", "build_schema"]

Stage = tuple[int, bool, bool, str]  # probability, closed, won, forecast category

STAGES: dict[str, Stage] = {
    "Prospecting": (10, False, False, "Pipeline"),
    "Qualification": (10, False, False, "Pipeline"),
    "Needs Analysis": (20, False, False, "Pipeline"),
    "Value Proposition": (50, False, False, "Pipeline"),
    "Id. Decision Makers": (60, False, False, "Pipeline"),
    "Perception Analysis": (70, False, False, "Pipeline"),
    "Proposal/Price Quote": (75, False, False, "Pipeline"),
    "Negotiation/Review": (90, False, False, "Best Case"),
    "Closed Won": (100, True, True, "Closed"),
    "Closed Lost": (0, True, False, "Omitted"),
}
ORDER_STATUSES = {"Draft": "Draft", "Activated": "Activated"}  # label to status category


def build_schema() -> Schema:
    """Every object of the org."""
    return Schema((*_people(), *_catalogue(), *_deals(), *_orders(), _case(), *package_objects()))


def _address(prefix: str) -> tuple[Field, ...]:
    return (
        text(f"{prefix}Street", 255, "textarea"),
        text(f"{prefix}City", 40),
        text(f"{prefix}State", 80),
        text(f"{prefix}PostalCode", 20),
        text(f"{prefix}Country", 80),
    )


def _owner() -> Field:
    return link("OwnerId", "User", indexed=False)


def _people() -> tuple[SObject, ...]:
    organization = SObject(
        "Organization",
        "00D",
        "Organizations",
        (
            text("Name", 80),
            flag("IsSandbox"),
            text("InstanceName", 5),
            text("OrganizationType", 40),
        ),
        writable=False,
    )
    user = SObject(
        "User",
        "005",
        "Users",
        (text("Username", 80), text("Name", 121), text("Email", 128, "email"), flag("IsActive")),
        writable=False,
    )
    account = SObject(
        "Account",
        "001",
        "Accounts",
        (
            text("Name", 255, required=True, label="Account Name"),
            text("AccountNumber", 40),
            choice("Type", "Prospect", "Customer - Direct", "Customer - Channel", "Other"),
            choice("Industry", "Retail", "Manufacturing", "Other"),
            text("Phone", 40, "phone"),
            text("Website", 255, "url"),
            text("Description", 32000, "textarea"),
            *_address("Billing"),
            *_address("Shipping"),
            link("ParentId", "Account", children="ChildAccounts", label="Parent Account ID"),
            _owner(),
            currency_code(),
            text(
                "ERP_Customer_No__c",
                20,
                external_id=True,
                unique=True,
                indexed=True,
                label="ERP Customer No",
            ),
            choice("Credit_Status__c", "OK", "On Hold", "Blocked"),
            amount("Credit_Available__c"),
        ),
    )
    contact = SObject(
        "Contact",
        "003",
        "Contacts",
        (
            text("FirstName", 40),
            text("LastName", 80, required=True),
            text("Name", 121, read_only=True, label="Full Name"),
            link("AccountId", "Account", children="Contacts", cascades=True),
            text("Email", 80, "email", indexed=True),
            text("Phone", 40, "phone"),
            text("MobilePhone", 40, "phone"),
            text("Title", 128),
            *_address("Mailing"),
            _owner(),
            currency_code(),
        ),
    )
    return organization, user, account, contact


def _catalogue() -> tuple[SObject, ...]:
    product = SObject(
        "Product2",
        "01t",
        "Products",
        (
            text("Name", 255, required=True, label="Product Name"),
            text("ProductCode", 255, indexed=True),
            text("Description", 4000, "textarea"),
            flag("IsActive"),
            choice("Family"),
            choice("QuantityUnitOfMeasure", "PCS"),
            text("StockKeepingUnit", 180),
            currency_code(),
        ),
        label="Product",
    )
    book = SObject(
        "Pricebook2",
        "01s",
        "Price Books",
        (
            text("Name", 255, required=True, label="Price Book Name"),
            flag("IsActive"),
            flag("IsStandard", read_only=True),
            text("Description", 255),
        ),
        label="Price Book",
    )
    entry = SObject(
        "PricebookEntry",
        "01u",
        "Price Book Entries",
        (
            text("Name", 255, read_only=True, label="Product Name"),
            text("ProductCode", 255, read_only=True, indexed=True),
            link(
                "Pricebook2Id",
                "Pricebook2",
                children="PricebookEntries",
                required=True,
                updateable=False,
                cascades=True,
                label="Price Book ID",
            ),
            link(
                "Product2Id",
                "Product2",
                children="PricebookEntries",
                required=True,
                updateable=False,
                cascades=True,
                label="Product ID",
            ),
            amount("UnitPrice", required=True, label="List Price"),
            flag("IsActive"),
            flag("UseStandardPrice"),
            currency_code(updateable=False),
        ),
        label="Price Book Entry",
    )
    return product, book, entry


def _sale_line(parent: str, parent_field: str, children: str) -> tuple[Field, ...]:
    """What the lines of opportunities, quotes and orders share."""
    return (
        link(
            parent_field,
            parent,
            children=children,
            required=True,
            updateable=False,
            cascades=True,
        ),
        link("PricebookEntryId", "PricebookEntry", updateable=False, label="Price Book Entry ID"),
        link("Product2Id", "Product2", updateable=False, label="Product ID"),
        number("Quantity", required=True),
        amount("UnitPrice", label="Sales Price"),
        amount("TotalPrice"),
        amount("ListPrice", read_only=True),
        date_field("ServiceDate"),
        text("Description", 255),
        currency_code(read_only=True),
    )


def _deals() -> tuple[SObject, ...]:
    opportunity = SObject(
        "Opportunity",
        "006",
        "Opportunities",
        (
            text("Name", 120, required=True, label="Opportunity Name"),
            link("AccountId", "Account", children="Opportunities", cascades=True),
            choice("StageName", *STAGES, required=True, restricted=True, label="Stage"),
            date_field("CloseDate", required=True),
            amount("Amount"),
            number("Probability", 3, 0, kind="percent"),
            amount("ExpectedRevenue", read_only=True),
            number("TotalOpportunityQuantity"),
            link("Pricebook2Id", "Pricebook2", label="Price Book ID"),
            link("ContactId", "Contact", updateable=False),
            flag("IsClosed", read_only=True),
            flag("IsWon", read_only=True, indexed=True),
            choice("ForecastCategory", read_only=True),
            flag("HasOpportunityLineItem", read_only=True),
            instant_field("LastStageChangeDate", read_only=True),
            choice("Type", "New Business", "Existing Business"),
            text("NextStep", 255),
            choice("LeadSource"),
            text("Description", 32000, "textarea"),
            _owner(),
            currency_code(),
            text("PO_Number__c", 35, indexed=True),
            date_field("Requested_Delivery_Date__c"),
        ),
    )
    line = SObject(
        "OpportunityLineItem",
        "00k",
        "Opportunity Products",
        (
            *_sale_line("Opportunity", "OpportunityId", "OpportunityLineItems"),
            text("Name", 376, read_only=True),
            text("ProductCode", 255, read_only=True),
            amount("Subtotal", read_only=True),
            number("Discount", 5, 2, kind="percent"),
            whole("SortOrder"),
        ),
        label="Opportunity Product",
    )
    return opportunity, line, *_quotes()


def _quotes() -> tuple[SObject, ...]:
    quote = SObject(
        "Quote",
        "0Q0",
        "Quotes",
        (
            text("Name", 255, required=True, label="Quote Name"),
            text("QuoteNumber", 30, read_only=True),
            link(
                "OpportunityId",
                "Opportunity",
                children="Quotes",
                required=True,
                updateable=False,
                cascades=True,
            ),
            link("AccountId", "Account", read_only=True),
            link("ContactId", "Contact"),
            link("Pricebook2Id", "Pricebook2", label="Price Book ID"),
            choice(
                "Status",
                "Draft",
                "Needs Review",
                "In Review",
                "Approved",
                "Rejected",
                "Presented",
                "Accepted",
                "Denied",
                default="Draft",
            ),
            date_field("ExpirationDate"),
            amount("Subtotal", read_only=True),
            amount("TotalPrice", read_only=True),
            amount("Tax"),
            amount("ShippingHandling"),
            amount("GrandTotal", read_only=True),
            whole("LineItemCount", read_only=True),
            flag("IsSyncing", read_only=True),
            text("Email", 80, "email"),
            text("Phone", 40, "phone"),
            text("Description", 32000, "textarea"),
            _owner(),
            currency_code(read_only=True),
        ),
        auto_field="QuoteNumber",
    )
    line = SObject(
        "QuoteLineItem",
        "0QL",
        "Quote Line Items",
        (
            *_sale_line("Quote", "QuoteId", "QuoteLineItems"),
            amount("Subtotal", read_only=True),
            number("Discount", 5, 2, kind="percent"),
            whole("SortOrder"),
        ),
        label="Quote Line Item",
    )
    return quote, line


def _orders() -> tuple[SObject, ...]:
    order = SObject(
        "Order",
        "801",
        "Orders",
        (
            text("OrderNumber", 30, read_only=True, indexed=True),
            text("Name", 80, label="Order Name"),
            link("AccountId", "Account", children="Orders"),
            link("OpportunityId", "Opportunity", children="Orders"),
            link("QuoteId", "Quote", children="Orders"),
            link("Pricebook2Id", "Pricebook2", label="Price Book ID"),
            date_field("EffectiveDate", required=True, label="Order Start Date"),
            date_field("EndDate"),
            choice("Status", *ORDER_STATUSES, required=True, restricted=True),
            choice("StatusCode", "Draft", "Activated", read_only=True),
            choice("Type"),
            text("PoNumber", 80, indexed=True),
            date_field("PoDate"),
            text("OrderReferenceNumber", 80, indexed=True),
            text("Description", 32000, "textarea"),
            amount("TotalAmount", read_only=True),
            instant_field("ActivatedDate", read_only=True),
            link("ActivatedById", "User", read_only=True),
            *_address("Billing"),
            *_address("Shipping"),
            _owner(),
            currency_code(),
        ),
        auto_field="OrderNumber",
    )
    item = SObject(
        "OrderItem",
        "802",
        "Order Products",
        (
            *_sale_line("Order", "OrderId", "OrderItems"),
            text("OrderItemNumber", 30, read_only=True),
            number("AvailableQuantity", read_only=True),
            date_field("EndDate"),
        ),
        label="Order Product",
        auto_field="OrderItemNumber",
        auto_number="{:010d}",
    )
    return order, item


def _case() -> SObject:
    return SObject(
        "Case",
        "500",
        "Cases",
        (
            text("CaseNumber", 30, read_only=True, indexed=True),
            text("Subject", 255),
            text("Description", 32000, "textarea"),
            choice("Status", "New", "Working", "Escalated", "Closed", default="New"),
            choice("Origin", "Email", "Phone", "Web"),
            choice("Priority", "High", "Medium", "Low", default="Medium"),
            choice("Type"),
            choice("Reason"),
            link("AccountId", "Account", children="Cases"),
            link("ContactId", "Contact", children="Cases"),
            text("SuppliedName", 80),
            text("SuppliedEmail", 80, "email"),
            text("SuppliedPhone", 40, "phone"),
            text("SuppliedCompany", 80),
            flag("IsClosed", read_only=True),
            instant_field("ClosedDate", read_only=True),
            _owner(),
            currency_code(),
        ),
        auto_field="CaseNumber",
    )
