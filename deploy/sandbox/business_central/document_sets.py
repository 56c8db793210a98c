"""The sets of sales documents and their lines.

Names, lengths, enumeration values and read-only flags are those of the vendor's API pages (app
version 29).
"""

from deploy.sandbox.business_central.schema import EntitySet, Navigation, properties

__all__ = ["document_sets"]

_SALES_QUOTES = """
    id:guid! number:code20! externalDocumentNumber:code35 documentDate:date postingDate:date
    dueDate:date customerId:guid customerNumber:code20 customerName:text100! billToName:text100!
    billToCustomerId:guid billToCustomerNumber:code20 shipToName:text100 shipToContact:text100
    sellToAddressLine1:text100 sellToAddressLine2:text50 sellToCity:text30 sellToCountry:code10
    sellToState:text30 sellToPostCode:code20 billToAddressLine1:text100
    billToAddressLine2:text50 billToCity:text30 billToCountry:code10 billToState:text30
    billToPostCode:code20 shipToAddressLine1:text100 shipToAddressLine2:text50 shipToCity:text30
    shipToCountry:code10 shipToState:text30 shipToPostCode:code20 shortcutDimension1Code:code20
    shortcutDimension2Code:code20 currencyId:guid currencyCode:code paymentTermsId:guid
    shipmentMethodId:guid salesperson:code20 discountAmount:dec totalAmountExcludingTax:dec!
    totalTaxAmount:dec! totalAmountIncludingTax:dec!
    status:enum(Draft|Sent|Accepted|Expired_x0020_)! sentDate:stamp validUntilDate:date
    acceptedDate:date lastModifiedDateTime:stamp! phoneNumber:text30 email:text80
"""
_SALES_QUOTE_LINES = """
    id:guid! documentId:guid sequence:int itemId:guid accountId:guid
    lineType:enum(Comment|Account|Item|Resource|Fixed_x0020_Asset|Charge|Allocation_x0020_Account)
    lineObjectNumber:code20 description:text100 description2:text50 unitOfMeasureId:guid
    unitOfMeasureCode:code10 unitPrice:dec quantity:dec discountAmount:dec discountPercent:dec
    discountAppliedBeforeTax:bool! amountExcludingTax:dec! taxCode:code50 taxPercent:dec!
    totalTaxAmount:dec! amountIncludingTax:dec! netAmount:dec netTaxAmount:dec!
    netAmountIncludingTax:dec! itemVariantId:guid locationId:guid
"""
_SALES_ORDERS = """
    id:guid! number:code20! externalDocumentNumber:code35 orderDate:date postingDate:date
    customerId:guid customerNumber:code20 customerName:text100! billToName:text100!
    billToCustomerId:guid billToCustomerNumber:code20 shipToName:text100 shipToContact:text100
    sellToAddressLine1:text100 sellToAddressLine2:text50 sellToCity:text30 sellToCountry:code10
    sellToState:text30 sellToPostCode:code20 billToAddressLine1:text100!
    billToAddressLine2:text50! billToCity:text30! billToCountry:code10! billToState:text30!
    billToPostCode:code20! shipToAddressLine1:text100 shipToAddressLine2:text50
    shipToCity:text30 shipToCountry:code10 shipToState:text30 shipToPostCode:code20
    shortcutDimension1Code:code20 shortcutDimension2Code:code20 currencyId:guid
    currencyCode:code pricesIncludeTax:bool paymentTermsId:guid shipmentMethodId:guid
    salesperson:code20 partialShipping:bool requestedDeliveryDate:date discountAmount:dec
    discountAppliedBeforeTax:bool! totalAmountExcludingTax:dec! totalTaxAmount:dec!
    totalAmountIncludingTax:dec! fullyShipped:bool status:enum(Draft|In_x0020_Review|Open)!
    lastModifiedDateTime:stamp! phoneNumber:text30 email:text80
"""
_SALES_ORDER_LINES = """
    id:guid! documentId:guid sequence:int itemId:guid accountId:guid
    lineType:enum(Comment|Account|Item|Resource|Fixed_x0020_Asset|Charge|Allocation_x0020_Account)
    lineObjectNumber:code20 description:text100 description2:text50 unitOfMeasureId:guid
    unitOfMeasureCode:code10 quantity:dec unitPrice:dec discountAmount:dec discountPercent:dec
    discountAppliedBeforeTax:bool! amountExcludingTax:dec! taxCode:code50 taxPercent:dec!
    totalTaxAmount:dec! amountIncludingTax:dec! invoiceDiscountAllocation:dec! netAmount:dec!
    netTaxAmount:dec! netAmountIncludingTax:dec! shipmentDate:date shippedQuantity:dec
    invoicedQuantity:dec invoiceQuantity:dec shipQuantity:dec itemVariantId:guid locationId:guid
"""
_SALES_INVOICES = """
    id:guid! number:code20! externalDocumentNumber:code35 invoiceDate:date postingDate:date
    dueDate:date promisedPayDate:date customerPurchaseOrderReference:text35 customerId:guid
    customerNumber:code20 customerName:text100! billToName:text100! billToCustomerId:guid
    billToCustomerNumber:code20 shipToName:text100 shipToContact:text100
    sellToAddressLine1:text100 sellToAddressLine2:text50 sellToCity:text30 sellToCountry:code10
    sellToState:text30 sellToPostCode:code20 billToAddressLine1:text100!
    billToAddressLine2:text50! billToCity:text30! billToCountry:code10! billToState:text30!
    billToPostCode:code20! shipToAddressLine1:text100 shipToAddressLine2:text50
    shipToCity:text30 shipToCountry:code10 shipToState:text30 shipToPostCode:code20
    currencyId:guid shortcutDimension1Code:code20 shortcutDimension2Code:code20
    currencyCode:code orderId:guid! orderNumber:code20! paymentTermsId:guid
    shipmentMethodId:guid salesperson:code20 disputeStatusId:guid disputeStatus:code10
    pricesIncludeTax:bool! remainingAmount:dec! discountAmount:dec
    discountAppliedBeforeTax:bool! totalAmountExcludingTax:dec! totalTaxAmount:dec!
    totalAmountIncludingTax:dec!
    status:enum(_x0020_|Draft|In_x0020_Review|Open|Paid|Canceled|Corrective)!
    lastModifiedDateTime:stamp! phoneNumber:text30 email:text80
"""
_SALES_INVOICE_LINES = """
    id:guid! documentId:guid sequence:int itemId:guid accountId:guid
    lineType:enum(Comment|Account|Item|Resource|Fixed_x0020_Asset|Charge|Allocation_x0020_Account)
    lineObjectNumber:code20 description:text100 description2:text50 unitOfMeasureId:guid
    unitOfMeasureCode:code10 quantity:dec unitPrice:dec discountAmount:dec discountPercent:dec
    discountAppliedBeforeTax:bool! amountExcludingTax:dec! taxCode:code50 taxPercent:dec!
    totalTaxAmount:dec! amountIncludingTax:dec! invoiceDiscountAllocation:dec! netAmount:dec!
    netTaxAmount:dec! netAmountIncludingTax:dec! shipmentDate:date itemVariantId:guid
    locationId:guid
"""
_SALES_CREDIT_MEMOS = """
    id:guid! number:code20! externalDocumentNumber:code35 creditMemoDate:date postingDate:date
    dueDate:date customerId:guid customerNumber:code20 customerName:text100! billToName:text100!
    billToCustomerId:guid billToCustomerNumber:code20 sellToAddressLine1:text100
    sellToAddressLine2:text50 sellToCity:text30 sellToCountry:code10 sellToState:text30
    sellToPostCode:code20 billToAddressLine1:text100 billToAddressLine2:text50 billToCity:text30
    billToCountry:code10 billToState:text30 billToPostCode:code20 shortcutDimension1Code:code20
    shortcutDimension2Code:code20 currencyId:guid currencyCode:code paymentTermsId:guid
    shipmentMethodId:guid salesperson:code20 pricesIncludeTax:bool! discountAmount:dec
    discountAppliedBeforeTax:bool! totalAmountExcludingTax:dec! totalTaxAmount:dec!
    totalAmountIncludingTax:dec!
    status:enum(Draft|In_x0020_Review|Open|Canceled|Corrective|Paid)!
    lastModifiedDateTime:stamp! invoiceId:guid invoiceNumber:code20 phoneNumber:text30
    email:text80 customerReturnReasonId:guid
"""
_SALES_CREDIT_MEMO_LINES = """
    id:guid! documentId:guid sequence:int itemId:guid accountId:guid
    lineType:enum(Comment|Account|Item|Resource|Fixed_x0020_Asset|Charge|Allocation_x0020_Account)
    lineObjectNumber:code20 description:text100 description2:text50 unitOfMeasureId:guid
    unitOfMeasureCode:code10 unitPrice:dec quantity:dec discountAmount:dec discountPercent:dec
    discountAppliedBeforeTax:bool! amountExcludingTax:dec! taxCode:code50 taxPercent:dec!
    totalTaxAmount:dec! amountIncludingTax:dec! invoiceDiscountAllocation:dec! netAmount:dec!
    netTaxAmount:dec! netAmountIncludingTax:dec! shipmentDate:date itemVariantId:guid
    locationId:guid
"""
_SALES_SHIPMENTS = """
    id:guid! number:code20! externalDocumentNumber:code35 invoiceDate:date postingDate:date
    dueDate:date customerPurchaseOrderReference:text35 customerId:guid customerNumber:code20
    customerName:text100! billToCustomerId:guid billToName:text100! billToCustomerNumber:code20
    shipToName:text100 shipToContact:text100 sellToAddressLine1:text100
    sellToAddressLine2:text50 sellToCity:text30 sellToCountry:code10 sellToState:text30
    sellToPostCode:code20 billToAddressLine1:text100! billToAddressLine2:text50!
    billToCity:text30! billToCountry:code10! billToState:text30! billToPostCode:code20!
    shipToAddressLine1:text100 shipToAddressLine2:text50 shipToCity:text30 shipToCountry:code10
    shipToState:text30 shipToPostCode:code20 currencyCode:code orderNumber:code20!
    paymentTermsCode:code10 shipmentMethodCode:code10 salesperson:code20 pricesIncludeTax:bool!
    lastModifiedDateTime:stamp! phoneNumber:text30 email:text80
"""
_SALES_SHIPMENT_LINES = """
    id:guid! documentId:guid! documentNo:code20 sequence:int
    lineType:enum(_x0020_|G_x002F_L_x0020_Account|Item|Resource|Fixed_x0020_Asset|Charge_x0020__x0028_Item_x0029_|Allocation_x0020_Account)
    lineObjectNumber:code20 description:text100 description2:text50 unitOfMeasureCode:code10
    unitPrice:dec quantity:dec discountPercent:dec taxPercent:dec! shipmentDate:date
"""


def document_sets() -> dict[str, EntitySet]:
    """Every set of sales documents and of their lines by name."""
    posting = frozenset({"post", "postAndSend", "send", "cancel", "cancelAndSend"})
    sets = (
        *_with_lines(
            ("salesQuotes", "salesQuote", _SALES_QUOTES),
            _SALES_QUOTE_LINES,
            frozenset({"makeInvoice", "makeOrder", "send"}),
        ),
        *_with_lines(
            ("salesOrders", "salesOrder", _SALES_ORDERS),
            _SALES_ORDER_LINES,
            frozenset({"shipAndInvoice"}),
        ),
        *_with_lines(
            ("salesInvoices", "salesInvoice", _SALES_INVOICES),
            _SALES_INVOICE_LINES,
            posting | {"makeCorrectiveCreditMemo"},
        ),
        *_with_lines(
            ("salesCreditMemos", "salesCreditMemo", _SALES_CREDIT_MEMOS),
            _SALES_CREDIT_MEMO_LINES,
            posting,
        ),
        *_with_lines(
            ("salesShipments", "salesShipment", _SALES_SHIPMENTS),
            _SALES_SHIPMENT_LINES,
            frozenset(),
            written=False,
        ),
    )
    return {entity_set.name: entity_set for entity_set in sets}


def _with_lines(
    header: tuple[str, str, str], lines: str, actions: frozenset[str], *, written: bool = True
) -> tuple[EntitySet, EntitySet]:
    """A document's set and the set of its lines."""
    name, entity, table = header
    document = EntitySet(
        name=name,
        entity=entity,
        properties=properties(table),
        navigations={f"{entity}Lines": Navigation(entity_set=f"{entity}Lines")},
        insert=written,
        modify=written,
        delete=written,
        actions=actions,
    )
    line = EntitySet(
        name=f"{entity}Lines",
        entity=f"{entity}Line",
        properties=properties(lines),
        navigations={"location": Navigation(entity_set="locations", many=False)} if written else {},
        insert=written,
        modify=written,
        delete=written,
        parent=name,
    )
    return document, line
