"""Tables follow their sources: a month of deliveries on paper, and a short one for real.

On paper a run is an event in the instance and nothing else, so that a month takes seconds; sensors
and conditions are the real ones.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import date, timedelta

import dagster as dg
import pytest
from dagster._core.events import DagsterEvent, StepMaterializationData

from lakehouse_assets.catalog.datasets import Dataset, bronze_table
from lakehouse_assets.catalog.registry import MONTH
from lakehouse_assets.catalog.streams import stream_tables
from lakehouse_assets.domains import DATASETS, REGISTRY, STREAMS
from lakehouse_assets.domains.airline.datasets.flights import FLIGHTS
from lakehouse_assets.domains.airline.datasets.transactions import SILVER_TRANSACTIONS, TRANSACTIONS
from lakehouse_assets.domains.airline.gold import customers as gold_customers
from lakehouse_assets.domains.airline.gold import segments as gold_segments
from lakehouse_assets.domains.airline.gold import value as gold_value
from lakehouse_assets.domains.airline.models.segments import SEGMENTS
from lakehouse_assets.domains.airline.shared import DOMAIN
from lakehouse_assets.domains.retail.datasets.customers import CUSTOMERS
from lakehouse_assets.domains.retail.datasets.online_sales import ONLINE_SALES
from lakehouse_assets.domains.retail.datasets.store_sales import STORE_SALES
from lakehouse_assets.domains.retail.datasets.website import WEBSITE
from lakehouse_assets.ingest.landing import LandingZone, content_of
from lakehouse_assets.ingest.reader import by_partition
from lakehouse_assets.ml.decisions import promote_by_hand, versions_of
from lakehouse_assets.ml.tracking import MlflowTracking
from lakehouse_assets.orchestration.io_manager import DeltaIOManager
from lakehouse_assets.orchestration.jobs import QUALITY
from lakehouse_assets.orchestration.pages_asset import KEY as PAGES
from lakehouse_assets.orchestration.recorded import LOADED_FROM
from lakehouse_assets_tests.airline.samples import House, member, purchase, tables_of
from lakehouse_assets_tests.airline.test_segments import launchpad, snapshot
from lakehouse_assets_tests.automation.caretaker import AUTOMATIC, Caretaker
from lakehouse_assets_tests.retail.samples import deliver
from lakehouse_assets_tests.test_incremental import values

DAILY = frozenset(TRANSACTIONS.loaded_tables)
SNAPSHOTS = frozenset(FLIGHTS.loaded_tables)
GOLD = frozenset(
    table.name
    for table in REGISTRY
    if table.domain == DOMAIN and table.layer in {"gold", "segments"} and table.partition
)
# Calendars and the like, which nothing but their absence makes.
WHOLE = frozenset(
    table.name
    for table in REGISTRY
    if table.partition is None and table.domain != "quality" and table.layer != "bronze"
)
# What a purchase changes: the members themselves stay as they are.
OF_PURCHASES = frozenset(
    {
        "fact_transactions", "customer_spend", "kpi_customer_value", "gold_customer_segments_ml",
        "gold_segment_summary", "gold_segment_migration", "gold_newly_at_risk",
    }
)  # fmt: skip


class Paper(Caretaker):
    """A caretaker whose runs are events only."""

    def run(
        self,
        keys: list[dg.AssetKey],
        first: str | None,
        last: str | None,
        asked: Mapping[str, str] | None = None,
    ) -> None:
        """Record the partitions as made, by one run."""
        zone = LandingZone(self.house.settings.landing)
        loaded = {
            (dg.AssetKey(bronze_table(dataset).key), str(partition)): content_of(files)
            for dataset in DATASETS
            if dg.AssetKey(bronze_table(dataset).key) in keys
            for partition, files in by_partition(dataset, zone.files(dataset)).items()
        }
        run = self.instance.add_run(dg.DagsterRun("paper", asset_selection=frozenset(keys)))
        for key in keys:
            for partition in _partitions(self.definitions, key, first, last):
                content = loaded.get((key, str(partition)))
                facts = {LOADED_FROM: content} if content else None
                made = StepMaterializationData(
                    dg.AssetMaterialization(key, partition=partition, metadata=facts)
                )
                kind = dg.DagsterEventType.ASSET_MATERIALIZATION.value
                event = DagsterEvent(kind, run.job_name, event_specific_data=made)
                self.instance.report_dagster_event(event, run.run_id)
                self.runs.append((frozenset({key.path[-1]}), str(partition), str(partition)))

    def day(self) -> Counter[tuple[str, str]]:
        """Let everything follow; return what ran, with how often it did."""
        before = len(self.runs)
        self.settle()
        self.deliveries("flights")
        self.deliveries("transactions")
        self.follow()
        return Counter((name, first) for names, first, _ in self.runs[before:] for name in names)


def _partitions(
    definitions: dg.Definitions, key: dg.AssetKey, first: str | None, last: str | None
) -> list[str | None]:
    partitions = definitions.resolve_asset_graph().get(key).partitions_def
    if partitions is None or first is None or last is None:
        return [None]
    return list(partitions.get_partition_keys_in_range(dg.PartitionKeyRange(first, last)))


def of_domain(name: str) -> dg.AssetSelection:
    """Return a domain and the calendars: a look at the other takes as long without deliveries."""
    whole = dg.AssetSelection.assets(*[dg.AssetKey(REGISTRY[name].key) for name in WHOLE])
    return dg.AssetSelection.key_prefixes(name) | whole


def once(names: frozenset[str], *partitions: str) -> Counter[tuple[str, str]]:
    return Counter((name, partition) for name in names for partition in partitions)


def test_a_month_of_deliveries_runs_exactly_what_each_touches(
    house: House, instance: dg.DagsterInstance
) -> None:
    caretaker = Paper(house, instance, watched=of_domain(DOMAIN))
    assert caretaker.day() == once(WHOLE, "None")
    assert caretaker.day() == Counter()
    for number in (1, 2, 10, 30):
        day = date(2014, 3, number).isoformat()
        house.deliver_purchases(day, [purchase(f"T{number}")])
        # The first delivery begins the month: every table of it is made, once.
        expected = GOLD if number == 1 else OF_PURCHASES
        assert caretaker.day() == once(DAILY, day) + once(expected, "2014-03-01"), day
    house.deliver_members("2014-03-31", [member(1)])
    assert caretaker.day() == once(SNAPSHOTS | GOLD, "2014-03-01")
    # A quiet month: no month comes into being that nobody delivered.
    assert caretaker.day() == Counter()
    # April builds on March and leaves it alone.
    house.deliver_purchases("2014-04-01", [purchase("T99")])
    assert caretaker.day() == once(DAILY, "2014-04-01") + once(GOLD, "2014-04-01")
    # A correction in March changes what April adds up, and nothing else of April.
    house.deliver_purchases("2014-03-10", [purchase("T10", amount=1_000)])
    sums = OF_PURCHASES - {"fact_transactions", "customer_spend"}
    assert caretaker.day() == (
        once(DAILY, "2014-03-10") + once(OF_PURCHASES, "2014-03-01") + once(sums, "2014-04-01")
    )


def test_what_was_loaded_before_the_sensors_were_on_is_followed_up(
    house: House, instance: dg.DagsterInstance
) -> None:
    house.deliver_purchases("2014-03-10", [purchase("A")])
    first = Paper(house, instance, watched=of_domain(DOMAIN))
    first.settle()
    first.deliveries("transactions")
    late = Paper(house, instance, watched=of_domain(DOMAIN))
    late.follow()
    assert late.runs_of("fact_transactions") == ["2014-03-01"]
    assert late.follow() == 0


def test_what_comes_while_a_table_is_built_is_followed_once_it_is_there(
    house: House, instance: dg.DagsterInstance
) -> None:
    caretaker = Paper(house, instance, watched=of_domain(DOMAIN))
    caretaker.day()
    house.deliver_members("2014-03-31", [member(1)])
    assert caretaker.day() == once(SNAPSHOTS | GOLD, "2014-03-01")
    # Between two looks a run ends that had read the month, and its source is loaded again.
    caretaker.run([dg.AssetKey(gold_customers.DIM_GEOGRAPHY.key)], "2014-03-01", "2014-03-01")
    house.deliver_members("2014-03-31", [member(1), member(2)], "more.csv")
    assert caretaker.day() == once(SNAPSHOTS | GOLD, "2014-03-01")
    assert caretaker.day() == Counter()


def test_every_table_follows_all_that_it_reads(house: House, instance: dg.DagsterInstance) -> None:
    caretaker = Paper(house, instance, watched=of_domain("retail"))
    caretaker.day()
    for day in ("2021-09-06", "2021-09-13"):
        deliver(house, WEBSITE, day, "a.csv", "x\n")
        caretaker.settle()
        caretaker.obey(caretaker.tick("deliveries"))
        caretaker.follow()
    assert caretaker.runs_of("website_days") == ["2021-09-01"] * 2
    assert caretaker.runs_of("website_conversion") == ["2021-09-01"] * 2


def test_segments_run_by_hand_with_another_k_are_followed_and_keep_one_name_each(
    house: House, instance: dg.DagsterInstance
) -> None:
    house.deliver_members("2014-03-31", snapshot()[:300])
    domain = dg.AssetSelection.key_prefixes(DOMAIN, "conformed")
    caretaker = Caretaker(house, instance, watched=domain)
    caretaker.wake()
    for k in (6, 3):
        config = launchpad(k=k, n_init=2, sweep=[])
        house.materialise(
            "airline_monthly", "2014-03-01", gold_segments.GOLD_CUSTOMER_SEGMENTS_ML,
            run_config=config, instance=instance,
        )  # fmt: skip
        if k == 3:
            # Three clusters cut members up in another way than the champion's six do: those who
            # want them say so.
            tracking = MlflowTracking.of(house.settings)
            newest = int(versions_of(tracking, SEGMENTS.name)[-1].version)
            promote_by_hand(tracking, SEGMENTS.name, newest, "Ann", "three are enough for us")
            house.materialise(
                "airline_monthly", "2014-03-01", gold_segments.GOLD_CUSTOMER_SEGMENTS_ML,
                run_config=config, instance=instance,
            )  # fmt: skip
        assert caretaker.follow() == 3
        members = house.rows(gold_segments.GOLD_CUSTOMER_SEGMENTS_ML)
        assert len({row["cluster"] for row in members} - {None}) == k
        sizes = Counter((row["segment"], row["segment_name"]) for row in members)
        assert len(sizes) == len({segment for segment, _ in sizes}) <= 6
        summary = house.rows(gold_segments.GOLD_SEGMENT_SUMMARY)
        assert {(r["segment"], r["segment_name"]): r["customer_count"] for r in summary} == sizes


def test_days_out_of_order_end_in_the_same_lake_as_one_run_over_all(
    house: House, instance: dg.DagsterInstance, new_house: Callable[..., House]
) -> None:
    straight = new_house("straight")
    caretaker = Caretaker(house, instance, watched=of_domain(DOMAIN))

    def deliver(day: str, *names: str) -> None:
        rows = [purchase(name, customer_id=1, amount=int(day[-2:])) for name in names]
        for one in (house, straight):
            one.deliver_purchases(day, rows)

    def ids() -> set[str]:
        return {row["transaction_id"] for row in house.rows(gold_value.FACT_TRANSACTIONS)}

    for one in (house, straight):
        one.deliver_members("2014-03-01", [member(1), member(2)])
    deliver("2014-03-05", "A", "B")
    deliver("2014-03-09", "D")
    caretaker.wake()
    deliver("2014-03-03", "A", "C")
    deliver("2014-03-07", "D")
    caretaker.settle()
    late = [("2014-03-03", "2014-03-03"), ("2014-03-07", "2014-03-07")]
    assert caretaker.deliveries("transactions") == late
    # The later days still have A and D too: nothing is built until they have run again.
    assert house.count(SILVER_TRANSACTIONS, "transaction_id IN ('A', 'D')") == 4
    assert caretaker.follow() == 0
    # A run that was requested before them begins only now: it builds what there was when all days
    # agreed, even if some agree again.
    fact = dg.AssetKey(gold_value.FACT_TRANSACTIONS.key)
    caretaker.run([dg.AssetKey(t.key) for t in tables_of(TRANSACTIONS)], "2014-03-05", "2014-03-05")
    assert house.count(SILVER_TRANSACTIONS, "transaction_id IN ('A', 'D')") == 3
    assert caretaker.follow() == 0
    caretaker.run([fact], "2014-03-01", "2014-03-01", AUTOMATIC)
    assert ids() == {"A", "B", "D"}
    assert caretaker.late() == [("2014-03-09", "2014-03-09")]
    caretaker.follow()
    assert straight.run(FLIGHTS, TRANSACTIONS).errors == []
    assert values(house) == values(straight)
    assert ids() == {"A", "B", "C", "D"}
    # Nothing ran for a month of its own accord, and no partition twice in one round.
    months = {first for _, first, _ in caretaker.runs if first.endswith("-01")}
    assert months == {"2014-03-01"}
    # Nothing is built on a day that failed, and no run is requested that could only fail.
    caretaker.may_fail = True
    house.deliver_purchases("2014-03-11", [purchase(f"E{n}", amount="oops") for n in range(3)])
    caretaker.settle()
    caretaker.deliveries("transactions")
    assert caretaker.follow() == 0
    caretaker.may_fail, caretaker.watched = False, dg.AssetSelection.assets(fact)
    house.deliver_purchases("2014-03-11", [purchase("E", customer_id=1)])
    caretaker.settle()
    caretaker.deliveries("transactions")
    assert caretaker.follow() == 1
    assert ids() == {"A", "B", "C", "D", "E"}


def test_conditions_load_under_strict_warnings_and_leave_bronze_to_the_sensors(
    house: House,
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        specs = {s.key.path[-1]: s for s in house.definitions().resolve_all_asset_specs()}
        graph = house.definitions().resolve_asset_graph()
    without = {name for name, spec in specs.items() if spec.automation_condition is None}
    logs = {spec.key.path[-1] for spec in specs.values() if spec.key.path[0] == QUALITY}
    assert without > {name for name in specs if name.startswith("bronze_")} | logs
    # Asked for a day of what is built on the past of its own step, Dagster asks for all days before
    # it, and fails. Deliveries and the sensor of late days make it.
    for spec in specs.values():
        node = graph.get(spec.key)
        if node.parent_keys & node.execution_set_asset_keys:
            assert spec.key.path[-1] in without, spec.key
    # Readers of streams fill all tables of a stream, whenever messages come.
    filled = {table.name for stream in STREAMS for table in stream_tables(stream)}
    filled |= {f"stream_{stream.name}" for stream in STREAMS}
    assert filled <= without
    assert {name.partition("_")[0] for name in without - logs - filled} == {"bronze", "silver"}


def test_freshness_is_declared_for_every_table_that_ages(house: House) -> None:
    specs = {s.key.path[-1]: s for s in house.definitions().resolve_all_asset_specs()}
    ageless = {name for name, spec in specs.items() if spec.freshness_policy is None}
    readers = {f"stream_{stream.name}" for stream in STREAMS}
    ageless -= {PAGES.path[-1]}
    assert ageless == {table.name for table in REGISTRY if table.partition is None} | readers
    windows = {
        (table.partition.grain, spec.freshness_policy.fail_window.to_timedelta())
        for table in REGISTRY
        if table.partition and (spec := specs[table.name]).freshness_policy
    }
    # By the grain of each table's own partitions, whatever its layer.
    assert windows == {("day", timedelta(days=8)), ("month", timedelta(days=63))}


def test_sales_and_snapshots_of_retail_are_followed_month_by_month(
    house: House, instance: dg.DagsterInstance
) -> None:
    caretaker = Paper(house, instance, watched=of_domain("retail"))
    assert caretaker.day() == once(WHOLE, "None")

    def arrives(dataset: Dataset, day: str) -> Counter[tuple[str, str]]:
        deliver(house, dataset, day, "a.csv", "x\n")
        before = len(caretaker.runs)
        caretaker.settle()
        caretaker.deliveries(dataset.name, dataset.domain)
        caretaker.follow()
        return Counter(
            (name, first) for names, first, _ in caretaker.runs[before:] for name in names
        )

    monthly = frozenset(
        table.name
        for table in REGISTRY
        if (table.domain, table.layer, table.partition) == ("retail", "gold", MONTH)
    )
    of_stores = frozenset({
        "sales_train", "sales_test", "gold_store_weeks", "gold_sales_forecast",
        "gold_demand_forecast", "gold_post_campaign_revenue",
    })  # fmt: skip
    sales = frozenset({"dim_products", "fact_sales", "sales_days", "sales_weeks"})
    stores, orders = (frozenset(d.loaded_tables) for d in (STORE_SALES, ONLINE_SALES))
    september, october = "2021-09-01", "2021-10-01"
    # The first delivery of a month, whatever it is, begins every table of its domain.
    first = once(frozenset(CUSTOMERS.loaded_tables) | monthly, september)
    assert arrives(CUSTOMERS, "2021-09-06") == first
    sold = once(stores, "2021-09-13") + once(sales | of_stores, september)
    assert arrives(STORE_SALES, "2021-09-13") == sold
    assert arrives(ONLINE_SALES, "2021-09-20") == once(orders, "2021-09-20") + once(
        sales | {"gold_demand_forecast"}, september
    )
    # October's weeks add September up; its customers are those of September.
    assert arrives(ONLINE_SALES, "2021-10-04") == once(orders, "2021-10-04") + once(
        monthly, october
    )


def test_what_was_asked_for_in_vain_is_asked_for_again_whatever_the_daemon_remembers(
    house: House, instance: dg.DagsterInstance
) -> None:
    class Forgetful(Paper):
        """A daemon that is killed once before its runs begin, and forgets what it has seen."""

        killed = False

        def run(
            self,
            keys: list[dg.AssetKey],
            first: str | None,
            last: str | None,
            asked: Mapping[str, str] | None = None,
        ) -> None:
            if self.killed or first is None:
                super().run(keys, first, last, asked)
            self.killed = True

        def day(self) -> Counter[tuple[str, str]]:
            self._conditions = None
            return super().day()

    domain = dg.AssetSelection.key_prefixes(DOMAIN, "conformed")
    caretaker = Forgetful(house, instance, watched=domain)
    caretaker.killed = True
    caretaker.day()
    house.deliver_purchases("2014-03-01", [purchase("A")])
    assert caretaker.day() == once(DAILY, "2014-03-01") + once(GOLD, "2014-03-01")
    assert caretaker.day() == Counter()
    house.deliver_purchases("2014-03-02", [purchase("B")])
    caretaker.settle()
    caretaker.deliveries("transactions")
    caretaker.killed = False
    assert caretaker.day() == once(OF_PURCHASES, "2014-03-01")
    assert caretaker.day() == Counter()


def test_a_source_that_changes_while_a_table_is_built_is_built_in_afterwards(
    house: House, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.deliver_purchases("2014-03-01", [purchase("A", amount=1)])
    domain = dg.AssetSelection.key_prefixes(DOMAIN, "conformed")
    caretaker = Caretaker(house, instance, watched=domain)
    caretaker.wake()
    house.deliver_purchases("2014-03-02", [purchase("B", amount=10)])
    caretaker.settle()
    build = DeltaIOManager.handle_output
    late = []

    def interrupted(manager: DeltaIOManager, context: dg.OutputContext, frame: object) -> None:
        build(manager, context, frame)  # type: ignore[arg-type]
        if context.asset_key == dg.AssetKey(gold_value.FACT_TRANSACTIONS.key) and not late:
            late.append("2014-03-03")
            house.deliver_purchases("2014-03-03", [purchase("C", amount=100)])
            caretaker.settle()
            caretaker.deliveries("transactions")

    monkeypatch.setattr(DeltaIOManager, "handle_output", interrupted)
    caretaker.deliveries("transactions")
    caretaker.follow()
    assert late
    ids = {row["transaction_id"] for row in house.rows(gold_value.FACT_TRANSACTIONS)}
    assert ids == {"A", "B", "C"}
    assert caretaker.follow() == 0
