"""The sets of master data: customers, items and what they refer to.

Names, lengths, enumeration values and read-only flags are those of the vendor's API pages (app
version 29). ``code`` is written between quotation marks in those pages' source and is in the
vendor's reference pages.
"""

from deploy.sandbox.business_central.schema import EntitySet, Navigation, properties

__all__ = ["master_sets"]

_CUSTOMERS = """
    id:guid! number:code20 displayName:text100 type:enum(Company|Person) addressLine1:text100
    addressLine2:text50 city:text30 state:text30 country:code10 postalCode:code20
    phoneNumber:text30 email:text80 website:text255 salespersonCode:code20 balanceDue:dec!
    creditLimit:dec taxLiable:bool taxAreaId:guid taxAreaDisplayName:text!
    taxRegistrationNumber:text50 currencyId:guid currencyCode:code paymentTermsId:guid
    shipmentMethodId:guid paymentMethodId:guid blocked:enum(_x0020_|Ship|Invoice|All)
    lastModifiedDateTime:stamp
"""
_CUSTOMER_FINANCIAL_DETAILS = """
    id:guid! number:code20! balance:dec! totalSalesExcludingTax:dec! overdueAmount:dec!
    lastModifiedDateTime:stamp
"""
_ITEMS = """
    id:guid! number:code20 displayName:text100 displayName2:text50
    type:enum(Inventory|Service|Non_x002D_Inventory) itemCategoryId:guid itemCategoryCode:code20
    blocked:bool gtin:code14 inventory:dec unitPrice:dec priceIncludesTax:bool unitCost:dec
    taxGroupId:guid taxGroupCode:code20 baseUnitOfMeasureId:guid baseUnitOfMeasureCode:code10
    generalProductPostingGroupId:guid generalProductPostingGroupCode:code20
    inventoryPostingGroupId:guid inventoryPostingGroupCode:code20 lastModifiedDateTime:stamp!
"""
_ITEM_CATEGORIES = """
    id:guid! code:code20 displayName:text100 lastModifiedDateTime:stamp
"""
_LOCATIONS = """
    id:guid! code:code10 displayName:text100 contact:text100 addressLine1:text100
    addressLine2:text50 city:text30 state:text30 country:code10 postalCode:code20
    phoneNumber:text30 email:text80 website:text255 lastModifiedDateTime:stamp!
"""
_CURRENCIES = """
    id:guid! code:code10 displayName:text30 symbol:text10 amountDecimalPlaces:text5
    amountRoundingPrecision:dec lastModifiedDateTime:stamp
"""
_CURRENCY_EXCHANGE_RATES = """
    id:guid currencyCode:code10 startingDate:date exchangeRateAmount:dec
    relationalCurrencyCode:code10 relationalExchangeRateAmount:dec lastModifiedDateTime:stamp
"""
_TAX_AREAS = """
    id:guid! code:code20 displayName:text100 taxType:enum(Sales_x0020_Tax|VAT)!
    lastModifiedDateTime:stamp!
"""
_TAX_GROUPS = """
    id:guid! code:code20 displayName:text100 taxType:enum(Sales_x0020_Tax|VAT)!
    lastModifiedDateTime:stamp
"""
_PAYMENT_TERMS = """
    id:guid! code:code10 displayName:text100 dueDateCalculation:text
    discountDateCalculation:text discountPercent:dec calculateDiscountOnCreditMemos:bool
    lastModifiedDateTime:stamp
"""
_SHIPMENT_METHODS = """
    id:guid! code:code10 displayName:text100 lastModifiedDateTime:stamp
"""
_PAYMENT_METHODS = """
    id:guid! code:code10 displayName:text100 lastModifiedDateTime:stamp
"""
_CUSTOMER_RETURN_REASONS = """
    id:guid! code:code10 description:text100 lastModifiedDateTime:stamp!
"""
_UNITS_OF_MEASURE = """
    id:guid! code:code10 displayName:text50 internationalStandardCode:code10 symbol:text10
    lastModifiedDateTime:stamp
"""
_CUSTOMER_PAYMENT_JOURNALS = """
    id:guid! code:code10 displayName:text100 lastModifiedDateTime:stamp balancingAccountId:guid
    balancingAccountNumber:code20!
"""
_CUSTOMER_PAYMENTS = """
    id:guid! journalId:guid journalDisplayName:code10 lineNumber:int customerId:guid
    customerNumber:code20 postingDate:date documentNumber:code20 externalDocumentNumber:code35
    amount:dec appliesToInvoiceId:guid appliesToInvoiceNumber:code20 description:text100
    comment:text250 lastModifiedDateTime:stamp!
"""
_ITEM_LEDGER_ENTRIES = """
    id:guid! entryNumber:int! itemNumber:code20 postingDate:date
    entryType:enum(Purchase|Sale|Positive_x0020_Adjmt_x002E_|Negative_x0020_Adjmt_x002E_|Transfer|Consumption|Output|_x0020_|Assembly_x0020_Consumption|Assembly_x0020_Output)
    sourceNumber:code20 sourceType:enum(_x0020_|Customer|Vendor|Item) documentNumber:code20
    documentType:enum(_x0020_|Sales_x0020_Shipment|Sales_x0020_Invoice|Sales_x0020_Return_x0020_Receipt|Sales_x0020_Credit_x0020_Memo|Purchase_x0020_Receipt|Purchase_x0020_Invoice|Purchase_x0020_Return_x0020_Shipment|Purchase_x0020_Credit_x0020_Memo|Transfer_x0020_Shipment|Transfer_x0020_Receipt|Service_x0020_Shipment|Service_x0020_Invoice|Service_x0020_Credit_x0020_Memo|Posted_x0020_Assembly|Inventory_x0020_Receipt|Inventory_x0020_Shipment|Direct_x0020_Transfer)
    description:text100 quantity:dec salesAmountActual:dec costAmountActual:dec
    lastModifiedDateTime:stamp
"""


def master_sets() -> dict[str, EntitySet]:
    """Every set of master data by name."""
    sets = (
        EntitySet(
            name="customers",
            entity="customer",
            properties=properties(_CUSTOMERS),
            navigations={
                "customerFinancialDetail": Navigation(
                    entity_set="customerFinancialDetails", many=False
                )
            },
        ),
        _read_only(
            "customerFinancialDetails", "customerFinancialDetail", _CUSTOMER_FINANCIAL_DETAILS
        ),
        EntitySet(
            name="items",
            entity="item",
            properties=properties(_ITEMS),
            navigations={"unitOfMeasure": Navigation(entity_set="unitsOfMeasure", many=False)},
        ),
        EntitySet(
            name="customerPaymentJournals",
            entity="customerPaymentJournal",
            properties=properties(_CUSTOMER_PAYMENT_JOURNALS),
            navigations={"customerPayments": Navigation(entity_set="customerPayments")},
        ),
        EntitySet(
            name="customerPayments",
            entity="customerPayment",
            properties=properties(_CUSTOMER_PAYMENTS),
            parent="customerPaymentJournals",
        ),
        _read_only("itemLedgerEntries", "itemLedgerEntry", _ITEM_LEDGER_ENTRIES),
        _read_only("currencyExchangeRates", "currencyExchangeRate", _CURRENCY_EXCHANGE_RATES),
        *(
            EntitySet(name=name, entity=entity, properties=properties(table))
            for name, entity, table in (
                ("itemCategories", "itemCategory", _ITEM_CATEGORIES),
                ("locations", "location", _LOCATIONS),
                ("currencies", "currency", _CURRENCIES),
                ("taxAreas", "taxArea", _TAX_AREAS),
                ("taxGroups", "taxGroup", _TAX_GROUPS),
                ("paymentTerms", "paymentTerm", _PAYMENT_TERMS),
                ("shipmentMethods", "shipmentMethod", _SHIPMENT_METHODS),
                ("paymentMethods", "paymentMethod", _PAYMENT_METHODS),
                ("unitsOfMeasure", "unitOfMeasure", _UNITS_OF_MEASURE),
                ("customerReturnReasons", "customerReturnReason", _CUSTOMER_RETURN_REASONS),
            )
        ),
    )
    return {entity_set.name: entity_set for entity_set in sets}


def _read_only(name: str, entity: str, table: str) -> EntitySet:
    return EntitySet(
        name=name,
        entity=entity,
        properties=properties(table),
        insert=False,
        modify=False,
        delete=False,
    )
