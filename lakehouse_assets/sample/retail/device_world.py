"""The simulated stores: what their devices measure each hour, and the truth behind it.

Every hour (UTC) is drawn from the seed and its own number, so hours can be made in any order and
any number, and always give the same values.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from itertools import pairwise
from typing import NamedTuple, TypeAlias
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from lakehouse_assets.domains.retail import reference

Array: TypeAlias = npt.NDArray[np.float64]
Flags: TypeAlias = npt.NDArray[np.bool_]
Whole: TypeAlias = npt.NDArray[np.int64]

STORES = 10
PER_STORE = 10
# With fewer devices per store, those that the reference lab's queries name are kept.
_ORDER = (5, 1, 2, 9, 3, 4, 6, 7, 8, 10)
OPENS, CLOSES = 9 * 60, 21 * 60
"""Opening hours in minutes of the store's local day."""
COMFORT = 67.0
"""Mean temperature in F."""
HEALTHY = (60.0, 74.0)
"""Lowest and highest temperature in F that a healthy device reports, planted anomalies aside."""
_RHYTHM = 0.8
_MINUTE_NOISE = 0.4
_ANOMALY = 8.0
_HEAT = 0.03
"""Degrees F that one more visitor per device adds once the heat has come."""
# Hours before a failure in which wear shows, and in which the device overheats.
_WEAR_HOURS, _OVERHEAT_HOURS = 120.0, 4.0
_ORIGIN = datetime(2021, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class DeviceConfig:
    """What to simulate.

    Attributes:
        seed: Seed of every random draw; equal options give equal messages.
        start: First day (UTC).
        hours: Number of hours.
        interval: Seconds between two readings of a device; divides an hour.
        per_store: Devices of each of the ten stores, 1 to 10.
        partitions: Partitions of each topic.
        life_days: Mean days until a device fails.
        anomalies: Planted anomalies per device and day: one minute, 8 F too warm or too cold.
        late: Share of the messages of a store that arrive up to 30 minutes late.
        replayed: Share of minutes whose messages arrive a second time, up to 30 minutes later.
        swapped: Share of messages that arrive up to three intervals late, and so out of order.
        broken: Share of messages that a truncated copy precedes.
        unknown: Share of messages with a reading of an unknown device.
        celsius: Share of a device's hours in which it reports in C.
        skewed: Share of a device's days on which its clock is up to ten minutes off.
        silent: Share of a device's hours in which it is silent for 10 to 60 minutes.
    """

    seed: int = 1
    start: date = date(2021, 10, 20)
    hours: int = 24
    interval: int = 5
    per_store: int = PER_STORE
    partitions: int = 1
    life_days: float = 90.0
    anomalies: float = 1.0
    late: float = 0.01
    replayed: float = 0.01
    swapped: float = 0.02
    broken: float = 0.0005
    unknown: float = 0.0005
    celsius: float = 0.002
    skewed: float = 0.005
    silent: float = 0.002

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        if self.interval < 1 or 3600 % self.interval:
            raise ValueError(f"interval must divide an hour of 3600 seconds, got {self.interval}")
        if not 1 <= self.per_store <= PER_STORE:
            raise ValueError(f"per_store must be 1 to {PER_STORE}, got {self.per_store}")
        if self.hours < 1 or self.partitions < 1 or self.life_days <= 0:
            raise ValueError("hours, partitions and life_days must be positive")

    @property
    def first_hour(self) -> int:
        """Hours from 1970 to the start."""
        return (self.start - date(1970, 1, 1)).days * 24

    def random(self, purpose: str, number: int) -> np.random.Generator:
        """Return the random stream of a purpose in an hour or day, or for a device."""
        return np.random.default_rng([self.seed, *purpose.encode(), number])


class Device(NamedTuple):
    """A device."""

    device_id: str
    number: int
    store: int

    @property
    def store_id(self) -> str:
        """The store's name."""
        return f"S{self.store + 1:03}"


class Life(NamedTuple):
    """A device from its installation to its failure; hours since 1970."""

    installed: float
    failed: float


class Anomaly(NamedTuple):
    """A planted anomaly: in this minute the device is 8 F too warm (sign 1) or too cold (-1)."""

    device_id: str
    minute: np.datetime64
    sign: int


@dataclass(frozen=True)
class HourReadings:
    """The readings of an hour; arrays have the shape [reading, device] unless said otherwise.

    Attributes:
        devices: The devices, in the order of the arrays.
        ticks: True time of each reading, in seconds since 1970 [reading].
        clocks: Time by the device's own clock, in seconds since 1970.
        sent: Whether there is a reading: the device is neither silent nor failed.
        battery: Level, 0 to 100.
        temperature: F, one decimal.
        celsius: Whether it is reported in C.
        visitors: Visitors counted.
        entered: Visitors who came in.
        gone: Visitors who went out.
        aisle: Mean minutes in aisles.
        dwell: Mean minutes in front of displays.
        anomalies: Planted anomalies of which at least one reading is sent.
    """

    devices: tuple[Device, ...]
    ticks: Whole
    clocks: Whole
    sent: Flags
    battery: Whole
    temperature: Array
    celsius: Flags
    visitors: Whole
    entered: Whole
    gone: Whole
    aisle: Whole
    dwell: Whole
    anomalies: tuple[Anomaly, ...]


class World:
    """The stores, crowds and devices of a configuration."""

    def __init__(self, config: DeviceConfig) -> None:
        self.config = config
        stores = reference.stores()
        self.cities: list[str] = stores["city"].to_pylist()
        self._zones = [ZoneInfo(name) for name in stores["time_zone"].to_pylist()]
        chosen = sorted(_ORDER[: config.per_store])
        self.devices = tuple(
            Device(f"TH{store * PER_STORE + place:03}", store * PER_STORE + place, store)
            for store in range(STORES)
            for place in chosen
        )
        self._stores = np.array([device.store for device in self.devices])
        self._lives = cache(self._lives_of)
        self._spikes = cache(self._spikes_of)
        drawn = [config.random("device", device.number) for device in self.devices]
        self._offsets = np.array([rng.uniform(-0.4, 0.4) for rng in drawn])
        self._busy = np.array([rng.uniform(0.8, 1.2) for rng in drawn])

    def lag(self, store: int) -> int:
        """Return the minutes after which a crowd's heat is greatest in a store (0 to 9)."""
        return int(self.config.random("lag", store).integers(8, 19))

    def lives(self, device: Device, until: float) -> tuple[Life, ...]:
        """Return a device's lives up to the first that ends after so many hours since 1970."""
        years = math.ceil(until / (366 * 24))
        found = self._lives(device.number, years)
        last = next(n for n, life in enumerate(found) if life.failed >= until)
        return found[: last + 1]

    def _lives_of(self, number: int, years: int) -> tuple[Life, ...]:
        """Draw a device's lives until so many years of 366 days after 1970."""
        rng = self.config.random("lives", number)
        mean = self.config.life_days * 24
        scale = mean / math.gamma(1 + 1 / 3)
        installed = _ORIGIN.timestamp() / 3600 - rng.uniform(0, mean)
        lives: list[Life] = []
        while not lives or lives[-1].failed < years * 366 * 24:
            failed = installed + max(24.0, scale * rng.weibull(3))
            lives.append(Life(installed, failed))
            installed = failed + rng.uniform(2, 24)
        return tuple(lives)

    def failures(self) -> list[tuple[str, datetime, datetime, datetime]]:
        """Return the lives that touch the configured span, by device and time.

        Each is the device, when it was installed, when it failed, and when its successor was
        installed (UTC). Failures after the end of the span are included: they are the truth of
        devices that still work.
        """
        first = self.config.first_hour
        last = first + self.config.hours
        found = []
        for device in self.devices:
            # Lives are at most about 2.5 times as long as the mean.
            lives = self.lives(device, last + 5 * 24 * self.config.life_days)
            for life, after in pairwise(lives):
                if after.installed > first and life.installed < last:
                    found.append((device.device_id, _at(life.installed), _at(life.failed),
                                  _at(after.installed)))  # fmt: skip
        return found

    def local_minutes(self, store: int, minutes: Whole) -> Whole:
        """Convert minutes since 1970 (UTC) to the store's local time; one offset per hour."""
        zone = self._zones[store]
        moment = datetime.fromtimestamp(int(minutes[-1]) * 60, zone)
        offset = moment.utcoffset()
        assert offset is not None  # noqa: S101 - a zone always has one
        return minutes + int(offset.total_seconds()) // 60

    def crowd(self, store: int, minutes: Whole) -> Array:
        """Return the mean visitors per device in each minute since 1970 (UTC)."""
        local = self.local_minutes(store, minutes)
        of_day = local % 1440
        open_ = (of_day >= OPENS) & (of_day < CLOSES)
        rhythm = 30 + 6 * np.sin(2 * np.pi * (of_day - OPENS) / (CLOSES - OPENS) * 1.5)
        # The shop fills up and empties within half an hour.
        door = np.clip(np.minimum(of_day - OPENS, CLOSES - of_day) / 30, 0, 1)
        for day in np.unique(local // 1440):
            for start, end, size in self._spikes(store, int(day)):
                rhythm = rhythm + size * ((local >= start) & (local < end))
        return np.asarray(np.where(open_, rhythm * door, 0.0), dtype=np.float64)

    def spikes(self, store: int, day: date) -> tuple[tuple[datetime, datetime], ...]:
        """Return the start and end (UTC) of the crowds of a store on a local day."""
        zone = self._zones[store]
        number = (day - date(1970, 1, 1)).days
        return tuple(
            (_local(start, zone), _local(end, zone))
            for start, end, _ in self._spikes(store, number)
        )

    def _spikes_of(self, store: int, day: int) -> tuple[tuple[int, int, float], ...]:
        """Draw the crowds of a local day: start and end in local minutes since 1970, visitors."""
        rng = self.config.random("crowds", day * STORES + store)
        # One in the morning, one in the afternoon, one in the evening: each in its own window.
        windows = ((OPENS + 60, OPENS + 210), (13 * 60, 16 * 60), (17 * 60, 19 * 60))
        found = []
        for first, last in windows:
            start = day * 1440 + int(rng.integers(first, last))
            found.append((start, start + int(rng.integers(15, 26)), float(rng.uniform(28, 40))))
        return tuple(found)

    def store_temperature(self, store: int, minutes: Whole) -> Array:
        """Return a store's temperature without noise in each of successive minutes (UTC), in F.

        Each minute's crowd adds heat that comes and goes around the store's `lag`: the cooling
        answers, and twice the lag later nothing is left.
        """
        lag = self.lag(store)
        weights = np.hanning(2 * lag + 3)[1:-1]
        earlier = np.arange(minutes[0] - 2 * lag, minutes[-1] + 1)
        heat = np.convolve(self.crowd(store, earlier), weights / weights.sum(), mode="valid")
        hours = (self.local_minutes(store, minutes) % 1440) / 60
        rhythm = _RHYTHM * np.cos(2 * np.pi * (hours - 15) / 24)
        return np.asarray(COMFORT - 0.45 + rhythm + _HEAT * heat, dtype=np.float64)

    def hour(self, hour: int) -> HourReadings:
        """Return the readings of an hour, numbered since 1970."""
        config, size = self.config, len(self.devices)
        rng = config.random("readings", hour)
        ticks = hour * 3600 + np.arange(0, 3600, config.interval)
        shape = (len(ticks), size)
        minutes = hour * 60 + np.arange(60)
        in_hour = (ticks // 60 - hour * 60).astype(int)
        crowds = np.stack([self.crowd(s, minutes) for s in range(STORES)])[:, in_hour].T
        warmth = np.stack([self.store_temperature(s, minutes) for s in range(STORES)])[:, in_hour].T
        left, age = self._wear(ticks / 3600)
        worn = np.clip(1 - left / _WEAR_HOURS, 0, 1) ** 1.5
        hot = 12 * np.clip(1 - left / _OVERHEAT_HOURS, 0, 1)
        # A reading is the mean over its interval, so that longer ones are less noisy.
        noise = rng.normal(0, _MINUTE_NOISE * math.sqrt(60 / config.interval), shape)
        usual = warmth[:, self._stores] + self._offsets + noise * (1 + worn)
        temperature = np.clip(usual, *HEALTHY) + 0.8 * worn + hot
        off = left <= 0
        silent = self._silent(hour, ticks)
        off |= silent | (rng.random(shape) < 0.2 * worn)
        healthy = (left[0] > _WEAR_HOURS) & (age[0] > 72)
        shift, planted = self._planted(hour, in_hour, ~off & healthy)
        temperature = np.clip(np.round(temperature + shift, 1), 40, 100)
        usage = 70 * np.minimum(age / (config.life_days * 24 * 1.6), 1)
        battery = np.clip(np.round(100 - usage - 25 * worn + rng.normal(0, 0.3, shape)), 0, 100)
        visitors = np.maximum(
            np.round(crowds[:, self._stores] * self._busy + rng.normal(0, 1.5, shape)), 0
        )
        visitors = np.where(crowds[:, self._stores] > 0, visitors, 0)
        busy = visitors > 0
        entered, gone = np.minimum(rng.poisson(visitors / 8, (2, *shape)), 10)
        aisle = np.clip(np.round(25 - visitors / 20 + rng.normal(0, 1, shape)), 20, 30)
        dwell = np.clip(np.round(8 + visitors / 15 + rng.normal(0, 1, shape)), 5, 15)
        celsius = config.random("celsius", hour).random(size) < config.celsius
        return HourReadings(
            self.devices,
            ticks,
            ticks[:, None] + self._skew(hour // 24),
            ~off,
            battery.astype(np.int64),
            temperature,
            np.broadcast_to(celsius, shape),
            visitors.astype(np.int64),
            entered.astype(np.int64),
            gone.astype(np.int64),
            np.where(busy, aisle, 0).astype(np.int64),
            np.where(busy, dwell, 0).astype(np.int64),
            planted,
        )

    def _wear(self, hours: Array) -> tuple[Array, Array]:
        """Return the hours to the failure (negative until the successor comes) and the age."""
        left = np.empty((len(hours), len(self.devices)))
        age = np.empty_like(left)
        for column, device in enumerate(self.devices):
            lives = self.lives(device, hours[-1] + 1)[-3:]
            at = np.maximum(np.searchsorted([life.installed for life in lives], hours, "right"), 1)
            left[:, column] = np.array([life.failed for life in lives])[at - 1] - hours
            age[:, column] = hours - np.array([life.installed for life in lives])[at - 1]
        return left, age

    def _silent(self, hour: int, ticks: Whole) -> Flags:
        rng, size = self.config.random("silent", hour), len(self.devices)
        chosen = rng.random(size) < self.config.silent
        first = hour * 3600 + rng.integers(0, 50, size) * 60
        length = rng.integers(10, 61, size) * 60
        during = (ticks[:, None] >= first) & (ticks[:, None] < first + length)
        return np.asarray(during & chosen)

    def _skew(self, day: int) -> Whole:
        """Return by how many seconds the devices' clocks are off on a day."""
        rng, size = self.config.random("clocks", day), len(self.devices)
        chosen = rng.random(size) < self.config.skewed
        off = rng.integers(60, 601, size) * rng.choice([-1, 1], size)
        return np.asarray(np.where(chosen, off, 0), dtype=np.int64)

    def _planted(
        self, hour: int, in_hour: npt.NDArray[np.int_], sent: Flags
    ) -> tuple[Array, tuple[Anomaly, ...]]:
        """Return what anomalies add to each reading, and those of which a reading is sent."""
        rng, size = self.config.random("anomalies", hour), len(self.devices)
        shift = np.zeros(sent.shape)
        planted = []
        skew = self._skew(hour // 24)
        for _ in range(rng.poisson(size * self.config.anomalies / 24)):
            column, place, sign = (
                rng.integers(size),
                rng.integers(len(in_hour)),
                rng.choice([-1, 1]),
            )
            # Minutes are those of the device's clock, which must not be off.
            during = (in_hour == in_hour[place]) & sent[:, column]
            if skew[column] or not during.any() or shift[place, column]:
                continue
            shift[during, column] = sign * _ANOMALY
            minute = np.datetime64(int(hour * 60 + in_hour[place]), "m")
            planted.append(Anomaly(self.devices[column].device_id, minute, int(sign)))
        return shift, tuple(sorted(planted))


def _at(hours: float) -> datetime:
    return datetime.fromtimestamp(round(hours * 3600), UTC)


def _local(minute: int, zone: ZoneInfo) -> datetime:
    naive = datetime.fromtimestamp(minute * 60, UTC).replace(tzinfo=zone)
    return naive.astimezone(UTC)
