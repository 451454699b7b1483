"""The models of the airline domain: `segments.py` and `small_segments.py` declare one each."""
