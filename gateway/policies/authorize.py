"""authorize: the scopes an operation asks for, and the context the tiers act within.

Which rows a consumer may see is decided where the rows are, from `accounts` in the call context; a
foreign id answers 404 there, so that guessing learns nothing. The inner tiers and operations look
at everybody's rows: who may act for some accounts only is refused there, whatever its scopes.
"""

from collections.abc import Sequence
from typing import Final

from contracts.problems import problem
from gateway.call import PASS, Call, ConfigFault, Finding, Refuse, Step, Verdict
from gateway.faults import choices
from gateway.routes import Operation

_INTERNAL: Final = ("process/", "system/", "operations/", "gateway/")
"""APIs of the company's own people and programs; channels speak for accounts."""


class Authorize:
    """Holds consumers to their scopes."""

    name = "authorize"

    def __init__(self, *, metadata_url: str) -> None:
        self._metadata_url = metadata_url

    async def provision(self) -> None:
        """Need nothing."""

    def check(self, operations: Sequence[Operation], /) -> list[ConfigFault]:
        """An operation that asks for a credential must ask for at least one scope."""
        return [
            ConfigFault(
                place=operation.key,
                value="security without scopes",
                allowed="at least one scope in every alternative",
                remedy="Name the scope, or declare `security: []` for a public operation.",
            )
            for operation in operations
            if operation.scopes is not None and not all(operation.scopes)
        ]

    async def close(self) -> None:
        """Hold nothing."""

    def compile(self, operation: Operation) -> tuple[Step, ...]:
        """Apply where the contract names scopes."""
        alternatives = operation.scopes
        if alternatives is None:
            return ()
        fewest = min(len(each) for each in alternatives)
        wanted = " ".join(sorted(next(each for each in alternatives if len(each) == fewest)))
        challenge = (
            f'Bearer realm="crossdock", resource_metadata="{self._metadata_url}", '
            f'error="insufficient_scope", scope="{wanted}"'
        )
        of_token = Refuse(
            problem=problem("insufficient-scope", scope=wanted),
            headers=((b"www-authenticate", challenge.encode()),),
        )
        # A key or certificate carries no scopes that a new token could widen: no challenge.
        of_client = Refuse(problem=of_token.problem)
        internal = operation.api.startswith(_INTERNAL)

        def ask(call: Call) -> Verdict:
            if internal and call.consumer.accounts is not None:
                return of_client
            scopes = call.consumer.scopes
            for each in alternatives:
                if each <= scopes:
                    return PASS
            return of_token if b"authorization" in call.fields else of_client

        def explain(call: Call) -> Finding:
            if internal and call.consumer.accounts is not None:
                return Finding(
                    policy=self.name,
                    verdict="refuse",
                    because="is for clients who may act for all accounts",
                )
            held = choices(sorted(call.consumer.scopes)) or "no scope"
            return Finding(
                policy=self.name,
                verdict="refuse" if isinstance(ask(call), Refuse) else "pass",
                because=f"needs {wanted}; the caller holds {held}",
            )

        return (Step(self.name, ask=ask, explain=explain),)
