"""The models of the airline domain: `segments.py` declares one, the others are its parts."""
