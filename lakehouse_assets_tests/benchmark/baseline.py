"""Contestant B: the same tables from hand-written DuckDB SQL and delta-rs, and nothing else.

It shares with the
pipeline the declared schemas, the constants that are data (placeholders, place names) and the
clustering, and none of its rules, plans, checks, Dagster or MLflow. Each layer is read back from
its stored table, as the pipeline does. It expects one snapshot of members per month, in CSV. Run
as `python -m` in a process of its own.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse_assets import clock
from lakehouse_assets.catalog.datasets import Dataset, bronze_table, quarantine_table, rejects_table
from lakehouse_assets.catalog.registry import Table
from lakehouse_assets.domains.airline.datasets.flights import FLIGHTS, SILVER_FLIGHTS
from lakehouse_assets.domains.airline.datasets.transactions import SILVER_TRANSACTIONS, TRANSACTIONS
from lakehouse_assets.domains.airline.domain import AIRLINE
from lakehouse_assets.domains.airline.gold import customers as gold_customers
from lakehouse_assets.domains.airline.gold import segments as gold_segments
from lakehouse_assets.domains.airline.gold import value as gold_value
from lakehouse_assets.domains.airline.models import small_segments as gold_small_segments
from lakehouse_assets.domains.airline.reference import NOTHING, places
from lakehouse_assets.domains.conformed.gold.calendar import DIM_DATE
from lakehouse_assets.engine.vocabulary import WHITE_SPACE
from lakehouse_assets.lake.schema import arrow_schema
from lakehouse_assets_tests.benchmark.measure import Timings

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_NUMBER = r"[+-]?([0-9]{1,20}(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,2})?"

_DAY, _YEAR = "[0-9]{1,2}", "[1-9][0-9]{3}"

# Trimming a set of Unicode characters is slow: what begins and ends visibly is left alone.
_MACROS = rf"""
CREATE MACRO clean(x) AS CASE WHEN x[1] BETWEEN '!' AND '~' AND x[-1] BETWEEN '!' AND '~'
    THEN x ELSE nullif(trim(x, '{WHITE_SPACE}'), '') END;
CREATE MACRO given(x) AS CASE WHEN lower(x) NOT IN {NOTHING} THEN x END;
CREATE MACRO is_place(x) AS regexp_matches(x, '\p{{L}}')
    AND (regexp_matches(x, '\p{{L}}{{4}}|\p{{Lo}}{{2}}') OR NOT regexp_matches(x, '\p{{N}}'));
CREATE MACRO place(x) AS CASE WHEN is_place(x) THEN x END;
CREATE MACRO whole(x) AS CASE WHEN regexp_full_match(x, '[+-]?[0-9]{{1,18}}(\.0*)?')
    THEN CAST(regexp_replace(x, '\.0*$', '') AS BIGINT) END;
CREATE MACRO money(x) AS CASE WHEN regexp_full_match(x, '{_NUMBER}')
    THEN TRY_CAST(x AS DECIMAL(18, 2)) END;
CREATE MACRO fraction(x) AS CASE WHEN regexp_full_match(x, '{_NUMBER}')
    THEN CAST(x AS DOUBLE) END;
CREATE MACRO us_date(x) AS CASE WHEN regexp_full_match(x, '{_DAY}/{_DAY}/{_YEAR}')
    THEN CAST(try_strptime(x, '%m/%d/%Y') AS DATE) END;
CREATE MACRO iso_date(x) AS CASE WHEN regexp_full_match(x, '{_YEAR}-{_DAY}-{_DAY}')
    THEN CAST(try_strptime(x, '%Y-%m-%d') AS DATE) END;
CREATE MACRO slash_date(x) AS CASE WHEN regexp_full_match(x, '{_YEAR}/{_DAY}/{_DAY}')
    THEN CAST(try_strptime(x, '%Y/%m/%d') AS DATE) END;
CREATE MACRO readable(value, raw) AS value IS NOT NULL OR given(clean(raw)) IS NULL;
CREATE MACRO in_calendar(d) AS d BETWEEN DATE '1900-01-01' AND DATE '2099-12-31';
CREATE MACRO measured(x) AS coalesce(length(x) || ':' || x, '-');
CREATE MACRO geo(country, province, city) AS CAST('0x' ||
    substr(md5(measured(country) || measured(province) || measured(city)), 1, 15) AS BIGINT);
"""

_FLIGHTS = """
CREATE OR REPLACE TEMP TABLE judged AS
WITH typed AS (
    SELECT b AS raw, _source_file, _row_number, delivered_on, snapshot_month,
        whole(clean(b.member_no)) AS member_no,
        us_date(clean(b.ffp_date)) AS ffp_date,
        us_date(clean(b.first_flight_date)) AS first_flight,
        given(clean(b.first_flight_date)) IS NOT NULL AS first_flight_given,
        lower(given(clean(b.gender))) AS gender,
        whole(clean(b.ffp_tier)) AS ffp_tier,
        lower(place(given(clean(b.work_city)))) AS city,
        lower(place(given(clean(b.work_province)))) AS province,
        upper(given(clean(b.work_country))) AS country,
        whole(given(clean(b.age))) AS given_age,
        given(clean(b.age)) IS NOT NULL AS age_given,
        us_date(clean(b.load_time)) AS window_end,
        whole(clean(b.flight_count)) AS flight_count,
        whole(clean(b.bp_sum)) AS bp_sum,
        money(clean(b.sum_yr_1)) AS sum_yr_1,
        money(clean(b.sum_yr_2)) AS sum_yr_2,
        whole(clean(b.seg_km_sum)) AS seg_km_sum,
        us_date(clean(b.last_flight_date)) AS last_flight,
        whole(clean(b.last_to_end)) AS last_to_end,
        fraction(clean(b.avg_interval)) AS avg_interval,
        whole(clean(b.max_interval)) AS max_interval,
        whole(clean(b.exchange_count)) AS exchange_count,
        fraction(clean(b.avg_discount)) AS avg_discount,
        whole(clean(b.points_sum)) AS points_sum,
        whole(clean(b.point_notflight)) AS point_notflight
    FROM {bronze} b WHERE snapshot_month = DATE '{month}'
), placed AS (
    SELECT typed.* REPLACE (
            coalesce(c.canonical, city) AS city, coalesce(p.canonical, province) AS province,
            coalesce(n.canonical, country) AS country
        ), n.canonical IS NOT NULL AS country_listed,
        window_end + CAST(1 - last_to_end AS INTEGER) AS plain,
        first_flight BETWEEN DATE '1914-01-01' AND window_end AS first_plausible,
        given_age BETWEEN 12 AND 100 AS age_plausible
    FROM typed
    LEFT JOIN places c ON c.kind = 'city' AND c.variant = city
    LEFT JOIN places p ON p.kind = 'province' AND p.variant = province
    LEFT JOIN places n ON n.kind = 'country' AND n.variant = country
), repaired AS (
    SELECT *, country_listed AS country_known,
        coalesce(last_flight, CASE
            WHEN plain < DATE '2014-03-01' AND window_end >= DATE '2014-03-01'
            THEN least(plain + 1, DATE '2014-02-28') ELSE plain END) AS last_flight_date
    FROM placed
), reasoned AS (
    SELECT *, list_filter([
        CASE WHEN member_no IS NULL THEN 'member_no_is_readable' END,
        CASE WHEN ffp_date IS NULL THEN 'ffp_date_is_readable' END,
        CASE WHEN ffp_tier IS NULL THEN 'ffp_tier_is_readable' END,
        CASE WHEN window_end IS NULL THEN 'window_end_is_readable' END,
        CASE WHEN flight_count IS NULL THEN 'flight_count_is_readable' END,
        CASE WHEN seg_km_sum IS NULL THEN 'seg_km_sum_is_readable' END,
        CASE WHEN last_flight_date IS NULL THEN 'last_flight_date_is_readable' END,
        CASE WHEN last_to_end IS NULL THEN 'last_to_end_is_readable' END,
        CASE WHEN points_sum IS NULL THEN 'points_sum_is_readable' END,
        CASE WHEN NOT readable(bp_sum, raw.bp_sum) THEN 'bp_sum_is_readable' END,
        CASE WHEN NOT readable(sum_yr_1, raw.sum_yr_1) THEN 'sum_yr_1_is_readable' END,
        CASE WHEN NOT readable(sum_yr_2, raw.sum_yr_2) THEN 'sum_yr_2_is_readable' END,
        CASE WHEN NOT readable(avg_interval, raw.avg_interval) THEN 'avg_interval_is_readable' END,
        CASE WHEN NOT readable(max_interval, raw.max_interval) THEN 'max_interval_is_readable' END,
        CASE WHEN NOT readable(exchange_count, raw.exchange_count)
            THEN 'exchange_count_is_readable' END,
        CASE WHEN NOT readable(avg_discount, raw.avg_discount) THEN 'avg_discount_is_readable' END,
        CASE WHEN NOT readable(point_notflight, raw.point_notflight)
            THEN 'point_notflight_is_readable' END,
        CASE WHEN least(coalesce(flight_count, 0), coalesce(seg_km_sum, 0), coalesce(points_sum, 0),
            coalesce(last_to_end, 0), coalesce(bp_sum, 0), coalesce(exchange_count, 0),
            coalesce(point_notflight, 0), coalesce(avg_interval, 0), coalesce(max_interval, 0)) < 0
            THEN 'measures_are_not_negative' END,
        CASE WHEN NOT coalesce(in_calendar(ffp_date) AND in_calendar(last_flight_date), false)
            THEN 'dates_are_in_the_calendar' END
    ], reason -> reason IS NOT NULL) AS reasons,
    list_filter([
        CASE WHEN given_age IS NOT NULL AND NOT age_plausible THEN 'age_implausible' END,
        CASE WHEN NOT first_plausible THEN 'first_flight_implausible' END,
        CASE WHEN last_flight IS NULL AND last_to_end IS NOT NULL AND last_flight_date IS NOT NULL
            THEN 'last_flight_date_repaired' END,
        CASE WHEN gender NOT IN ('male', 'female') THEN 'gender_unknown' END,
        CASE WHEN NOT is_place(given(clean(raw.work_city))) THEN 'city_not_a_place' END,
        CASE WHEN NOT is_place(given(clean(raw.work_province))) THEN 'province_not_a_place' END,
        CASE WHEN country IS NOT NULL AND NOT country_known THEN 'country_unknown' END,
        CASE WHEN first_flight_given AND first_flight IS NULL
            THEN 'first_flight_date_unreadable' END,
        CASE WHEN age_given AND given_age IS NULL THEN 'age_unreadable' END
    ], flag -> flag IS NOT NULL) AS quality_flags
    FROM repaired
), ranked AS (
    SELECT *, row_number() OVER latest AS place,
        first(_source_file || '#' || _row_number) OVER latest AS first_of_key
    FROM reasoned
    WINDOW latest AS (
        PARTITION BY len(reasons) = 0, member_no
        ORDER BY delivered_on DESC, _source_file, _row_number
    )
), placed_rows AS (
    SELECT *, CASE WHEN len(reasons) > 0 THEN 'quarantined' WHEN place > 1 THEN 'duplicate'
        ELSE 'kept' END AS disposition
    FROM ranked
)
SELECT * EXCLUDE (raw, place), CASE WHEN disposition <> 'kept' THEN raw END AS raw,
    CASE WHEN disposition = 'duplicate' THEN first_of_key END AS duplicate_of
FROM placed_rows
"""

_SILVER_FLIGHTS = """
SELECT member_no, ffp_date, CASE WHEN first_plausible THEN first_flight END AS first_flight_date,
    CASE gender WHEN 'male' THEN 'Male' WHEN 'female' THEN 'Female' ELSE 'Unknown' END AS gender,
    CAST(ffp_tier AS INTEGER) AS ffp_tier, coalesce(city, 'Unknown') AS work_city,
    coalesce(province, 'Unknown') AS work_province,
    CASE WHEN country_known THEN country ELSE 'Unknown' END AS work_country,
    CASE WHEN age_plausible THEN CAST(given_age AS INTEGER) END AS age, window_end, flight_count,
    bp_sum, sum_yr_1, sum_yr_2, seg_km_sum, last_flight_date, last_to_end, avg_interval,
    max_interval, exchange_count, avg_discount, points_sum, point_notflight, quality_flags,
    _source_file, _row_number, delivered_on, snapshot_month
FROM judged WHERE disposition = 'kept'
"""

_TRANSACTIONS = r"""
CREATE OR REPLACE TEMP TABLE judged AS
WITH texts AS (
    SELECT b AS raw, _source_file, _row_number, delivered_on,
        clean(b.transaction_id) AS transaction_id,
        whole(clean(b.customer_id)) AS customer_id,
        regexp_replace(given(clean(b.customer_name)), '\s+', ' ', 'g') AS customer_name,
        lower(clean(b.email)) AS email,
        clean(b.purchase_date) AS day,
        money(clean(b.amount)) AS amount,
        lower(given(clean(b.status))) AS status,
        regexp_replace(lower(given(clean(b.payment_method))), '[\s_-]+', '_', 'g') AS method,
        upper(given(clean(b.region))) AS region
    FROM {bronze} b WHERE delivered_on >= DATE '{month}' AND delivered_on < DATE '{following}'
), typed AS (
    SELECT *, coalesce(iso_date(day), us_date(day), slash_date(day)) AS purchase_date,
        regexp_full_match(email, '[^@\s]+@[^@\s]+\.[^@\s]+') AS is_address
    FROM texts
), reasoned AS (
    SELECT *, list_filter([
        CASE WHEN transaction_id IS NULL THEN 'transaction_id_is_readable' END,
        CASE WHEN customer_id IS NULL THEN 'customer_id_is_readable' END,
        CASE WHEN purchase_date IS NULL THEN 'purchase_date_is_readable' END,
        CASE WHEN amount IS NULL THEN 'amount_is_readable' END,
        CASE WHEN NOT in_calendar(purchase_date) THEN 'purchase_date_is_in_the_calendar' END
    ], reason -> reason IS NOT NULL) AS reasons,
    list_filter([
        CASE WHEN NOT is_address THEN 'email_removed' END,
        CASE WHEN status IS NULL THEN 'status_unknown' END,
        CASE WHEN method IS NULL THEN 'payment_method_unknown' END,
        CASE WHEN region IS NULL THEN 'region_unknown' END
    ], flag -> flag IS NOT NULL) AS quality_flags
    FROM typed
), ranked AS (
    SELECT *, row_number() OVER earliest AS place,
        first(_source_file || '#' || _row_number) OVER earliest AS first_of_key
    FROM reasoned
    WINDOW earliest AS (
        PARTITION BY len(reasons) = 0, transaction_id
        ORDER BY delivered_on, _source_file, _row_number
    )
), placed_rows AS (
    SELECT ranked.*, CASE WHEN len(reasons) > 0 THEN 'quarantined'
            WHEN place > 1 OR e.transaction_id IS NOT NULL THEN 'duplicate'
            ELSE 'kept' END AS disposition,
        CASE WHEN place > 1 THEN first_of_key
            ELSE e._source_file || '#' || e._row_number END AS first_address
    FROM ranked LEFT JOIN (
        SELECT transaction_id, _source_file, _row_number FROM {silver}
        WHERE delivered_on < DATE '{month}' AND transaction_id BETWEEN '{lowest}' AND '{highest}'
    ) e ON e.transaction_id = ranked.transaction_id
)
SELECT * EXCLUDE (raw, place), CASE WHEN disposition <> 'kept' THEN raw END AS raw,
    CASE WHEN disposition = 'duplicate' THEN first_address END AS duplicate_of
FROM placed_rows
"""

_SILVER_TRANSACTIONS = """
SELECT transaction_id, customer_id, coalesce(customer_name, 'Unknown') AS customer_name,
    CASE WHEN is_address THEN email END AS email, purchase_date, amount,
    coalesce(status, 'unknown') AS status,
    CASE WHEN regexp_matches(method, 'credit.?card') THEN 'credit_card'
        WHEN regexp_matches(method, 'debit.?card') THEN 'debit_card'
        WHEN contains(method, 'paypal') THEN 'paypal'
        WHEN regexp_matches(method, 'wire.?transfer') THEN 'wire_transfer'
        ELSE coalesce(method, 'unknown') END AS payment_method,
    coalesce(region, 'Unknown') AS region, quality_flags, _source_file, _row_number, delivered_on
FROM judged WHERE disposition = 'kept'
"""

_DIM_DATE = """
SELECT CAST(d AS DATE) AS date, CAST(year(d) AS INTEGER) AS year,
    CAST(month(d) AS INTEGER) AS month, CAST(day(d) AS INTEGER) AS day,
    CAST(quarter(d) AS INTEGER) AS quarter, CAST(dayofweek(d) + 1 AS INTEGER) AS day_of_week,
    dayname(d) AS day_name, monthname(d) AS month_name, strftime(d, '%Y-%m') AS year_month,
    CAST(isoyear(d) AS INTEGER) AS iso_year, CAST(week(d) AS INTEGER) AS iso_week,
    CAST(date_trunc('week', d) AS DATE) AS week_start, dayofweek(d) IN (0, 6) AS is_weekend,
    {loaded} AS load_timestamp
FROM range(DATE '1900-01-01', DATE '2100-01-01', INTERVAL 1 DAY) AS days(d)
"""

# Gold in the order in which its tables build on each other.
_GOLD = (
    (gold_customers.DIM_GEOGRAPHY, """
SELECT DISTINCT DATE '{month}' AS as_of_month,
    geo(work_country, work_province, work_city) AS geo_key, work_country AS country,
    work_province AS province, work_city AS city, snapshot_month,
    {loaded} AS load_timestamp
FROM {silver_flights} WHERE snapshot_month = DATE '{month}'
"""),
    (gold_customers.DIM_CUSTOMERS, """
SELECT DATE '{month}' AS as_of_month, member_no AS customer_key, gender, age,
    CASE WHEN age IS NULL THEN 'Unknown' WHEN age < 18 THEN 'Under 18' WHEN age < 30 THEN '18-29'
        WHEN age < 40 THEN '30-39' WHEN age < 50 THEN '40-49' WHEN age < 60 THEN '50-59'
        ELSE '60+' END AS age_group,
    ffp_tier AS loyalty_tier, CASE ffp_tier WHEN 4 THEN 'Gold' WHEN 5 THEN 'Platinum'
        WHEN 6 THEN 'Diamond' ELSE 'Silver' END AS tier_name, ffp_date AS loyalty_join_date,
    date_diff('day', ffp_date, window_end) AS days_since_joining,
    first_flight_date, work_city AS city, work_province AS province, work_country AS country,
    geo(work_country, work_province, work_city) AS geo_key, snapshot_month,
    {loaded} AS load_timestamp
FROM {silver_flights} WHERE snapshot_month = DATE '{month}'
"""),
    (gold_value.FACT_FLIGHTS, """
SELECT DATE '{month}' AS as_of_month, member_no AS customer_key, flight_count AS total_flights,
    bp_sum AS base_points, sum_yr_1 AS year_1_revenue, sum_yr_2 AS year_2_revenue,
    seg_km_sum AS total_km_flown, avg_interval AS avg_flight_interval_days,
    max_interval AS max_flight_interval_days, last_to_end AS days_since_last_flight,
    exchange_count, avg_discount AS avg_discount_rate, points_sum AS total_loyalty_points,
    point_notflight AS non_flight_points, last_flight_date, snapshot_month,
    {loaded} AS load_timestamp
FROM {silver_flights} WHERE snapshot_month = DATE '{month}'
"""),
    (gold_value.FACT_TRANSACTIONS, """
SELECT DATE '{month}' AS as_of_month, transaction_id, customer_id AS customer_key,
    purchase_date AS transaction_date, amount AS transaction_amount, status, region,
    payment_method, {loaded} AS load_timestamp
FROM {silver_transactions}
WHERE delivered_on >= DATE '{month}' AND delivered_on < DATE '{following}'
"""),
    (gold_value.CUSTOMER_SPEND, """
SELECT as_of_month, customer_key, CAST(sum(transaction_amount) AS DECIMAL(38, 2))
    AS completed_amount, count(*) AS completed_count
FROM {fact_transactions} WHERE as_of_month = DATE '{month}' AND status = 'completed'
GROUP BY ALL
"""),
    (gold_value.KPI_CUSTOMER_VALUE, """
SELECT c.as_of_month, c.customer_key, gender, age, age_group, loyalty_tier, tier_name, province,
    days_since_joining, total_flights, total_km_flown, total_loyalty_points, days_since_last_flight,
    CAST(coalesce(spent, 0) AS DECIMAL(38, 2)) AS total_spent,
    coalesce(purchases, 0) AS transaction_count,
    CASE WHEN days_since_last_flight <= 90 THEN 'Active' WHEN days_since_last_flight <= 180
        THEN 'At Risk' ELSE 'Inactive' END AS customer_status
FROM {dim_customers} c JOIN {fact_flights} f USING (as_of_month, customer_key)
LEFT JOIN (
    SELECT customer_key, sum(completed_amount) AS spent,
        CAST(sum(completed_count) AS BIGINT) AS purchases
    FROM {customer_spend} WHERE as_of_month <= DATE '{month}' GROUP BY 1
) s USING (customer_key)
WHERE as_of_month = DATE '{month}'
"""),
)  # fmt: skip

_SCORED = """
CREATE OR REPLACE TEMP TABLE scored AS
SELECT *, CASE WHEN days_since_last_flight <= 90 THEN 5 WHEN days_since_last_flight <= 180 THEN 4
        WHEN days_since_last_flight <= 365 THEN 3 WHEN days_since_last_flight <= 730 THEN 2
        ELSE 1 END AS recency_score,
    CASE WHEN total_flights >= 40 THEN 5 WHEN total_flights >= 20 THEN 4
        WHEN total_flights >= 10 THEN 3 WHEN total_flights >= 5 THEN 2 ELSE 1 END
        AS frequency_score,
    CASE WHEN total_loyalty_points >= 50000 THEN 5 WHEN total_loyalty_points >= 20000 THEN 4
        WHEN total_loyalty_points >= 10000 THEN 3 WHEN total_loyalty_points >= 5000 THEN 2
        ELSE 1 END AS monetary_score
FROM {kpi_customer_value} WHERE as_of_month = DATE '{month}'
"""

_SEGMENTS = """
SELECT *, CASE segment WHEN 1 THEN 'Premium Elite Members' WHEN 2 THEN 'Loyal Frequent Flyers'
    WHEN 3 THEN 'New Joiners' WHEN 4 THEN 'Occasional Travelers' WHEN 5 THEN 'At-Risk Customers'
    ELSE 'Uncategorized' END AS segment_name, CAST({version} AS INTEGER) AS model_version
FROM (
    SELECT scored.*, cluster, CAST(CASE WHEN cluster IS NULL THEN NULL
        WHEN total_flights < 10 AND days_since_joining <= 365 THEN 3
        WHEN customer_status <> 'Active' THEN 5 WHEN total_flights < 10 THEN 4
        WHEN cluster = 0 THEN 1 ELSE 2 END AS INTEGER) AS segment
    FROM scored LEFT JOIN labels USING (customer_key)
)
"""

_SUMMARY = """
SELECT as_of_month, segment, segment_name, {rules} AS segment_rule, count(*) AS customer_count,
    mean_of(age, 1) AS avg_age, mean_of(total_flights, 1) AS avg_flights,
    mean_of(total_km_flown, 0) AS avg_km, mean_of(total_loyalty_points, 0) AS avg_points,
    mean_of(days_since_last_flight, 0) AS avg_days_since_flight,
    mean_of(days_since_joining, 0) AS avg_days_since_joining,
    mean_of(total_spent, 2) AS avg_spent,
    mean_of(recency_score, 2) AS avg_recency, mean_of(frequency_score, 2) AS avg_frequency,
    mean_of(monetary_score, 2) AS avg_monetary,
    CAST(sum(total_spent) AS DECIMAL(38, 2)) AS total_spent
FROM {gold_customer_segments_ml} WHERE as_of_month = DATE '{month}' GROUP BY ALL
"""

_SMALL_MODEL = """
SELECT as_of_month, customer_key, cluster AS segment, total_flights, total_loyalty_points
FROM {fact_flights} JOIN labels USING (customer_key) WHERE as_of_month = DATE '{month}'
"""


class Baseline:
    """The program: one DuckDB connection, one lake.

    Args:
        landing: Landing zone to read.
        lake: Folder of the Delta tables.
        scratch: Folder for what DuckDB spills.
    """

    def __init__(self, landing: Path, lake: Path, scratch: Path) -> None:
        import duckdb
        import duckdb_extensions

        self.landing = landing
        self.lake = lake
        self.steps: dict[str, float] = {}
        self.connection = duckdb.connect(
            config={
                "memory_limit": "4GB",
                "threads": os.cpu_count() or 1,
                "temp_directory": str(scratch),
                "preserve_insertion_order": False,
                "autoload_known_extensions": False,
            }
        )
        duckdb_extensions.import_extension("delta", con=self.connection)
        self.connection.execute("LOAD delta")
        self.connection.execute("SET TimeZone = 'UTC'")
        self.connection.execute(_MACROS)
        self.connection.execute(
            "CREATE MACRO mean_of(x, digits) AS round(CAST(sum(x) AS DOUBLE) / count(x), digits)"
        )
        self.connection.register("place_rows", places())
        self.connection.execute("CREATE TABLE places AS FROM place_rows")
        self.create_tables()

    def create_tables(self) -> None:
        """Create every table as it is declared."""
        from deltalake import DeltaTable

        for table in AIRLINE.tables:
            rules = {f"delta.constraints.{name}": rule for name, rule in table.constraints.items()}
            DeltaTable.create(
                self.uri(table),
                schema=arrow_schema(table),
                partition_by=[table.partition.column] if table.partition else None,
                configuration={**rules, "delta.minWriterVersion": "3"} if rules else None,
                raise_if_key_not_exists=False,
            )

    def uri(self, table: Table) -> str:
        """Return where a table lies."""
        return str(self.lake / table.domain / table.name)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time a step."""
        began = time.perf_counter()
        yield
        self.steps[name] = self.steps.get(name, 0.0) + time.perf_counter() - began

    def run(self) -> Timings:
        """Fill the lake, month by month."""
        began = time.perf_counter()
        with self.step("dim_date"):
            self.write(DIM_DATE, _DIM_DATE.format(loaded=self.loaded()), None)
        timings = Timings(start=time.perf_counter() - began, steps=self.steps, cold=1)
        for month in self.months():
            began = time.perf_counter()
            self.run_month(month)
            timings.months[f"{month:%Y-%m}"] = time.perf_counter() - began
        return timings

    def months(self) -> list[date]:
        """Return the months with deliveries."""
        days = self.landing.glob("airline/*/*/")
        return sorted({date.fromisoformat(day.name).replace(day=1) for day in days})

    def run_month(self, month: date) -> None:
        """Do one month's work."""
        following = (month + timedelta(days=32)).replace(day=1)
        values: dict[str, Any] = {
            table.name: f"delta_scan('{self.uri(table)}')" for table in AIRLINE.tables
        }
        values |= {"month": month, "following": following, "loaded": self.loaded()}
        snapshot = f"snapshot_month = '{month}'"
        delivered = f"delivered_on >= '{month}' AND delivered_on < '{following}'"
        with self.step("bronze_flights"):
            self.bronze(FLIGHTS, month, following, snapshot)
        with self.step("silver_flights"):
            self.connection.execute(_FLIGHTS.format(bronze=values["bronze_flights"], **values))
            self.write(SILVER_FLIGHTS, _SILVER_FLIGHTS, snapshot)
            self.quarantine(FLIGHTS, snapshot)
        with self.step("bronze_transactions"):
            self.bronze(TRANSACTIONS, month, following, delivered)
        with self.step("silver_transactions"):
            self.silver_transactions(values, delivered)
        as_of = f"as_of_month = '{month}'"
        for table, query in _GOLD:
            with self.step(table.name):
                self.write(table, query.format(**values), as_of)
        with self.step(gold_segments.GOLD_CUSTOMER_SEGMENTS_ML.name):
            self.segments(values)
            # Each month's fit is the version that scores it: here every one replaces the last.
            query = _SEGMENTS.format(version=self.months().index(month) + 1)
            self.write(gold_segments.GOLD_CUSTOMER_SEGMENTS_ML, query, as_of)
        with self.step(gold_segments.GOLD_SEGMENT_SUMMARY.name):
            self.write(
                gold_segments.GOLD_SEGMENT_SUMMARY, _SUMMARY.format(rules=_rules(), **values), as_of
            )
        with self.step(gold_small_segments.CUSTOMER_SEGMENTS_ML.name):
            self.small_model(values)
            self.write(
                gold_small_segments.CUSTOMER_SEGMENTS_ML, _SMALL_MODEL.format(**values), as_of
            )

    def bronze(self, dataset: Dataset, month: date, following: date, predicate: str) -> None:
        """Load a month's files as text, numbered, with what could not be read apart."""
        folder = self.landing / dataset.domain / dataset.name
        files = [
            file
            for day in sorted(folder.iterdir())
            if month <= date.fromisoformat(day.name) < following
            for file in sorted(day.iterdir())
        ]
        facts = [
            (
                str(file),
                file.relative_to(self.landing).as_posix(),
                hashlib.sha256(file.read_bytes()).hexdigest(),
                file.parent.name,
            )
            for file in files
        ]
        run, month_column = self.connection.execute, ""
        if dataset.grain == "month":
            month_column = f", DATE '{month}' AS snapshot_month"
        run(
            "CREATE OR REPLACE TEMP TABLE files (path VARCHAR, name VARCHAR, sha VARCHAR, day DATE)"
        )
        if facts:
            self.connection.executemany("INSERT INTO files VALUES (?, ?, ?, ?)", facts)
        names = [column.name for column in dataset.fields]
        columns = ", ".join(f"'{name}': 'VARCHAR'" for name in names)
        # A row's number follows from its place, so the order of the files is kept for this load.
        run("SET preserve_insertion_order = true")
        run(
            f"CREATE OR REPLACE TEMP TABLE raw AS FROM read_csv({[str(f) for f in files]}, "
            f"columns = {{{columns}}}, filename = 'path', header = true, auto_detect = false, "
            "delim = ',', quote = '\"', escape = '\"', store_rejects = true, rejects_limit = 0)"
        )
        run("SET preserve_insertion_order = false")
        origin = f"sha AS _file_sha256, {self.loaded()} AS _ingested_at"
        origin += ", CAST(NULL AS VARCHAR) AS _file_version, CAST(NULL AS BIGINT) AS _file_records"
        origin += f", day AS delivered_on{month_column}"
        # The i-th bad line of a file, data record j, comes before the row with place j - i.
        self.write(
            bronze_table(dataset),
            f"""
WITH starts AS (SELECT path, min(rowid) AS first FROM raw GROUP BY 1),
bad AS (
    SELECT file_path AS path, line - 1 - row_number() OVER (PARTITION BY file_path ORDER BY line)
        AS place
    FROM reject_errors JOIN reject_scans USING (scan_id, file_id) GROUP BY file_path, line
),
shifts AS (SELECT path, list(place) AS places FROM bad GROUP BY 1)
SELECT {", ".join(names)},
    name AS _source_file, raw.rowid - first + 1 + CASE WHEN places IS NULL THEN 0
        ELSE len(list_filter(places, place -> place <= raw.rowid - first)) END AS _row_number,
    {origin}
FROM raw JOIN files USING (path) JOIN starts USING (path) LEFT JOIN shifts USING (path)
""",  # noqa: S608
            predicate,
        )
        self.write(
            rejects_table(dataset),
            f"""
SELECT line AS line_number, any_value(csv_line) AS raw_text,
    coalesce(
        min(column_idx) FILTER (error_type = 'MISSING COLUMNS')
            || ' columns where {len(names)} are expected',
        'more than {len(names)} columns') AS reason,
    name AS _source_file, {origin}
FROM reject_errors JOIN reject_scans s USING (scan_id, file_id) JOIN files ON path = s.file_path
GROUP BY ALL
""",  # noqa: S608
            predicate,
        )
        run("DROP TABLE reject_errors; DROP TABLE reject_scans")

    def silver_transactions(self, values: dict[str, Any], predicate: str) -> None:
        """Type, judge and deduplicate a month's purchases, also against earlier months."""
        delivered = "delivered_on >= DATE '{month}' AND delivered_on < DATE '{following}'"
        query = "SELECT min(clean(transaction_id)), max(clean(transaction_id)) FROM {table} WHERE "
        bounds = self.connection.execute(
            (query + delivered).format(table=values["bronze_transactions"], **values)
        ).fetchone()
        lowest, highest = bounds or ("", "")
        self.connection.execute(
            _TRANSACTIONS.format(
                bronze=values["bronze_transactions"],
                silver=values["silver_transactions"],
                lowest=lowest,
                highest=highest,
                **values,
            )
        )
        self.write(SILVER_TRANSACTIONS, _SILVER_TRANSACTIONS, predicate)
        self.quarantine(TRANSACTIONS, predicate)

    def quarantine(self, dataset: Dataset, predicate: str) -> None:
        """Write the rows that silver does not take, as they were delivered."""
        table = quarantine_table(dataset)
        own = {"disposition", "reasons", "duplicate_of"}
        columns = [n if n in own else f"raw.{n}" for n in table.column_names]
        query = f"SELECT {', '.join(columns)} FROM judged WHERE disposition <> 'kept'"  # noqa: S608
        self.write(table, query, predicate)

    def segments(self, values: dict[str, Any]) -> None:
        """Cluster a month's members."""
        from lakehouse_assets.domains.airline.models.kmeans import (
            ClusteringConfig,
            fit_clusters,
            ranked,
        )
        from lakehouse_assets.domains.airline.models.personas import VALUE
        from lakehouse_assets.domains.airline.models.segments import SEGMENT_FEATURES

        self.connection.execute(_SCORED.format(**values))
        keys, matrix = self.features("scored", SEGMENT_FEATURES)
        fitted = fit_clusters(matrix, ClusteringConfig(), SEGMENT_FEATURES)
        self.label(keys, ranked(fitted, VALUE).labels)

    def small_model(self, values: dict[str, Any]) -> None:
        """Cluster on flights and points alone."""
        from lakehouse_assets.domains.airline.models.kmeans import nearest, unscaled_centres
        from lakehouse_assets.domains.airline.models.small_segments import SETTINGS as SMALL_MODEL

        source = "(FROM {fact_flights} WHERE as_of_month = DATE '{month}')".format(**values)
        keys, matrix = self.features(source, ("total_flights", "total_loyalty_points"))
        self.label(keys, nearest(matrix, unscaled_centres(matrix, SMALL_MODEL)))

    def features(
        self, source: str, names: Sequence[str]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Fetch keys and complete features, in the order of the keys."""
        import numpy as np

        casts = ", ".join(f"CAST({name} AS DOUBLE) AS {name}" for name in names)
        complete = " AND ".join(f"{name} IS NOT NULL" for name in names)
        found = self.connection.execute(
            f"SELECT customer_key, {casts} FROM {source} WHERE {complete} ORDER BY 1"  # noqa: S608
        ).fetchnumpy()
        return found["customer_key"], np.column_stack([found[name] for name in names])

    def label(self, keys: npt.NDArray[np.int64], clusters: npt.NDArray[np.int32] | None) -> None:
        """Give the labels to SQL."""
        import pyarrow as pa

        labels = pa.table({"customer_key": keys, "cluster": pa.array(clusters, pa.int32())})
        self.connection.register("label_rows", labels)
        self.connection.execute("CREATE OR REPLACE TEMP TABLE labels AS FROM label_rows")
        self.connection.unregister("label_rows")

    def write(self, table: Table, query: str, predicate: str | None) -> None:
        """Replace a table's month by a query's rows, streamed."""
        from deltalake import write_deltalake

        rows = self.connection.execute(query).to_arrow_reader(131_072)
        write_deltalake(self.uri(table), rows, mode="overwrite", predicate=predicate)

    def loaded(self) -> str:
        """Return now as a literal."""
        return f"TIMESTAMPTZ '{clock.now().isoformat()}'"


def _rules() -> str:
    """Return SQL that gives a segment's rule, in the words of the project."""
    from lakehouse_assets.domains.airline.models.personas import PERSONAS, UNCATEGORIZED_RULE

    cases = " ".join(f"WHEN {persona.code} THEN '{persona.rule}'" for persona in PERSONAS)
    return f"CASE segment {cases} ELSE '{UNCATEGORIZED_RULE}' END"


def main() -> None:
    """Run the program as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--landing", type=Path, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--timings", type=Path, required=True)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="baseline-duckdb-") as scratch:
        baseline = Baseline(given.landing.absolute(), given.folder / "lake", Path(scratch))
        baseline.run().save(given.timings)


if __name__ == "__main__":
    sys.exit(main())
