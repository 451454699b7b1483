"""Whether rows can be trusted: expectations, quarantine, conservation and declared keys."""
