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
        # A day of minutes of each store, which has all devices as one.
        Source(
            "thermostat_anomalies", name="minutes",
            where="device_id = 'All' and "
            "event_date = (select max(event_date) from retail.thermostat_anomalies)",
        ),
        Source("thermostat_anomalies", name="anomalies", where="flag <> 0 or temp_avg is null"),
        Source("store_hours", dimensions={"city": "dim_stores.city"}),
        Source("gold_threshold_violations"),
        Source("thermostat_forecast"),
        Source(
            "gold_device_health",
            where="hour = (select max(hour) from retail.gold_device_health)",
        ),
        Source(
            "gold_devices_at_risk",
            where="event_date = (select max(event_date) from retail.gold_devices_at_risk)",
        ),
    ),
    slicers=(Slicer("store_id"), Slicer("device_id")),
    labels={"store_id": "Store", "device_id": "Device", "measure": "Out of its limits"},
    visuals=(
        Visual("card", "Average temperature", source="store_hours",
               measures=("average_temperature",), width=3),
        Visual("card", "Episodes out of the limits", source="gold_threshold_violations",
               measures=("violations",), width=3),
        Visual("card", "Unusual minutes", source="anomalies",
               measures=("temperature_anomalies",), width=3),
        Visual("card", "Devices at risk", source="gold_devices_at_risk",
               measures=("devices_at_risk",), width=3, note="Model output, on the latest day."),
        Visual(
            "line", "Temperature by minute, and what is usual", source="minutes",
            dimensions=("minute",), measures=("average_temperature", "usual_temperature"),
            sort="dimension", width=12,
            note="The latest day (UTC), averages of the stores; choose a store to see its own.",
        ),
        Visual("line", "Temperature by hour", source="store_hours", dimensions=("hour",),
               measures=("average_temperature",), sort="dimension", width=7),
        Visual("table", "Stores", source="store_hours", dimensions=("store_id", "city"),
               measures=("average_temperature", "average_battery", "average_visitors"), width=5),
        Visual("bar", "Episodes out of the limits by store",
               source="gold_threshold_violations", dimensions=("store_id",),
               measures=("violations",), series="measure", width=6),
        Visual("bar", "Unusual minutes by device", source="anomalies", dimensions=("device_id",),
               measures=("temperature_anomalies",), top=15, width=6),
        Visual(
            "line", "Expected temperature of the next minutes", source="thermostat_forecast",
            dimensions=("minute",), measures=("expected_temperature",), sort="dimension", width=6,
            note="Forecast from the two days before, mean of the chosen devices.",
        ),
        Visual(
            "bar", "Probability of failing within 24 hours", source="gold_device_health",
            dimensions=("device_id",), measures=("highest_failure_probability",), top=15, width=6,
            note="Model output in the latest hour.",
        ),
        Visual(
            "table", "Devices to look after first", source="gold_devices_at_risk",
            dimensions=("device_id", "store_id", "risk", "reason_1", "reason_2"),
            measures=("least_remaining_hours",), width=12,
            note="Model output, on the latest day with readings.",
        ),
    ),
)  # fmt: skip
