"""Power of devices and their site, energy and emissions of requests."""

from __future__ import annotations

from llmsizer.core.explain import Constant, formula
from llmsizer.core.quantities import (
    Count,
    Fraction,
    Grams,
    GramsPerJoule,
    Joules,
    PerSecond,
    Watts,
)

YEAR = Constant(365.25 * 86400.0, "second", "a year")
NOTHING = Constant(1e-30, "USD/second", "so little that what is divided by it never comes")


@formula(reference="linear between idle and load with the share of time that devices are busy")
def device_watts(idle_power: Watts, load_power: Watts, busy: Fraction) -> Watts:
    """Mean draw of a device.

    >>> device_watts(80.0, 560.0, 0.5)
    320.0
    """
    return idle_power + (load_power - idle_power) * busy


@formula(reference="devices and their share of the host, which is always on")
def machine_watts(devices: Count, device_power: Watts, host_power: Watts) -> Watts:
    """Power of the machines of a fleet, without the site's overhead.

    >>> machine_watts(8, 560.0, 280.0)
    6720.0
    """
    return devices * (device_power + host_power)


@formula(reference="power usage effectiveness: power of the site / power of the machines; cooling is inside")
def site_watts(machines: Watts, power_usage_effectiveness: Fraction) -> Watts:
    """Power the site draws for the machines.

    >>> round(site_watts(6720.0, 1.56), 6)
    10483.2
    """
    return machines * power_usage_effectiveness


@formula(reference="cooling given apart from the rest: no further overhead is added")
def site_watts_with_cooling(machines: Watts, cooling: Fraction) -> Watts:
    """Power of machines and their cooling, where cooling is given per power of the machines.

    >>> site_watts_with_cooling(1000.0, 0.25)
    1250.0
    """
    return machines * (1 + cooling)


@formula(reference="power over rate")
def energy_per_request(watts: Watts, rate: PerSecond) -> Joules:
    """Energy of a request, the site's overhead and idle time included.

    >>> energy_per_request(1000.0, 4.0)
    250.0
    """
    return watts / rate


@formula(reference="energy × emissions of the grid")
def emissions(energy: Joules, intensity: GramsPerJoule) -> Grams:
    """CO2 equivalent of an energy.

    >>> round(emissions(3.6e6, 400 / 3.6e6), 6)
    400.0
    """
    return energy * intensity
