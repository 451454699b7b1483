"""A model's server beside `mlflow models serve`: requests a second and their times, in one run.

python -m lakehouse_assets_tests.benchmark.serving [--model NAME] [--clients 8] [--requests 4000]

It needs a lake that was built (the settings say where), and uses its rows, one in each request.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa

from lakehouse_assets.domains import DOMAINS
from lakehouse_assets.ml.lifecycle import score_frame
from lakehouse_assets.ml.sampling import feature_matrix
from lakehouse_assets.ml.spec import ModelTable
from lakehouse_assets.ml.tracking import MlflowTracking
from lakehouse_assets.orchestration.resources import LakeResource
from lakehouse_assets.serving.export import export
from lakehouse_assets.settings import load_settings
from lakehouse_assets_tests.ml.toy import champion_of
from lakehouse_assets_tests.operations.services import listens
from lakehouse_assets_tests.serving.processes import TOKEN, Answer, ask, serving
from lakehouse_assets_tests.sources.servers import free_port


def main() -> int:
    """Serve, ask, compare; 1 if a score is not that of the batch."""
    parser = argparse.ArgumentParser(description=__doc__)
    models = {model.spec.name: model for domain in DOMAINS for model in domain.models}
    parser.add_argument("--model", choices=models, default="airline_customer_segments")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--requests", type=int, default=4_000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    tracking = MlflowTracking.of(load_settings())
    bodies, expected = rows_of(models[given.model], tracking, given.requests)
    folder = Path(tempfile.mkdtemp(prefix="lakehouse-serving-"))
    export(models[given.model].spec, tracking, folder / "exported")
    port = free_port()
    programs = Path(sys.executable).parent
    variables = {
        **os.environ, "LAKEHOUSE_SERVING_TOKEN": TOKEN, "MLFLOW_DISABLE_TELEMETRY": "true",
        # MLflow's server starts uvicorn by its name.
        "PATH": f"{programs}:{os.environ['PATH']}",
    }  # fmt: skip
    log = (folder / "mlflow.log").open("w")
    other = subprocess.Popen(
        [programs / "mlflow", "models", "serve", "-m", folder / "exported", "--env-manager",
         "local", "--port", str(port)], env=variables, stdout=log, stderr=log,
        start_new_session=True,
    )  # fmt: skip
    try:
        with serving(folder, variables, given.model) as ours:
            while not listens(port):
                time.sleep(0.2)
            contestants = {"lakehouse serve model": ours.port, "mlflow models serve": port}
            processes = {ours.port: ours.process.pid, port: other.pid}
            fewer = dict(zip(contestants, (len(bodies), len(bodies) // 10), strict=True))
            for number in contestants.values():
                ask(number, bodies[:100], clients=given.clients)
            rates: dict[str, list[float]] = {name: [] for name in contestants}
            for _ in range(given.rounds):
                for name, number in contestants.items():
                    started, used = time.perf_counter(), cpu_of(processes[number])
                    answers = ask(number, bodies[: fewer[name]], clients=given.clients)
                    rates[name].append(len(answers) / (time.perf_counter() - started))
                    used = cpu_of(processes[number]) - used
                    _print(name, answers, rates[name][-1], used)
                    if number == ours.port:
                        found = [answer.body["predictions"][0] for answer in answers]
                        assert found == expected, "a score is not that of the batch"
    finally:
        os.killpg(other.pid, 15)
        other.wait()
    ratios = [ours / theirs for ours, theirs in zip(*rates.values(), strict=True)]
    _say(f"times as many requests a second: {', '.join(f'{ratio:.1f}' for ratio in ratios)}")
    _say(f"every score of {len(expected):,} rows is that of the batch")
    return 0


def rows_of(
    model: ModelTable, tracking: MlflowTracking, count: int
) -> tuple[list[bytes], list[object]]:
    """Return rows of the lake as requests of one row, and the scores that the batch gives them."""
    spec = model.spec
    lake = LakeResource.of(load_settings()).open()
    champion = champion_of(tracking, spec)
    with lake.engine.scope():
        rows = spec.prepare(lake.read(model.read.table)).select(*spec.features)
        scored = lake.engine.arrow_stream(score_frame(spec, lake.engine, rows, champion)).read_all()
    scored = scored.take(np.random.default_rng(1).integers(scored.num_rows, size=count))
    inputs = [
        scored[name].to_pylist() if name in spec.texts else _numbers(scored.select([name]))
        for name in spec.features
    ]
    bodies = [
        json.dumps({"dataframe_split": {"columns": spec.features, "data": [row]}}).encode()
        for row in zip(*inputs, strict=True)
    ]
    found = scored.select([*spec.scored]).to_pylist()
    return bodies, found if len(spec.scored) > 1 else [
        value for (value,) in map(dict.values, found)
    ]


def _numbers(column: pa.Table) -> list[float | None]:
    return [None if np.isnan(x) else x for x in feature_matrix(column)[:, 0].tolist()]


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def cpu_of(session: int) -> float:
    """Return the seconds of processor time of a process and of those in its session."""
    total = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parts = path.read_text().rpartition(")")[2].split()
            if session in {int(path.parent.name), int(parts[3])}:
                total += int(parts[11]) + int(parts[12])
    return total / os.sysconf("SC_CLK_TCK")


def _print(name: str, answers: list[Answer], rate: float, used: float) -> None:
    times = np.sort([answer.seconds for answer in answers]) * 1000
    _say(
        f"{name}: {rate:,.0f} requests/s, p50 {np.percentile(times, 50):.1f} ms, "
        f"p99 {np.percentile(times, 99):.1f} ms, {used / len(answers) * 1000:.2f} ms of CPU each, "
        f"{len(answers):,} requests, "
        f"{sum(answer.status != 200 for answer in answers)} not answered with 200"
    )


if __name__ == "__main__":
    sys.exit(main())
