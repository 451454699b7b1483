"""Members over time: joining, flying and gaining points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pyarrow as pa

from lakehouse_assets.sample.airline import profile as p
from lakehouse_assets.sample.airline.config import GeneratorConfig
from lakehouse_assets.sample.airline.draws import (
    Flags,
    Floats,
    Ints,
    by_rank,
    day_number,
    some_of,
    stratified,
    whole,
)


@dataclass
class Base:
    """All members ever, in order of MEMBER_NO; days are counted since 1970-01-01.

    A member who joins later has a row from the start and is listed from the month of joining.
    """

    joined: Ints
    first_flight: Ints  # a few impossible ones
    last_flight: Ints
    impossible: Flags  # last flight delivered as 29 February 2014
    gender: pa.Array
    tier: Ints
    city: pa.Array
    province: pa.Array
    country: pa.Array
    age: Ints
    age_missing: Flags
    flights: Ints
    pace: Floats  # flights a month; constant, so that totals grow linearly
    km: Floats
    base_points: Floats
    points: Floats
    revenue_1: Floats
    revenue_2: Floats
    revenue_1_missing: Flags
    revenue_2_missing: Flags
    avg_interval: Floats
    max_interval: Ints
    exchanges: Ints
    discount: Floats
    non_flight: Ints
    revenue_per_km: Floats

    def listed(self, window_end: date) -> Flags:
        """Return which members have joined by the end of the window."""
        listed: Flags = self.joined <= day_number(window_end)
        return listed

    def days_since_flight(self, window_end: date) -> Ints:
        """Return LAST_TO_END: days from the last flight to the exclusive end of the window.

        The source has a 29 February 2014, although 2014 was no leap year: windows that extend past
        it count one day too many for earlier flights, and it occurs as a flight date.
        """
        days: Ints = day_number(window_end) - self.last_flight + 1
        if window_end >= date(2014, 3, 1):
            days = days + (self.last_flight <= day_number(date(2014, 2, 28)))
        # The phantom day is one day later than 28 February, by which it is represented.
        return days - self.impossible

    def purchase_weights(self, rng: np.random.Generator) -> Floats:
        """Draw how often members buy: more for frequent and recent flyers, with variation."""
        age_of_flight = self.last_flight.max() - self.last_flight
        recency = np.exp(-age_of_flight / 900.0)
        variation = rng.gamma(15.0, size=len(self.flights))
        weights: Floats = self.flights**0.3 * recency * variation
        return weights

    def advance(self, start: date, following: date, rng: np.random.Generator) -> None:
        """Simulate one month of flying for everyone listed by its end.

        Args:
            start: First day of the month.
            following: First day of the next month.
            rng: Source of randomness.
        """
        first, end = day_number(start), day_number(following)
        size, length = len(self.flights), end - first
        since = first - self.last_flight
        # Recent flyers are likely to fly again; the steps keep recency almost stationary.
        habit = np.select([since < 60, since < 150, since < 300], [1.0, 0.5, 0.6], 0.5)
        flown = rng.poisson(self.pace * habit)
        flown[self.joined >= first] = 0  # newcomers start with their opening record
        window_end = following - timedelta(days=1)
        leaving = self.days_since_flight(window_end) > p.MAX_DAYS_SINCE_FLIGHT
        flown = np.where(leaving, np.maximum(flown, 1), flown)

        # The last of k evenly spread flights falls late in the month.
        position = rng.random(size) ** (1 / np.maximum(flown, 1))
        flies = flown > 0
        last = np.where(flies, first + (position * length).astype(np.int64), self.last_flight)
        gap = last - self.last_flight
        old_span = self.avg_interval * (self.flights - 1)
        km_each = self.km / self.flights
        added_km = flown * km_each * rng.lognormal(-0.03, 0.25, size)
        growth = 1 + added_km / self.km
        self.flights = self.flights + flown
        self.avg_interval = np.where(
            flies, (old_span + gap) / (self.flights - 1), self.avg_interval
        )
        longest = np.where(flies, -(-gap // np.maximum(flown, 1)), 0)
        # An interval inside the two-year window cannot exceed it.
        self.max_interval = np.clip(longest, self.max_interval, p.LONGEST_INTERVAL)
        self.avg_interval = np.minimum(self.avg_interval, self.max_interval)
        self.km = self.km + added_km
        self.base_points = self.base_points * growth
        self.points = self.points * growth
        self.revenue_2 = self.revenue_2 + added_km * self.revenue_per_km
        self.exchanges = self.exchanges + rng.binomial(flown, 0.02)
        self.non_flight = self.non_flight + rng.binomial(flown, 0.1)
        self.impossible = self.impossible & ~flies
        self.last_flight = last
        if start == date(2014, 3, 1):
            # The phantom day is before this month, but only this month's file has its flights: the
            # February file has no 29 February yet.
            listed = int(self.listed(window_end).sum())
            wanted = max(1, round(listed * p.IMPOSSIBLE_LAST_FLIGHTS))
            # Newcomers of this month joined after the phantom day.
            able = np.flatnonzero(flies & (self.joined < first))
            chosen = rng.choice(able, min(wanted, len(able)), replace=False)
            self.last_flight[chosen] = day_number(date(2014, 2, 28))
            self.impossible[chosen] = True


def opening_base(
    config: GeneratorConfig, month_starts: Sequence[date], rng: np.random.Generator
) -> Base:
    """Draw all members as of the first month's start, with later joiners at the end."""
    opening = day_number(month_starts[0])
    joiners = max(1, round(config.members * p.MONTHLY_JOINERS))
    size = config.members + joiners * config.months
    newcomer = np.arange(size) >= config.members

    kind = stratified(rng, [weight for weight, *_ in p.KINDS], size)
    means = np.array([scores for _, *scores in p.KINDS])[kind]
    volume, recency = means[:, :2].T + rng.normal(0, 0.33, (2, size))
    volume[newcomer] = -3 + rng.normal(0, 0.3, int(newcomer.sum()))

    share = np.where(recency < 0, p.OPENING_SHARE_ACTIVE, p.OPENING_SHARE_OTHERS)

    # Award travellers pay no fare: 3 % have no revenue in both years, some of it null in the file
    # (0.87 % in year 1, 0.22 % in year 2).
    award = rng.permutation(size)[: max(4, round(0.03 * size))]
    first_year_missing, second_year_missing = np.zeros((2, size), dtype=np.bool_)
    split = max(1, round(0.0087 * size))
    first_year_missing[award[:split]] = True
    second_year_missing[award[split : split + max(1, round(0.0022 * size))]] = True

    flights = np.maximum(2, whole(share * by_rank(volume, p.FLIGHTS)))
    # Distances and fares per flight differ between members, but less than the flight counts do.
    distance = volume + rng.normal(0, 0.3, size)
    fare_class = rng.normal(0, 0.2, size)
    fare = distance + fare_class
    fare[award] = -99  # ranks last, so that setting it to zero does not shift the others
    km = np.maximum(368, share * by_rank(distance, p.KM))
    base_points = share * by_rank(fare, p.BASE_POINTS)
    bonus = distance + fare_class + rng.normal(0, 0.15, size)
    points = np.maximum(base_points, share * by_rank(bonus, p.POINTS))
    revenue = share * by_rank(fare + rng.normal(0, 0.1, size), p.REVENUE)
    revenue[award] = 0
    base_points[award] = 0
    earlier = rng.beta(2.6, 2.6, size)
    edge = rng.random(size)
    earlier = np.select([edge < 0.07, edge > 0.9], [0.0, 1.0], earlier)
    earlier[newcomer] = 0

    # Nobody starts at the edge of the window, because advance() would make them all fly at once.
    days_since = np.minimum(whole(by_rank(recency, p.DAYS_SINCE)), p.MAX_DAYS_SINCE_FLIGHT - 20)
    interval = by_rank(-1.1 * volume + rng.normal(0, 0.9, size), p.AVG_INTERVAL)
    span = np.minimum(interval * (flights - 1), p.MAX_DAYS_SINCE_FLIGHT - 1 - days_since)
    span = np.floor(span)
    last = opening - days_since
    # Joining dates from 2004-11-01 to 2013-03-31 for an opening on 2014-01-01, most of them late.
    tenure = 276 + whole(3_070 * rng.beta(1.0, 1.75, size))
    tenure = np.maximum(tenure, days_since + span.astype(np.int64) + 1)
    joined = opening - tenure
    first_gap = whole(by_rank(rng.normal(size=size), ((0, 0), (0.3, 0), (0.5, 20), (0.75, 161),
                                                       (0.95, 1_133), (1, 3_000))))  # fmt: skip
    # Newcomers have a few flights between joining and the end of their first month.
    month = (np.arange(size) - config.members) // joiners
    begins = np.array([day_number(start) for start in month_starts])
    lengths = np.diff(begins)
    slot = np.where(newcomer, month, 0)
    joined = np.where(newcomer, begins[slot] + whole(rng.random(size) * 12), joined)
    last = np.where(newcomer, begins[slot] + lengths[slot] - 1 - whole(rng.random(size) * 8), last)
    span = np.where(newcomer, np.minimum(last - joined, 8), span)
    first = np.minimum(joined + first_gap, last - span.astype(np.int64))

    avg_interval = span / (flights - 1)
    stretch = (1 + 1.7 * np.log(flights - 1)) * rng.lognormal(0, 0.2, size)
    max_interval = np.ceil(np.minimum(span, avg_interval * np.maximum(1, stretch)))

    outlier = rng.permutation(size)[: 3 * max(1, round(0.0001 * size))]
    first[outlier[0::3]] = day_number(date(1905, 12, 31))
    late = np.concatenate([outlier[1::3], outlier[2::3]])
    first[late] = day_number(month_starts[-1]) + rng.integers(30, 340, len(late))

    age = whole(by_rank(means[:, 2] + rng.normal(size=size), p.AGE))
    implausible = rng.permutation(size)[: 2 * max(1, round(0.0002 * size))]
    age[implausible[0::2]] = 6
    age[implausible[1::2]] = 110
    age_missing = np.zeros(size, dtype=np.bool_)
    age_missing[np.setdiff1d(some_of(rng, size, 0.0067), implausible)] = True

    rank = distance + rng.normal(0, 0.35, size)
    tier = whole(by_rank(rank, ((0, 4), (0.9219, 4), (0.922, 5), (0.976, 5), (0.9761, 6), (1, 6))))
    genders = stratified(rng, (0.764, 0.236), size)
    genders[some_of(rng, size, 0.00005)] = 2
    city, province, country = _draw_places(size, rng)

    discount = np.round(by_rank(fare_class + rng.normal(0, 0.1, size), p.DISCOUNT), 9)
    discount[some_of(rng, size, 0.0005)] = 0
    return Base(
        joined=joined,
        first_flight=first,
        last_flight=last,
        impossible=np.zeros(size, dtype=np.bool_),
        gender=pa.array(["Male", "Female", None]).take(pa.array(genders)),
        tier=tier,
        city=city,
        province=province,
        country=country,
        age=age,
        age_missing=age_missing,
        flights=flights,
        pace=flights / 24,
        km=km,
        base_points=base_points,
        points=points,
        revenue_1=revenue * earlier,
        revenue_2=revenue * (1 - earlier),
        revenue_1_missing=first_year_missing,
        revenue_2_missing=second_year_missing,
        avg_interval=avg_interval,
        max_interval=max_interval.astype(np.int64),
        exchanges=whole(by_rank(volume + rng.normal(0, 1.5, size), p.EXCHANGES)),
        discount=discount,
        non_flight=whole(by_rank(volume + rng.normal(0, 1.5, size), p.NON_FLIGHT)),
        revenue_per_km=revenue / km,
    )


def _draw_places(size: int, rng: np.random.Generator) -> tuple[pa.Array, pa.Array, pa.Array]:
    """Draw city, province and country with spelling variants, placeholders and nulls."""
    places = len(p.PLACES)
    weights, cities, provinces, countries = zip(*p.PLACES, strict=True)
    spot = stratified(rng, weights, size).astype(np.int64)
    chinese = np.array(countries)[spot] == "CN"
    municipal = np.isin(provinces, list(p.MUNICIPALITIES))[spot]

    # Each pool holds plain names, then suffixed ones (except countries), then placeholders.
    suffixed = chinese & (rng.random(size) < np.where(municipal, p.CITY_SUFFIX / 2, p.CITY_SUFFIX))
    city = spot + places * suffixed
    # Members with a suffixed city are likely to suffix the province, too.
    affinity = np.where(suffixed, 5 * p.PROVINCE_SUFFIX, 0.6 * p.PROVINCE_SUFFIX)
    province = spot + places * (chinese & (rng.random(size) < affinity))
    country = spot.copy()
    for gaps, column, offset in (
        (p.CITY_GAPS, city, 2 * places),
        (p.PROVINCE_GAPS, province, 2 * places),
        (p.COUNTRY_GAPS, country, places),
    ):
        # Lower-case and Chinese spellings only make sense for China.
        free = np.flatnonzero(chinese) if column is country else np.arange(size)
        wanted = [max(1, round(share * size)) for share, _ in gaps]
        chosen = rng.choice(free, sum(wanted), replace=False)
        if column is province:
            # Most members without a city have no province either.
            blank_city = np.flatnonzero(city == 2 * places)
            together = blank_city[: round(0.72 * len(blank_city))]
            rest = np.setdiff1d(chosen, together)
            chosen = np.concatenate([together, rng.permutation(rest)])[: sum(wanted)]
        column[chosen] = offset + np.repeat(np.arange(len(gaps)), wanted)

    long_provinces = (
        f"{name}{'shi' if name in p.MUNICIPALITIES else 'sheng'}" for name in provinces
    )
    pools: tuple[tuple[list[str | None], Ints], ...] = (
        ([*cities, *(f"{name}shi" for name in cities), *(gap for _, gap in p.CITY_GAPS)], city),
        ([*provinces, *long_provinces, *(gap for _, gap in p.PROVINCE_GAPS)], province),
        ([*countries, *(gap for _, gap in p.COUNTRY_GAPS)], country),
    )
    found = [pa.array(pool, pa.string()).take(pa.array(index)) for pool, index in pools]
    return found[0], found[1], found[2]
