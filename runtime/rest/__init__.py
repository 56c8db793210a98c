"""Ports over HTTP: Litestar routes for whoever implements one, a client for whoever calls it.

Both are read from the same declaration (`contracts.ports.binding`), so that a tier can be bound in
process or deployed apart without a line of its code changing.
"""
