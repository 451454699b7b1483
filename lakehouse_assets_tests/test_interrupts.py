"""Interrupts are noticed, whoever catches them."""

from __future__ import annotations

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from lakehouse_assets.orchestration.interrupts import noticing_interrupts


@pytest.fixture
def _nobody_minds() -> object:
    """Let a handler catch interrupts and forget them, as Dagster's does after the last step."""
    before = signal.signal(signal.SIGINT, lambda _number, _frame: None)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_nobody_minds")
def test_an_interrupt_that_a_handler_forgets_is_noticed_and_stays_so() -> None:
    with noticing_interrupts() as noticed:
        assert not noticed()
        os.kill(os.getpid(), signal.SIGINT)
        assert [noticed(), noticed()] == [True, True]
    with noticing_interrupts() as noticed:
        assert not noticed()


@pytest.mark.usefixtures("_nobody_minds")
def test_what_wakes_others_up_is_theirs_again_afterwards() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    before = signal.set_wakeup_fd(writer)
    try:
        with noticing_interrupts():
            pass
        os.kill(os.getpid(), signal.SIGINT)
        assert os.read(reader, 10) == bytes([signal.SIGINT])
    finally:
        signal.set_wakeup_fd(before)
        os.close(reader)
        os.close(writer)


def test_other_threads_are_never_interrupted() -> None:
    def ask() -> bool:
        assert threading.current_thread() is not threading.main_thread()
        with noticing_interrupts() as noticed:
            return noticed()

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(ask).result() is False
