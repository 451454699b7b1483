"""Gold tables by topic: declarations and their rules."""
