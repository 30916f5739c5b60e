"""Techniques that take other devices, other splits, or the same at another price."""

from __future__ import annotations

from dataclasses import replace

from llmsizer.catalog.prices import offers
from llmsizer.cost.rates import chosen_price, rentals
from llmsizer.planner.advice.asked import Asked, Change, Tried, flag_of, technique
from llmsizer.question.splits import legal_tensor_sizes
from llmsizer.schema.price import OwnedHardware, Rental

MOST_DEVICES = 8


def _sizes(asked: Asked) -> list[int]:
    return legal_tensor_sizes(asked.case.model, most=max(asked.case.accelerator.link_domain or 1, MOST_DEVICES))


def _tensor(asked: Asked, size: int) -> Change:
    return Change(replace(asked.words, tensor_parallel_size=size), flag_of("tensor_parallel_size", size))


@technique
def tensor_parallel_up(asked: Asked) -> Tried:
    """The model divided over more devices."""
    now = asked.case.parallel.tensor_parallel_size
    larger = [size for size in _sizes(asked) if size > now and size % now == 0]
    if not larger:
        return f"{asked.case.model.id} divides no further within a fabric of {asked.case.accelerator.link_domain or 1} devices"
    return [_tensor(asked, size) for size in larger[:2]]


@technique
def tensor_parallel_down(asked: Asked) -> Tried:
    """The model divided over fewer devices, which then bear the whole load."""
    now = asked.case.parallel.tensor_parallel_size
    smaller = [size for size in _sizes(asked) if size < now and now % size == 0]
    return [_tensor(asked, size) for size in smaller] or "there is no tensor parallelism"


@technique
def replicas(asked: Asked) -> Tried:
    """The same devices as several smaller replicas, each with its share of the load."""
    now = asked.case.parallel.tensor_parallel_size
    smaller = [size for size in _sizes(asked) if size < now and now % size == 0]
    if not smaller:
        return "there is no tensor parallelism"
    return [_shared(asked, size, now // size) for size in smaller]


def _shared(asked: Asked, size: int, copies: int) -> Change:
    words = replace(asked.words, tensor_parallel_size=size)
    if words.request_rate is not None:
        words = replace(words, request_rate=float(words.request_rate) / copies)
    if asked.case.concurrency is not None and words.concurrency != "max":
        words = replace(words, concurrency=max(round(asked.case.concurrency / copies), 1))
    return Change(words, f"{copies} replicas with --tp {size}", replicas=copies)


@technique
def another_device(asked: Asked) -> Tried:
    """Every other device with a known price, on the same number of devices, half and twice as many."""
    own, words = asked.case.accelerator, asked.words
    if isinstance(words.price, (Rental, OwnedHardware)) or _is_own_price(words.price):
        words = replace(words, price=None)  # a price of one device is not another's
    priced = {each.accelerator for each in offers(asked.catalog).values()}
    names = [name for name in asked.catalog.names("accelerators") if name in priced and name != own.id.partition("@")[0]]
    now, legal = words.tensor_parallel_size, set(_sizes(asked))
    size = asked.case.parallel.tensor_parallel_size
    changes = []
    for name in names:
        for tensor in (each for each in (size // 2, size, 2 * size) if each in legal):
            split = "" if tensor == int(now) else f" {flag_of('tensor_parallel_size', tensor)}"
            changed = replace(words, hardware=name, tensor_parallel_size=tensor)
            changes.append(Change(changed, f"{flag_of('hardware', name)}{split}"))
    return changes


def _is_own_price(price: object) -> bool:
    return isinstance(price, str) and (price[:1].isdigit() or price.startswith(("$", "owned")))


@technique
def spot(asked: Asked) -> Tried:
    """The same devices, which may be taken away."""
    return _market(asked, "spot")


@technique
def reserved(asked: Asked) -> Tried:
    """The same devices, paid for a year or more."""
    return _market(asked, "reserved")


def _market(asked: Asked, market: str) -> Tried:
    device = asked.case.accelerator
    now = chosen_price(asked.words.price, asked.catalog, device, devices=asked.case.parallel.devices,
                       price_date=asked.words.price_date)  # fmt: skip
    if isinstance(now, OwnedHardware):
        return "the devices are owned"
    if now is not None and now.market == market:
        return f"already at a {market} price"
    provider = now.provider if now is not None and asked.words.price is not None else None
    held = rentals(asked.catalog, device.id, market=market, provider=provider or None, as_of=asked.words.price_date)
    if not held:
        return f"no {market} price of {device.id} is known" + (f" from {provider}" if provider else "")
    best = _median(held)
    each = replace(best, name=f"{best.name}, per device", price=best.price / best.accelerators, accelerators=1)
    told = f"--price '{best.name.split(' ')[0]}:{market}'"
    note = "counted for the devices in use alone" + ("" if provider else "; the median provider, as for the price now")
    return [Change(replace(asked.words, price=each), told, note=note)]


def _median(held: list[Rental]) -> Rental:
    """The middle one, by the price of a device, of the providers' cheapest."""

    def of_device(rental: Rental) -> tuple[float, str]:
        return float(rental.price / rental.accelerators), rental.name

    names = dict.fromkeys(rental.provider for rental in held)
    cheapest = sorted((min((r for r in held if r.provider == name), key=of_device) for name in names), key=of_device)
    return cheapest[(len(cheapest) - 1) // 2]
