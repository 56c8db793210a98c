"""The vendors as simulators: one process, three mounts, and what no vendor gives.

Run it with ``python -m deploy.sandbox`` (``--help`` names every option). Beside the vendors it
answers

    GET    /_sandbox/healthz
    GET    /_sandbox/catalog                        customers, items and deals to try things with
    GET    /_sandbox/ledger?system=&since=          side effects as JSON lines: the oracle of tests
    POST   /_sandbox/faults                         {"system", "kind", "operation"?, "count"?, ...}
    GET    /_sandbox/faults                         rules in force, and how often each was acted out
    DELETE /_sandbox/faults?system=
    GET    /_sandbox/limits                         throttle answers that callers drew, by limit
    GET    /_sandbox/requests?system=&since=        the latest requests, with status and fault
    POST   /_sandbox/reset                          back to the start of time
    POST   /_sandbox/warehouse/ship|hold|count|expire-tokens    what the warehouse's people do

Business Central and Salesforce have such desks too, under their own mounts
(``/<vendor>/_sandbox/``).
"""
