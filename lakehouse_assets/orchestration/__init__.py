"""All of Dagster: assets, IO manager, resources, jobs, sensors, schedules and the runner."""
