"""What a deployment costs: prices chosen, line items, shares of requests and tokens, demand, break-even."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llmsizer.cost.ask import cost_case
    from llmsizer.cost.case import CostCase, Line
    from llmsizer.cost.estimate import CostEstimate, cost_estimate
    from llmsizer.cost.items import CostItem
    from llmsizer.cost.rates import chosen_price, rentals

__all__ = ["CostCase", "CostEstimate", "CostItem", "Line", "chosen_price", "cost_case", "cost_estimate", "rentals"]

_HOMES = {
    "CostCase": "case", "Line": "case", "CostEstimate": "estimate", "cost_estimate": "estimate", "CostItem": "items",
    "cost_case": "ask", "chosen_price": "rates", "rentals": "rates",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """Public names are imported on first use."""
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f"llmsizer.cost.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'llmsizer.cost' has no attribute '{name}'")
