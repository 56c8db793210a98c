"""Short words to declare fields with, so that an object reads as a table."""

from typing import Any

from deploy.sandbox.salesforce.fields import Field, Kind

__all__ = [
    "amount",
    "choice",
    "currency_code",
    "date_field",
    "flag",
    "instant_field",
    "link",
    "number",
    "text",
    "whole",
]

CURRENCIES = ("GBP", "EUR", "USD", "SEK", "PLN", "CHF")


def text(name: str, length: int = 255, kind: Kind = "string", **options: Any) -> Field:
    """Words up to ``length`` characters."""
    return _field(name, kind=kind, length=length, **options)


def choice(name: str, *values: str, **options: Any) -> Field:
    """A picklist; unless ``restricted`` it takes other words too."""
    return _field(name, kind="picklist", length=255, values=values, **options)


def amount(name: str, **options: Any) -> Field:
    """Money: 18 digits, 2 of them decimals."""
    return _field(name, kind="currency", precision=18, scale=2, **options)


def number(name: str, precision: int = 18, scale: int = 2, **options: Any) -> Field:
    """A decimal number."""
    return _field(name, **{"kind": "double", "precision": precision, "scale": scale, **options})


def whole(name: str, **options: Any) -> Field:
    """A 32-bit whole number."""
    return _field(name, kind="int", precision=9, **options)


def flag(name: str, *, default: bool = False, **options: Any) -> Field:
    """A checkbox."""
    return _field(name, kind="boolean", default=default, **options)


def date_field(name: str, **options: Any) -> Field:
    """A day."""
    return _field(name, kind="date", **options)


def instant_field(name: str, **options: Any) -> Field:
    """An instant."""
    return _field(name, kind="datetime", **options)


def link(name: str, *references: str, **options: Any) -> Field:
    """A reference; the relationship's name follows from the field's unless given."""
    relationship = name[:-1] + "r" if name.endswith("__c") else name.removesuffix("Id")
    return _field(
        name,
        **{
            "kind": "reference",
            "references": references,
            "relationship": relationship,
            "indexed": True,
            **options,
        },
    )


def currency_code(**options: Any) -> Field:
    """The record's currency; the org has several."""
    return choice(
        "CurrencyIsoCode",
        *CURRENCIES,
        **{"label": "Currency ISO Code", "restricted": True, "default": "GBP", **options},
    )


def _field(name: str, *, read_only: bool = False, **options: Any) -> Field:
    if read_only:
        options.update(createable=False, updateable=False)
    return Field(name=name, **{"label": _label(name), **options})


def _label(name: str) -> str:
    if name.endswith("__c"):
        return name.removesuffix("__c").replace("_", " ")
    words = ""
    for at, char in enumerate(name):
        if at and char.isupper() and not name[at - 1].isupper():
            words += " "
        words += char
    return words.removesuffix(" Id") + " ID" if words.endswith(" Id") else words
