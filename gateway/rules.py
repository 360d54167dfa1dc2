"""The limits of a route as they are configured now, for a call that began under others: who waits holds nothing yet,
and would keep the old rule alive for all who stand behind him.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from gateway.plan import Plan
    from gateway.policies.caps import Cap
    from gateway.policies.rate_limit import RateLimit
    from gateway.state.store import Store

Rule = TypeVar("Rule", "RateLimit", "Cap")


class Rules:
    """By what the store counts under."""

    __slots__ = ("_renewed", "_rules", "_store")

    def __init__(self, store: Store) -> None:
        self._store = store
        self._rules: Mapping[str, RateLimit | Cap] = {}
        self._renewed: dict[int, tuple[Plan, Plan]] = {}  # by the identity of the first

    def renew(self, rules: Mapping[str, RateLimit | Cap]) -> None:
        self._rules, self._renewed = rules, {}

    def now(self, plan: Plan) -> Plan:
        """That plan with its rates and caps as they are now."""
        if id(plan) not in self._renewed:
            early = tuple([self._rule(rate) for rate in plan.early])
            rates = tuple([self._rule(rate) for rate in plan.rates])
            caps = tuple([self._rule(cap) for cap in plan.caps])
            asked, at_once = self._store.prepare(rates, caps), self._store.prepare((*early, *rates), caps)
            renewed = replace(plan, early=early, rates=rates, caps=caps, asked=asked, at_once=at_once)
            self._renewed[id(plan)] = (plan, renewed)
        return self._renewed[id(plan)][1]

    def _rule(self, rule: Rule) -> Rule:
        found = self._rules.get(rule.limit)
        return found if isinstance(found, type(rule)) else rule
