"""Four thousand damaged files end as rows, rejects or one sentence, in bounded time and memory."""

from __future__ import annotations

from lakehouse_assets_tests.ingest.fuzz import run


def test_damaged_files_end_as_rows_rejects_or_one_sentence(engine, tmp_path):
    found = run(engine, tmp_path, 4_000, seed=1)
    assert found.keys() == {"files", "rows", "rejects", "refused"}
    assert found["files"] == 4_000
    assert min(found.values()) > 400
