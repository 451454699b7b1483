"""The page on the stores' devices: temperatures, limits, anomalies, forecast and health."""

from lakehouse_assets.catalog.pages import Page, Slicer, Source, Visual
from lakehouse_assets.domains.retail.shared import DOMAIN

DEVICES = Page(
    "devices",
    "Devices",
    DOMAIN,
    "The stores' thermostats. Temperatures, batteries and episodes outside the limits are "
    "measured. Usual and expected temperatures come from the time series; risks come from the "
    "device health model.",
    sources=(
        # One day of minutes per store; 'All' is the average of its devices.
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
    labels={"store_id": "Store", "device_id": "Device", "measure": "Limit exceeded"},
    visuals=(
        Visual("card", "Average temperature", source="store_hours",
               measures=("average_temperature",), width=3),
        Visual("card", "Episodes outside the limits", source="gold_threshold_violations",
               measures=("violations",), width=3),
        Visual("card", "Unusual minutes", source="thermostat_anomalies",
               measures=("temperature_anomalies",), width=3),
        Visual("card", "Devices at risk now", source="device_health_now",
               measures=("devices_at_risk_now",), width=3),
        Visual(
            "line", "Temperature by minute, actual and usual", source="minutes",
            dimensions=("minute",), measures=("average_temperature", "usual_temperature"),
            sort="dimension", width=12,
            note="The latest day (UTC), average of all stores. Select a store to see its own.",
        ),
        Visual("line", "Temperature by hour", source="store_hours", dimensions=("hour",),
               measures=("average_temperature",), sort="dimension", width=6),
        Visual("bar", "Episodes outside the limits by store",
               source="gold_threshold_violations", dimensions=("store_id",),
               measures=("violations",), series="measure", width=6),
        Visual("table", "Stores", source="store_hours", dimensions=("store_id", "city"),
               measures=("average_temperature", "average_battery", "average_visitors"), width=12),
        Visual("bar", "Unusual minutes by device", source="thermostat_anomalies",
               dimensions=("device_id",), measures=("temperature_anomalies",), top=15, width=6),
        Visual(
            "line", "Expected temperature in the next minutes", source="thermostat_forecast",
            dimensions=("minute",), measures=("expected_temperature",), sort="dimension", width=6,
            note="Forecast from the previous two days, average of the selected devices.",
        ),
        Visual(
            "line", "Probability of failure within 24 hours", source="gold_device_health",
            dimensions=("hour",), measures=("failure_probability",), sort="dimension", width=6,
            note="Model output: the highest of the selected devices, by hour, over a week.",
        ),
        Visual(
            "bar", "Hours left by device", source="device_health_now",
            dimensions=("device_id",), measures=("remaining_hours_now",), sort="dimension",
            width=6, note="Model output for the latest hour, at most 120.",
        ),
        Visual(
            "table", "Devices that were at risk", source="gold_devices_at_risk",
            dimensions=("event_date", "device_id", "store_id", "risk", "reason_1", "reason_2"),
            measures=("least_remaining_hours",), sort="dimension", width=12,
            note="Model output at the end of each day. Devices that were replaced are included.",
        ),
    ),
)  # fmt: skip
