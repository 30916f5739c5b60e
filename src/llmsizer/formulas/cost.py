"""What a deployment costs: rent, capital, energy, and how the joint cost falls on requests and tokens."""

from __future__ import annotations

from llmsizer.core.explain import Constant, formula
from llmsizer.core.numerics import ceil, expm1, floor, log1p, maximum, minimum, where
from llmsizer.core.quantities import (
    Bytes,
    BytesPerSecond,
    BytesPerToken,
    Count,
    Fraction,
    PerSecond,
    Seconds,
    Tokens,
    Usd,
    UsdPerByte,
    UsdPerByteSecond,
    UsdPerJoule,
    UsdPerSecond,
    UsdPerToken,
    Watts,
)

YEAR = Constant(365.25 * 86400.0, "second", "a year")
NOTHING = Constant(1e-30, "USD/second", "so little that what is divided by it never comes")


@formula(reference="instances are paid whole: a large replica takes several, small ones share one")
def instances_needed(devices: Count, replicas: Count, accelerators: Count) -> Count:
    """Instances that hold ``replicas`` replicas of ``devices`` devices each.

    >>> instances_needed(2, 5, 8), instances_needed(16, 3, 8)
    (2.0, 6.0)
    """
    return where(
        devices <= accelerators,
        ceil(replicas / maximum(floor(accelerators / devices), 1)),
        ceil(devices / accelerators) * ceil(replicas),
    )


@formula(reference="the most replicas whose instances are not more than so many: whole replicas in whole instances")
def replicas_held(devices: Count, instances: Count, accelerators: Count) -> Count:
    """Replicas of ``devices`` devices each that so many instances hold.

    >>> replicas_held(2, 2.0, 8), replicas_held(16, 7.0, 8)
    (8.0, 3.0)
    """
    each = maximum(floor(accelerators / devices), 1)
    return where(devices <= accelerators, instances * each, floor(instances / ceil(devices / accelerators)))


@formula(reference="definition")
def idle_accelerators(instances: Count, accelerators: Count, devices: Count, replicas: Count) -> Count:
    """Devices that are paid for and hold no replica.

    >>> idle_accelerators(2, 8, 2, 5)
    6
    """
    return instances * accelerators - devices * replicas


@formula(reference="definition")
def devices_running(devices: Count, replicas: Count) -> Count:
    """Devices that run a replica.

    >>> devices_running(4, 3)
    12
    """
    return devices * replicas


@formula(reference="a share of what is paid is paid once more")
def surcharge(share: Fraction, paid: UsdPerSecond) -> UsdPerSecond:
    """A cost in proportion to another.

    >>> surcharge(0.05, 20.0)
    1.0
    """
    return share * paid


@formula(reference="rate card: instances × price of one")
def rent(instances: Count, price: UsdPerSecond) -> UsdPerSecond:
    """Rent of a fleet.

    >>> rent(2, 55.04)
    110.08
    """
    return instances * price


@formula(reference="an interruption costs the time until the successor answers, paid once more by another instance")
def interruption_overhead(interruptions: PerSecond, restart: Seconds) -> Fraction:
    """Instance time paid and not used because spot instances are taken back, per time used.

    >>> round(interruption_overhead(0.2 / 2629800, 900.0), 8)
    6.845e-05
    """
    return interruptions * restart


@formula(reference="ordinary annuity, r·(1 + r)^n / ((1 + r)^n − 1), interest compounded yearly; r → 0: 1/n")
def annuity_factor(interest: PerSecond, life: Seconds) -> PerSecond:
    """The part of a sum to pay back per time so that it is repaid with interest at the end of ``life``.

    >>> round(annuity_factor(0.08 / YEAR, 5 * YEAR) * YEAR, 6)
    0.250456
    """
    return maximum(interest * YEAR, 1e-12) / -expm1(-(life / YEAR) * log1p(maximum(interest * YEAR, 1e-12))) / YEAR


@formula(reference="present value: a sum received later, discounted yearly")
def present_value(amount: Usd, interest: PerSecond, life: Seconds) -> Usd:
    """What a sum at the end of ``life`` is worth today.

    >>> round(present_value(2800.0, 0.08 / YEAR, 5 * YEAR), 2)
    1905.63
    """
    return amount * (1 + expm1(-(life / YEAR) * log1p(interest * YEAR)))


@formula(reference="definition: the share of the purchase that is fetched at the end of life")
def residual_value(purchase: Usd, residual: Fraction) -> Usd:
    """What hardware still fetches at the end of its life.

    >>> residual_value(28000.0, 0.1)
    2800.0
    """
    return purchase * residual


@formula(reference="capital cost: (purchase − present value of the residual) × annuity factor")
def capital_cost(devices: Count, purchase: Usd, residual_today: Usd, annuity: PerSecond) -> UsdPerSecond:
    """What bought hardware costs per time: depreciation and interest together.

    >>> capital_cost(8, 100.0, 10.0, 0.25)
    180.0
    """
    return devices * (purchase - residual_today) * annuity


@formula(reference="energy at a price")
def energy_cost(watts: Watts, electricity: UsdPerJoule) -> UsdPerSecond:
    """What a power costs per time.

    >>> round(energy_cost(10483.2, 0.08 / 3.6e6) * 3600, 6)
    0.838656
    """
    return watts * electricity


@formula(reference="sites rent space by the power committed, which is the most the machines draw")
def hosting_cost(watts: Watts, hosting: UsdPerJoule) -> UsdPerSecond:
    """Rent of space in a data centre.

    >>> round(hosting_cost(6720.0, 0.2 / 2629800) * 2629800, 6)
    1344.0
    """
    return watts * hosting


@formula(reference="bytes kept at a price per byte and time")
def storage_cost(stored: Bytes, price: UsdPerByteSecond) -> UsdPerSecond:
    """What keeping bytes costs per time.

    >>> storage_cost(16e9, 0.02e-9)
    0.32
    """
    return stored * price


@formula(reference="bytes sent: answers × tokens × bytes of a token on the wire")
def egress_rate(rate: PerSecond, output_tokens: Tokens, bytes_per_token: BytesPerToken) -> BytesPerSecond:
    """Bytes of answers sent per time.

    >>> egress_rate(2.0, 256.0, 200.0)
    102400.0
    """
    return rate * output_tokens * bytes_per_token


@formula(reference="bytes sent at a price per byte")
def egress_cost(sent: BytesPerSecond, price: UsdPerByte) -> UsdPerSecond:
    """What sending answers costs per time.

    >>> egress_cost(102400.0, 1e-9)
    0.0001024
    """
    return sent * price


@formula(reference="a price for each of a number of things")
def recurring_cost(number: Count, price: UsdPerSecond) -> UsdPerSecond:
    """What things with a price per time cost: people, monitored instances, balancers.

    >>> recurring_cost(0.5, 20.0)
    10.0
    """
    return number * price


@formula(reference="what a fleet costs over what it answers; the idle time falls on the requests that are served")
def cost_per_request(cost: UsdPerSecond, rate: PerSecond) -> Usd:
    """Cost of a request.

    >>> cost_per_request(0.002, 2.0)
    0.001
    """
    return cost / rate


@formula(reference="definition of a load: requests that come over the most that can be served")
def utilization(rate: PerSecond, capacity: PerSecond) -> Fraction:
    """Share of the fleet's capacity that is used; never more than all of it.

    >>> utilization(3.0, 4.0)
    0.75
    """
    return minimum(rate / capacity, 1.0)


@formula(reference="no more is served than there is capacity for")
def served_rate(rate: PerSecond, capacity: PerSecond) -> PerSecond:
    """Requests served per second.

    >>> served_rate(5.0, 4.0)
    4.0
    """
    return minimum(rate, capacity)


@formula(reference="an input token found in the cache weighs less than one that is computed")
def weighed_input_tokens(input_tokens: Tokens, cached: Fraction, cached_weight: Fraction) -> Tokens:
    """Input tokens of a request with those from the cache at their weight.

    >>> weighed_input_tokens(1000.0, 0.5, 0.1)
    550.0
    """
    return input_tokens * (1 - cached + cached * cached_weight)


@formula(reference="allocation by tokens: every computed token bears the same, an output token `ratio` times as much")
def input_share_by_tokens(weighed_input: Tokens, output_tokens: Tokens, ratio: Fraction) -> Fraction:
    """Share of a request's cost that its input bears.

    >>> input_share_by_tokens(750.0, 250.0, 1.0)
    0.75
    """
    return weighed_input / (weighed_input + output_tokens * ratio)


@formula(reference="allocation by device time: prefill time falls on the input, decode time on the output")
def input_share_by_time(prefill: Seconds, decode: Seconds) -> Fraction:
    """Share of a request's cost that its input bears.

    >>> input_share_by_time(1.0, 3.0)
    0.25
    """
    return prefill / (prefill + decode)


@formula(reference="the input's share of a request's cost over its weighed tokens")
def cost_per_input_token(cost: Usd, input_share: Fraction, weighed_input: Tokens) -> UsdPerToken:
    """Cost of a computed input token.

    >>> cost_per_input_token(0.001, 0.5, 1000.0)
    5e-07
    """
    return cost * input_share / weighed_input


@formula(reference="a cached token costs its weight of a computed one")
def cost_per_cached_token(per_input_token: UsdPerToken, cached_weight: Fraction) -> UsdPerToken:
    """Cost of an input token found in the cache.

    >>> cost_per_cached_token(5e-07, 0.1)
    5e-08
    """
    return per_input_token * cached_weight


@formula(reference="the output's share of a request's cost over its tokens")
def cost_per_output_token(cost: Usd, input_share: Fraction, output_tokens: Tokens) -> UsdPerToken:
    """Cost of an output token.

    >>> cost_per_output_token(0.001, 0.5, 250.0)
    2e-06
    """
    return cost * (1 - input_share) / output_tokens


@formula(reference="cost of a request × requests of a user in a month")
def cost_per_user_month(per_request: Usd, requests: Count) -> Usd:
    """Cost of a user in a month.

    >>> cost_per_user_month(0.001, 600)
    0.6
    """
    return per_request * requests


@formula(reference="price of a request at an API: tokens × prices, cached input apart")
def api_price_of_request(
    input_tokens: Tokens, cached: Fraction, output_tokens: Tokens, per_input: UsdPerToken, per_cached: UsdPerToken,
    per_output: UsdPerToken,
) -> Usd:  # fmt: skip
    """What an API takes for a request.

    >>> round(api_price_of_request(1000.0, 0.5, 200.0, 1e-6, 1e-7, 4e-6), 9)
    0.00135
    """
    return input_tokens * ((1 - cached) * per_input + cached * per_cached) + output_tokens * per_output


@formula(reference="the rate at which a fixed cost equals a price per request")
def break_even_rate(cost: UsdPerSecond, price: Usd) -> PerSecond:
    """Requests per second from which an own fleet is cheaper than paying per request.

    >>> break_even_rate(0.01, 0.002)
    5.0
    """
    return cost / price


@formula(reference="fixed + running · u = rent · u: the share of time from which owning is cheaper than renting by the hour")
def break_even_use(fixed: UsdPerSecond, running: UsdPerSecond, rental: UsdPerSecond) -> Fraction:
    """Share of the time that hardware must be in use for owning to be cheaper; beyond 1 it never is.

    >>> break_even_use(1.0, 0.5, 2.5)
    0.5
    """
    return fixed / maximum(rental - running, NOTHING)


@formula(reference="definition")
def outlay(devices: Count, purchase: Usd, host: Usd) -> Usd:
    """What buying devices with their share of hosts costs at once.

    >>> outlay(8, 28000.0, 8400.0)
    291200.0
    """
    return devices * (purchase + host)


@formula(reference="simple payback: the outlay over what is saved per time")
def payback_time(paid: Usd, running: UsdPerSecond, rental: UsdPerSecond) -> Seconds:
    """Time after which a purchase has cost less than renting; interest and residual apart.

    >>> payback_time(1000.0, 0.5, 2.5)
    500.0
    """
    return paid / maximum(rental - running, NOTHING)
