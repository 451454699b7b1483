"""The daemon at length: deliveries, killed processes, stores that fail and full disks."""
