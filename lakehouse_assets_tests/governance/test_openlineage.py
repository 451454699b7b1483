"""OpenLineage events: they pass the specification, hold what runs recorded, and are never lost."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry as Schemas
from referencing import Resource

from lakehouse_assets.catalog.registry import Column, Registry
from lakehouse_assets.domains import MODELS, REGISTRY
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.governance.openlineage import (
    Data,
    Events,
    Step,
    Verdict,
    append_events,
    post_events,
)
from lakehouse_assets.orchestration.instance import dagster_instance
from lakehouse_assets.orchestration.openlineage import send_new, steps_of
from lakehouse_assets.storage.location import parse_location
from lakehouse_assets_tests.airline.samples import REPOSITORY, SampleRun
from lakehouse_assets_tests.lake.samples import table

Json = dict[str, Any]
SPEC = REPOSITORY.parent / "shared" / "schemas" / "openlineage"
SHOP = Registry(
    table(name, Column("mail", "string", "Mail.", pii="contact"), keys=("mail",))
    for name in ("bought", "sold")
)
RUN = "0d6b0d9f-9a0e-4d5e-8a39-8d3a4a7ad0f1"
STEP = Step(
    run_id=RUN, run="shop_daily", name="shop__sold", state="COMPLETE",
    started=datetime(2024, 1, 1, 6, tzinfo=UTC), ended=datetime(2024, 1, 1, 7, tzinfo=UTC),
    dagster="1.13.0",
    reads=(Data("shop.bought", 4), Data("shop/orders"), Data("churn", 2)),
    writes=(
        Data("shop.sold", 7, 12, 345, {"mail": (("shop.bought", "mail"),)}),
        Data("churn", 2),
    ),
    verdicts=(Verdict("shop.sold", "mail_is_known", False),),
)  # fmt: skip


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    if not SPEC.is_dir():
        pytest.skip("the specification (../shared/schemas/openlineage) is not on this machine")
    found = [json.loads(path.read_text("utf-8")) for path in SPEC.rglob("*.json")]
    schemas: Schemas[Any] = Schemas().with_resources(
        (schema["$id"], Resource.from_contents(schema)) for schema in found
    )
    facets = {}
    for schema in found:
        for name, reference in schema.get("properties", {}).items():
            if "$defs" in reference.get("$ref", ""):
                facets[name] = {"$ref": schema["$id"] + reference["$ref"]}
    # The specification itself does not say which facets there are.
    event = {"$ref": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"}
    one: Any = {"properties": facets, "additionalProperties": False}
    many = {"items": {"properties": dict.fromkeys(("facets", "inputFacets", "outputFacets"), one)}}
    # Jobs and tables have facets of the same names, and the same shapes.
    held = {"properties": {"facets": one}}
    parts = {"run": held, "job": held, "inputs": many, "outputs": many}
    schema = {"allOf": [event, {"properties": parts}]}
    return Draft202012Validator(schema, registry=schemas, format_checker=FormatChecker())


def faults(validator: Draft202012Validator, events: Iterable[Json]) -> list[str]:
    return [
        f"{event['job']['name']}: {error.json_path}: {error.message[:200]}"
        for event in events
        for error in validator.iter_errors(event)
    ]


def test_a_step_becomes_events_that_pass_the_specification(
    validator: Draft202012Validator,
) -> None:
    events = list(Events(SHOP, Path("/lake")).of(STEP))
    assert faults(validator, events) == []
    assert faults(validator, [replaced(events[0], "eventType", "ENDED")])
    assert [(e["job"]["name"], e["eventType"]) for e in events] == [
        ("shop__sold.fit", "START"), ("shop__sold.fit", "COMPLETE"),
        ("shop__sold", "START"), ("shop__sold", "COMPLETE"),
        ("shop__sold.checks.shop.sold", "START"), ("shop__sold.checks.shop.sold", "COMPLETE"),
    ]  # fmt: skip
    end, checks = events[3], events[5]
    assert [one["name"] for one in end["inputs"]] == ["/lake/shop/bought", "shop/orders", "churn"]
    (sold,) = end["outputs"]
    assert sold["facets"]["version"]["datasetVersion"] == "7"
    assert sold["facets"]["columnLineage"]["fields"]["mail"]["inputFields"] == [
        {"namespace": "file", "name": "/lake/shop/bought", "field": "mail"}
    ]
    assert sold["facets"]["tags"]["tags"][0]["value"] == "contact"
    assert sold["outputFacets"]["outputStatistics"]["rowCount"] == 12
    (fitted,) = events[1]["outputs"]
    assert (fitted["name"], fitted["facets"]["version"]["datasetVersion"]) == ("churn", "2")
    assert [one["name"] for one in events[1]["inputs"]] == ["/lake/shop/bought", "shop/orders"]
    (checked,) = checks["inputs"]
    assert checked["inputFacets"]["dataQualityAssertions"]["assertions"] == [
        {"assertion": "mail_is_known", "success": False}
    ]
    ids = {e["job"]["name"]: e["run"]["runId"] for e in events}
    assert len({*ids.values()}) == 3
    assert events == list(Events(SHOP, Path("/lake")).of(STEP))
    assert end["run"]["facets"]["parent"]["run"]["runId"] == RUN


def replaced(event: Json, key: str, value: object) -> Json:
    return {**event, key: value}


def test_a_failed_step_and_a_lake_in_a_store(validator: Draft202012Validator) -> None:
    root = parse_location("abfss://ws@onelake.dfs.fabric.microsoft.com/lh.Lakehouse/Tables")
    failed = replace(STEP, state="FAIL", writes=(Data("shop.sold"),), verdicts=())
    start, end = Events(SHOP, root).of(failed)
    assert faults(validator, [start, end]) == []
    assert (end["eventType"], end["outputs"]) == (
        "FAIL",
        [
            {
                "namespace": "abfss://ws@onelake.dfs.fabric.microsoft.com",
                "name": "lh.Lakehouse/Tables/shop/sold",
            }
        ],
    )


def test_what_the_sample_recorded(sample: SampleRun, validator: Draft202012Validator) -> None:
    lake = sample.house.lake
    tables = {t.full_name for t in REGISTRY}
    with dagster_instance(sample.house.settings) as instance:
        steps = [s for run in instance.get_runs() for s in steps_of(instance, run, tables)]
    events = Events(REGISTRY, sample.house.settings.root)
    made = [event for step in steps for event in events.of(step)]
    assert faults(validator, made) == []
    written = {one.name: one for step in steps for one in step.writes}
    built = {t.full_name for t in REGISTRY if lake.version(t)}
    assert built - written.keys() <= {t for t in tables if t.startswith("quality.")}
    assert all(one.version for one in written.values())
    value = next(step for step in steps if step.name == "airline__kpi_customer_value")
    assert {read.name: read.version for read in value.reads} == {
        name: lake.version(REGISTRY[name])
        for name in ("airline.customer_spend", "airline.dim_customers", "airline.fact_flights")
    }
    assert value.writes[0].lineage["total_spent"] == (
        ("airline.customer_spend", "completed_amount"),
    )
    bronze = next(step for step in steps if step.name == "airline__load_flights")
    assert bronze.reads == (Data("airline/flights"),)
    assert len(written.keys() & MODELS.keys()) > 2
    assert sum(len(step.verdicts) for step in steps) > 200


@dg.asset(name="sold", key_prefix="shop")
def sold() -> dg.MaterializeResult[Any]:
    return dg.MaterializeResult(metadata={"delta_version": 3})


@dg.asset(name="bought", key_prefix="shop")
def bought() -> None:
    raise ValueError("a secret row")


class Flaky:
    """A receiver that takes nothing until it is up."""

    def __init__(self) -> None:
        self.up, self.taken = False, list[Json]()

    def __call__(self, events: Iterable[Json]) -> None:
        if not self.up:
            raise LakehouseError("The receiver is down.")
        self.taken += events


def test_a_lost_receiver_delays_events_and_loses_none() -> None:
    receiver = Flaky()
    with dg.DagsterInstance.ephemeral() as instance:

        def send() -> int:
            return send_new(instance, SHOP, Path("/lake"), receiver)

        assert dg.materialize([sold], instance=instance).success
        assert not dg.materialize([bought], instance=instance, raise_on_error=False).success
        with pytest.raises(LakehouseError, match="is down"):
            send()
        receiver.up = True
        assert send() == 2
        assert send() == 0
        told = [(e["outputs"][0]["name"], e["eventType"]) for e in receiver.taken]
        assert told == [
            ("/lake/shop/sold", "START"), ("/lake/shop/sold", "COMPLETE"),
            ("/lake/shop/bought", "START"), ("/lake/shop/bought", "FAIL"),
        ]  # fmt: skip
        assert "secret" not in json.dumps(receiver.taken)
        assert dg.materialize([sold], instance=instance).success
        assert send() == 1
        assert len(receiver.taken) == 6


def test_events_are_lines_of_a_file_that_only_its_owner_reads(tmp_path: Path) -> None:
    path = tmp_path / "new" / "events.jsonl"
    append_events(path, [{"a": "\u00e4\n"}, {"b": 2}])
    append_events(path, [{"c": 3}])
    lines = path.read_text("utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [{"a": "\u00e4\n"}, {"b": 2}, {"c": 3}]
    assert path.stat().st_mode & 0o077 == 0
    with pytest.raises(LakehouseError, match="LAKEHOUSE_OPENLINEAGE_FILE"):
        append_events(tmp_path, [{}])


@contextmanager
def server(status: int) -> Iterator[tuple[str, list[tuple[str, str | None, Json]]]]:
    """Serve an address that answers each request with a status; yield what it was sent."""
    taken: list[tuple[str, str | None, Json]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            taken.append((self.path, self.headers["Authorization"], json.loads(body)))
            self.send_response(status)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_args: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as served:
        thread = threading.Thread(target=served.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{served.server_port}/api/v1/lineage", taken
        finally:
            served.shutdown()
            thread.join()


def test_events_are_posted_with_a_token() -> None:
    with server(201) as (address, taken):
        post_events(address, "t0ken", [{"a": 1}, {"b": 2}])
    assert taken == [("/api/v1/lineage", "Bearer t0ken", {"a": 1}),
                     ("/api/v1/lineage", "Bearer t0ken", {"b": 2})]  # fmt: skip


@pytest.mark.parametrize(("status", "reason"), [(500, "HTTP 500"), (302, "HTTP 302")])
def test_a_receiver_that_refuses_is_named_without_its_address(status: int, reason: str) -> None:
    with server(status) as (address, taken), pytest.raises(LakehouseError, match=reason) as error:
        post_events(address, "t0ken", [{"a": 1}])
    assert len(taken) == 1
    assert "127.0.0.1" not in str(error.value)
    assert "t0ken" not in str(error.value)
