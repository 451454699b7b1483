"""The page about the stores' devices: their minutes, limits, anomalies, forecast and health."""

from lakehouse_assets.catalog.pages import Page, Slicer, Source, Visual
from lakehouse_assets.domains.retail.shared import DOMAIN

DEVICES = Page(
    "devices",
    "Devices",
    DOMAIN,
    "Thermostats of the stores. Temperatures, batteries and episodes out of the limits are "
    "measured; what is usual, expected or at risk is what the series and the model of health say.",
    sources=(
        # A day of minutes of each store, which has its devices as one.
        Source(
            "thermostat_anomalies", name="minutes", latest=("event_date", 1),
            where="device_id = 'All' and temp_avg is not null",
        ),
        Source("store_hours", dimensions={"city": "dim_stores.city"}),
        Source("gold_threshold_violations"),
        Source("thermostat_anomalies", where="device_id <> 'All'"),
        Source("thermostat_forecast"),
        Source("gold_device_health", latest=("event_date", 7)),
        Source("device_health_now"),
        Source("gold_devices_at_risk"),
    ),
    slicers=(Slicer("store_id"), Slicer("device_id")),
    labels={"store_id": "Store", "device_id": "Device", "measure": "Out of its limits"},
    visuals=(
        Visual("card", "Average temperature", source="store_hours",
               measures=("average_temperature",), width=3),
        Visual("card", "Episodes out of the limits", source="gold_threshold_violations",
               measures=("violations",), width=3),
        Visual("card", "Unusual minutes", source="thermostat_anomalies",
               measures=("temperature_anomalies",), width=3),
        Visual("card", "Devices at risk now", source="device_health_now",
               measures=("devices_at_risk_now",), width=3),
        Visual(
            "line", "Temperature by minute, and what is usual", source="minutes",
            dimensions=("minute",), measures=("average_temperature", "usual_temperature"),
            sort="dimension", width=12,
            note="The latest day (UTC), mean of the stores; choose a store to see its own.",
        ),
        Visual("line", "Temperature by hour", source="store_hours", dimensions=("hour",),
               measures=("average_temperature",), sort="dimension", width=6),
        Visual("bar", "Episodes out of the limits by store",
               source="gold_threshold_violations", dimensions=("store_id",),
               measures=("violations",), series="measure", width=6),
        Visual("table", "Stores", source="store_hours", dimensions=("store_id", "city"),
               measures=("average_temperature", "average_battery", "average_visitors"), width=12),
        Visual("bar", "Unusual minutes by device", source="thermostat_anomalies",
               dimensions=("device_id",), measures=("temperature_anomalies",), top=15, width=6),
        Visual(
            "line", "Expected temperature of the next minutes", source="thermostat_forecast",
            dimensions=("minute",), measures=("expected_temperature",), sort="dimension", width=6,
            note="Forecast from the two days before, mean of the chosen devices.",
        ),
        Visual(
            "line", "Probability of failing within 24 hours", source="gold_device_health",
            dimensions=("hour",), measures=("failure_probability",), sort="dimension", width=6,
            note="Model output: the highest of the chosen devices in each hour of a week.",
        ),
        Visual(
            "bar", "Hours left by device", source="device_health_now",
            dimensions=("device_id",), measures=("remaining_hours_now",), sort="dimension",
            width=6, note="Model output in the latest hour; 120 at most.",
        ),
        Visual(
            "table", "Devices that were at risk", source="gold_devices_at_risk",
            dimensions=("event_date", "device_id", "store_id", "risk", "reason_1", "reason_2"),
            measures=("least_remaining_hours",), sort="dimension", width=12,
            note="Model output at the end of each day; a device that was replaced is listed, too.",
        ),
    ),
)  # fmt: skip
