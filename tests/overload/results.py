"""Campaigns C1 to C4 and C7 as results to be kept: sizes, planted defects, one verdict each."""

from pathlib import Path

from tests.crash.result import Result, Size, Stopwatch, whole
from tests.overload import breakers, herd, limiter, redis_faults, retries

__all__ = ["circuits", "herds", "limits", "redis", "second_attempts"]

LATER_MS = 50.0
"""By how much Redis in trouble may put off the slowest hundredth; judged on a quiet machine."""


async def limits(folder: Path, *, size: Size, seed: int) -> list[Result]:
    """C1: exact limits among four gateways."""
    watch = Stopwatch()
    found = await limiter.run(_in(folder, "a"), windows=4 if size == "smoke" else 40, seed=seed)
    bad = await limiter.run(_in(folder, "b"), windows=3, seed=seed, defect="read-then-write")
    others = [f"{found.other_statuses} answers"] if found.other_statuses else []
    result = Result(
        campaign="C1",
        what="four gateways on one Redis at four times the limit, bursts, clocks that differ",
        size=size,
        seed=seed,
        trials=found.windows,
        accepted=found.admitted,
        faults={"calls beyond the limit": found.calls - found.admitted},
        evidence={
            "pressed": int(found.calls > 2 * found.admitted),
            "redis never lost": int(not found.lost),
            "promises": found.promises,
        },
        violations={
            "nothing over the limit": [f"{found.over} over"] if found.over else [],
            "at most 1 % under": [f"{found.under:.3%}"] if found.under > 0.01 else [],
            "200 or 429": others,
            "headers keep their promise": list(found.broken_promises),
        },
        measures={"under": found.under},
    )
    return [whole(result, defects={"read-then-write": bad.over > 0}, seconds=watch.seconds)]


async def redis(folder: Path, *, size: Size, seed: int) -> list[Result]:
    """C2: Redis in trouble; the seed chooses nothing, faults come in a fixed order."""
    watch = Stopwatch()
    seconds = 2.0 if size == "smoke" else 8.0
    found = await redis_faults.run(_in(folder, "a"), redis_faults.FAULTS, seconds=seconds)
    (bad,) = await redis_faults.run(_in(folder, "b"), ("kill",), seconds=2.0, defect="trusting")
    result = Result(
        campaign="C2",
        what="Redis killed, hung, slow, read-only, full, spoilt, flushed under four gateways",
        size=size,
        seed=seed,
        trials=len(found),
        accepted=sum(each.calls - each.errors for each in found),
        faults={each.fault: 1 for each in found},
        evidence={f"{each.fault} noticed": int(each.noticed) for each in found},
        violations={
            "200 or 429": [f"{each.fault}: {each.errors}" for each in found if each.errors],
            "within the plan": [
                f"{each.fault}: {each.fullest_window}"
                for each in found
                if each.fullest_window > limiter.QUOTA
            ],
            "normal again": [each.fault for each in found if not each.normal_again],
            "p99 at most 50 ms later": [
                f"{each.fault}: {each.slower_ms}"
                for each in found
                if size == "full" and each.slower_ms > LATER_MS
            ],
        },
        measures={f"p99 later by ms: {each.fault}": each.slower_ms for each in found},
    )
    return [whole(result, defects={"trusting": not bad.exact}, seconds=watch.seconds)]


async def circuits(folder: Path, *, size: Size, seed: int) -> list[Result]:
    """C3: one trial for each half-open circuit in the whole cluster."""
    watch = Stopwatch()
    found = await breakers.run(_in(folder, "a"), openings=6 if size == "smoke" else 60, seed=seed)
    bad = await breakers.run(_in(folder, "b"), openings=2, seed=seed, defect="no-permit")
    trials = found.openings + found.failed_trials
    result = Result(
        campaign="C3",
        what="circuits of four gateways before an upstream that dies and comes back",
        size=size,
        seed=seed,
        trials=found.openings,
        accepted=found.trials,
        faults={"openings": found.openings, "failed trials": found.failed_trials},
        evidence={"openings": found.openings, "pressed in time": found.pressed_in_time},
        violations={
            "one trial each": [f"{found.trials} for {trials}"] if found.trials != trials else [],
            "one at once": _if(found.most_trials_at_once != 1, str(found.most_trials_at_once)),
            "nothing else reaches it": _if(found.reached_after_trip, str(found.reached_after_trip)),
            "a healthy one never refused": _if(found.healthy_refused, str(found.healthy_refused)),
            "closed again": _if(found.not_closed, str(found.not_closed)),
        },
        measures={"reached after the trip": float(found.reached_after_trip)},
    )
    return [
        whole(result, defects={"no-permit": bad.most_trials_at_once > 1}, seconds=watch.seconds)
    ]


async def second_attempts(folder: Path, *, size: Size, seed: int) -> list[Result]:
    """C4: retries and hedges stay within their budgets."""
    watch = Stopwatch()
    rate, seconds = (150.0, 3.0) if size == "smoke" else (300.0, 20.0)
    found = await retries.run(_in(folder, "a"), rate=rate, seconds=seconds, seed=seed)
    bad = await retries.run(_in(folder, "b"), rate=150, seconds=1, seed=seed, defect=True)
    healed = found.healed.answered >= 0.99 * found.healed.requests
    result = Result(
        campaign="C4",
        what="an upstream that fails, resets, slows, half fails and heals",
        size=size,
        seed=seed,
        trials=sum(each.requests for each in found.phases),
        accepted=sum(each.answered for each in found.phases),
        faults={each.mood: each.requests for each in found.phases if each.mood != "well"},
        evidence={"tried again": found.retried},
        violations={
            "at most 1.2 attempts a request": [
                f"{each.mood}: {each.factor:.2f}" for each in found.phases if each.factor > 1.2
            ],
            "well after healing": _if(not healed, f"{found.healed}"),
        },
        measures={f"attempts a request: {each.mood}": each.factor for each in found.phases},
    )
    caught = max(each.factor for each in bad.phases) > 1.2
    return [whole(result, defects={"retry-all": caught}, seconds=watch.seconds)]


async def herds(folder: Path, *, size: Size, seed: int) -> list[Result]:
    """C7: cold copies under a herd, and absurd configurations."""
    watch = Stopwatch()
    callers = 1_000 if size == "smoke" else 10_000
    found = await herd.run(_in(folder, "a"), callers=callers, seed=seed)
    each_asks = await herd.run(_in(folder, "b"), callers=300, seed=seed, defect="each-asks")
    blind = await herd.run(_in(folder, "c"), callers=50, seed=seed, defect="blind-reload")
    unasked = found.pushed - found.refused_configurations
    result = Result(
        campaign="C7",
        what="cold copies under a herd, an upstream back with a queue, absurd configurations",
        size=size,
        seed=seed,
        trials=found.callers,
        accepted=found.cold_answered,
        faults={"callers of cold copies": found.callers, "absurd configurations": found.pushed},
        evidence={"answered when it came back": found.returned.get(200, 0)},
        violations={
            "one miss a key": _if(found.misses != found.keys, f"{found.misses} of {found.keys}"),
            "every caller answered": _if(
                found.cold_answered != found.callers, f"{found.cold_answered}"
            ),
            "at most 1.5 times the places": _if(
                found.peak > 1.5 * found.places, f"{found.peak} of {found.places}"
            ),
            "absurd ones refused": _if(unasked, f"{unasked} taken"),
            "the last good one serves": _if(not found.answered_after, "no answer"),
        },
        measures={"most at once": float(found.peak)},
    )
    defects = {
        "each-asks": each_asks.misses > each_asks.keys,
        "blind-reload": not blind.answered_after,
    }
    return [whole(result, defects=defects, seconds=watch.seconds)]


def _if(broken: object, case: str) -> list[str]:
    return [case] if broken else []


def _in(folder: Path, name: str) -> Path:
    made = folder / name
    made.mkdir(parents=True, exist_ok=True)
    return made
