"""The HTTP client of connectors: one call, one answer or one outcome (decision record 0002)."""

from runtime.http.channel import Channel, Exchange
from runtime.http.client import HttpAnswer, HttpClient, HttpSettings, decode
from runtime.http.tokens import Token, TokenSource

__all__ = [
    "Channel",
    "Exchange",
    "HttpAnswer",
    "HttpClient",
    "HttpSettings",
    "Token",
    "TokenSource",
    "decode",
]
