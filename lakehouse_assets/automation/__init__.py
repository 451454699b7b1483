"""What makes the lakehouse run itself: deliveries, follow-ups, conditions and schedules."""
