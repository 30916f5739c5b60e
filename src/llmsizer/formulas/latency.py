"""What a request waits for and how long it takes, alone, under load and in a finite run."""

from __future__ import annotations

from llmsizer.core.explain import formula
from llmsizer.core.numerics import minimum
from llmsizer.core.quantities import Count, PerSecond, Seconds, SecondsPerToken, Tokens
from llmsizer.core.units import ONE_TOKEN


@formula(reference="definition of a step that yields several tokens")
def token_seconds(step: Seconds, tokens_per_step: Tokens) -> Seconds:
    """Time per output token.

    >>> token_seconds(0.03, 1.5)
    0.02
    """
    return step * ONE_TOKEN / tokens_per_step


@formula(reference="definition: the first token, then the decode steps")
def end_to_end_seconds(ttft: Seconds, decode: Seconds) -> Seconds:
    """Time from sending a request to its last token.

    >>> end_to_end_seconds(0.5, 2.0)
    2.5
    """
    return ttft + decode


@formula(reference="definition: tokens of finished requests per second")
def tokens_per_second(rate: PerSecond, tokens: Tokens) -> PerSecond:
    """Tokens per second at a request rate.

    >>> tokens_per_second(2.0, 256.0)
    512.0
    """
    return rate * tokens / ONE_TOKEN


@formula(reference="Little's law over the sequences the engine runs")
def running_rate(running: Count, first_token: Seconds, decode: Seconds) -> PerSecond:
    """Requests per second that finish when so many run.

    >>> running_rate(64.0, 1.0, 7.0)
    8.0
    """
    return running / (first_token + decode)


@formula(reference="Little's law over the sequences that wait for a place in the running batch")
def waiting_seconds(concurrency: Count, running: Count, rate: PerSecond) -> Seconds:
    """Mean wait of a request in a closed loop that holds more requests than the engine runs.

    >>> waiting_seconds(100.0, 60.0, 8.0)
    5.0
    """
    return (concurrency - running) / rate


@formula(reference="definition: time of all decode steps of a request")
def decode_seconds(steps: Count, step: Seconds) -> Seconds:
    """Time from the first token of an answer to its last.

    >>> decode_seconds(256.0, 0.02)
    5.12
    """
    return steps * step


@formula(reference="attention-data-parallel ranks serve side by side")
def rate_of_ranks(rate: PerSecond, ranks: Count) -> PerSecond:
    """A rate of all ranks together.

    >>> rate_of_ranks(2.0, 8)
    16.0
    """
    return rate * ranks


@formula(reference="counting: each rank takes its share of the requests in flight, the last what is left")
def busy_ranks(concurrency: Count, running: Count, ranks: Count) -> Count:
    """Attention ranks' worth of work when the fullest rank runs ``running`` of all requests in flight.

    >>> busy_ranks(6.0, 2.0, 4.0)
    3.0
    """
    return minimum(concurrency / running, ranks)


@formula(reference="Little's law: users who think are not in the engine, which runs no more than it holds")
def running_of_users(users: Count, stay: Seconds, think: Seconds, most: Count) -> Count:
    """Sequences that run for users who pause between an answer and their next request.

    >>> running_of_users(100.0, 3.0, 1.0, 256.0)
    75.0
    """
    return minimum(users * stay / (stay + think), most)


@formula(reference="Little's law: so many users think at a time")
def in_flight_of_users(users: Count, rate: PerSecond, think: Seconds) -> Count:
    """Requests in flight of users who pause between an answer and their next request.

    >>> in_flight_of_users(100.0, 25.0, 1.0)
    75.0
    """
    return users - rate * think


@formula(reference="definition: a rate divided by the devices that bring it about")
def rate_per_device(rate: PerSecond, devices: Count) -> PerSecond:
    """A rate per device.

    >>> rate_per_device(16.0, 8)
    2.0
    """
    return rate / devices


@formula(reference="Little's law: others in flight when requests come at a rate and stay for a time")
def others_at_rate(rate: PerSecond, decode: Seconds) -> Count:
    """Sequences that decode at a time, at a request rate.

    >>> others_at_rate(2.0, 8.0)
    16.0
    """
    return rate * decode


@formula(reference="Little (1961), L = λW, solved for λ")
def rate_of_others(others: Count, decode: Seconds) -> PerSecond:
    """The request rate at which so many sequences decode at a time.

    >>> rate_of_others(16.0, 8.0)
    2.0
    """
    return others / decode


@formula(reference="Little's law: no more sequences decode than there are places")
def seated_seconds(decode: Seconds, rate: PerSecond, places: Count) -> Seconds:
    """Time of all decode steps of a request, where prompts that come before decoding would fill more places than there are.

    >>> seated_seconds(8.0, 2.0, 10.0)
    5.0
    """
    return minimum(decode, places / rate)


@formula(reference="definition: a step's share of a time that is cut short")
def shortened_step(step: Seconds, decode: Seconds, unhindered: Seconds) -> Seconds:
    """Mean decode step where all of them together take less than they would.

    >>> shortened_step(0.02, 1.0, 2.0)
    0.01
    """
    return step * decode / unhindered


@formula(reference="definition: a wait before what follows")
def delayed_seconds(first_token: Seconds, wait: Seconds) -> Seconds:
    """Time to first token after a wait for a place in the running batch.

    >>> delayed_seconds(0.25, 2.0)
    2.25
    """
    return first_token + wait


@formula(reference="mean over a run of N prompts of which the first C come at once (benchmarks at a fixed concurrency)")
def finite_run_seconds(steady: Seconds, burst: Seconds, concurrency: Count, prompts: Count) -> Seconds:
    """Mean time to first token of a finite run.

    >>> round(finite_run_seconds(0.2, 2.2, 64, 640), 2)
    0.4
    """
    return steady + (burst - steady) * concurrency / prompts


@formula(reference="measured: HTTP and first stream, and the tokeniser's time, which goes with the length of a prompt")
def prompt_front_end_seconds(fixed: Seconds, per_token: SecondsPerToken, prompt: Tokens) -> Seconds:
    """Front-end time of a prompt alone, before the engine has it and after its first token.

    >>> round(prompt_front_end_seconds(0.025, 8e-6, 8192.0), 3)
    0.091
    """
    return fixed + per_token * prompt


@formula(reference="measured: the front end's work for sequences being streamed")
def front_end_seconds(fixed: Seconds, per_sequence: Seconds, others: Count) -> Seconds:
    """Part of the time to first token that is spent outside the engine.

    >>> round(front_end_seconds(0.05, 0.001, 20.0), 3)
    0.07
    """
    return fixed + per_sequence * others
