"""Read by every Python of the morning: lets it sleep under libfaketime.

That takes the difference of clocks off the monotonic time until which Python sleeps, which fails
where the machine has not been up for so long, and does not sleep where it has.
"""

import select
import time


def _sleep(seconds: float) -> None:
    select.select([], [], [], max(0.0, seconds))


time.sleep = _sleep
