"""The retail generator: the same bytes every time, documented marginals, defects at their rates."""

from __future__ import annotations

import csv
import gzip
import json
import re
from collections import Counter
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse_assets.domains.retail.datasets.customers import CUSTOMERS
from lakehouse_assets.domains.retail.datasets.labelled_tweets import SENTIMENTS
from lakehouse_assets.domains.retail.datasets.tweets import TWEETS
from lakehouse_assets.domains.retail.datasets.website import WEBSITE
from lakehouse_assets.sample.retail.__main__ import generate, main
from lakehouse_assets.sample.retail.campaigns import RESULTS, write_campaigns
from lakehouse_assets.sample.retail.customers import (
    CUSTOMERS_OF_THE_SAMPLE,
    a_month_later,
    all_different,
    customer_numbers,
    new_customers,
    write_customers,
)
from lakehouse_assets.sample.retail.draws import Config
from lakehouse_assets.sample.retail.labelled_tweets import TEMPLATES, write_labelled_tweets
from lakehouse_assets.sample.retail.online_sales import write_online_sales
from lakehouse_assets.sample.retail.store_sales import write_store_sales
from lakehouse_assets.sample.retail.tweets import HASHTAGS, write_tweets
from lakehouse_assets.sample.retail.visits import FULL, write_visits
from lakehouse_assets.sample.retail.website import LABELS as WEBSITE_LABELS
from lakehouse_assets.sample.retail.website import write_website
from lakehouse_assets_tests.airline.samples import REPOSITORY

PROFILES = Path(__file__).parents[3] / "shared" / "spec" / "retail_profiles.json"


def content(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def test_the_sample_is_what_the_generator_writes_and_stays_small(tmp_path: Path) -> None:
    generate(Config(), tmp_path)
    made = content(tmp_path / "retail")
    assert made == content(REPOSITORY / "data" / "retail")
    assert sum(map(len, made.values())) < 2_000_000


def test_the_command_line_scales_and_is_seeded(tmp_path: Path) -> None:
    for name, seed in (("a", "7"), ("b", "8")):
        main(["--out", str(tmp_path / name), "--weeks", "2", "--scale", "0.1", "--seed", seed])
    a, b = (content(tmp_path / name) for name in "ab")
    assert len(a) == len(b)
    assert not set(a.values()) & set(b.values())


@pytest.mark.parametrize("wrong", [{"first_week": date(2021, 9, 5)}, {"weeks": 0}, {"scale": 0}])
def test_what_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Config(**wrong)


# --- campaigns ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def campaigns(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    """About as many results as the profile has."""
    root = tmp_path_factory.mktemp("campaigns")
    rows: list[dict[str, str]] = []
    for path in write_campaigns(Config(weeks=4, scale=114), root):
        with path.open(encoding="utf-8", newline="") as stream:
            rows += csv.DictReader(stream)
    return rows


def shares(rows: list[dict[str, str]], *names: str) -> dict[Any, float]:
    counts = Counter(tuple(row[name] for name in names) for row in rows)
    return {key: count / len(rows) for key, count in counts.items()}


def test_campaigns_have_the_reference_mix_of_names_countries_and_labels(
    campaigns: list[dict[str, str]],
) -> None:
    assert len(campaigns) == 41_952
    found = shares(campaigns, "Campaign_Name", "Country")
    assert found.keys() == RESULTS.keys()
    for pair, count in RESULTS.items():
        assert found[pair] == pytest.approx(count / 41_930, abs=0.01)
    generations = shares(campaigns, "Campaign_Tactic")
    assert generations["NULL",] == pytest.approx(1553 / 41_930, abs=0.004)
    assert generations["Boomer; GenX; GenY; GenZ",] == pytest.approx(11_245 / 41_930, abs=0.01)
    assert shares(campaigns, "Customer_Segment")["Social",] == pytest.approx(0.422, abs=0.01)
    regions = shares(campaigns, "Country", "Region")
    assert regions["Japan", "North & Central America"] == pytest.approx(403 / 41_930, abs=0.003)
    assert shares(campaigns, "Response_Status")["Qualified",] == pytest.approx(0.483, abs=0.01)
    assert shares(campaigns, "Qualification", "Lead_Generation") == {("NA", "NA"): 1.0}


# Column to minimum, 5, 25, 50, 75, 95 % quantile, mean and share of negative values (profile).
MARGINALS = {
    "Responses": (3, 64.5, 229.5, 427, 749, 1019, 480.36, 0),
    "Cost": (1, 1.25, 156, 191, 230, 270, 167.92, 0),
    "Revenue": (296.505, 5522.28, 11180.56, 19922.36, 35960.85, 78916.4, 27072.2, 0),
    "ROI": (1980, 1980, 5940, 9900, 15840, 19800, 10763, 0),
    "Revenue_Target": (-9705.98, -3938.91, -58.22, 56460.13, 155380, 311083, 89744, 0.2579),
    "Profit": (-3961.17, -980.71, -261.63, 197.2, 1037.34, 2002.6, 343.44, 0.3672),
    "Marketing_Cost": (0.8, 24.905, 53.992, 93.891, 472.877, 881.446, 261.55, 0),
}


@pytest.mark.parametrize("name", MARGINALS)
def test_campaign_measures_have_the_quantiles_of_the_profile(
    campaigns: list[dict[str, str]], name: str
) -> None:
    values = np.array([float(row[name]) for row in campaigns])
    least, *quantiles, mean, negative = MARGINALS[name]
    width = quantiles[-1] - quantiles[0]
    assert values.min() >= least - 0.01
    for share, want in zip((0.05, 0.25, 0.5, 0.75, 0.95), quantiles, strict=True):
        assert np.quantile(values, share) == pytest.approx(want, abs=0.06 * width)
    assert values.mean() == pytest.approx(mean, rel=0.12)
    assert (values < 0).mean() == pytest.approx(negative, abs=0.02)


def test_campaigns_earn_what_the_reference_says_of_each(campaigns: list[dict[str, str]]) -> None:
    profits: dict[str, list[float]] = {}
    for row in campaigns:
        profits.setdefault(row["Campaign_Name"], []).append(float(row["Profit"]))
    means = {name: float(np.mean(values)) for name, values in profits.items()}
    assert means["EnjoyTheMoment"] == pytest.approx(618.11, abs=40)
    assert means["LetsGoSurf"] == pytest.approx(262.86, abs=40)
    assert means["BeUnique"] == pytest.approx(189.07, abs=80)


@pytest.mark.skipif(not PROFILES.is_file(), reason="the profiles (../shared) are not here")
def test_the_rates_above_are_those_of_the_profile() -> None:
    found = json.loads(PROFILES.read_text(encoding="utf-8"))
    (profile,) = [value for name, value in found.items() if name.startswith("campaign_analytics")]
    assert found["campaign_name_x_region"] == {"|".join(k): n for k, n in RESULTS.items()}
    for name, (least, *quantiles, mean, negative) in MARGINALS.items():
        column = profile["columns"][name]
        want = [column[f"p{q:02}"] for q in (5, 25, 50, 75, 95)]
        assert quantiles == pytest.approx(want, rel=1e-4)
        assert (least, mean, negative) == pytest.approx(
            (column["min"], column["mean"], column["share_negative"]), rel=1e-3
        )


# --- labelled tweets ------------------------------------------------------------------------


def test_no_template_of_labelled_tweets_is_in_two_files(tmp_path: Path) -> None:
    """Every text comes from one template of its file, whose label it has."""

    def from_template(template: str, text: str) -> bool:
        between = [re.escape(part) for part in re.split(r"{[a-z]+}", template)]
        return re.fullmatch(".+".join(between), text, re.IGNORECASE) is not None

    assert len({t for templates in TEMPLATES.values() for t in templates}) == sum(
        map(len, TEMPLATES.values())
    )
    for path in write_labelled_tweets(Config(), tmp_path):
        rows = rows_of(path)
        assert Counter(row["sentiment"] for row in rows).keys() == set(SENTIMENTS)
        for row in rows:
            text, label = row["twitter_text"], row["sentiment"]
            parts = {part for (part, other), templates in TEMPLATES.items() if other == label
                     for template in templates if from_template(template, text)}  # fmt: skip
            assert parts == {path.stem}, text


# --- tweets ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tweets(tmp_path_factory: pytest.TempPathFactory) -> list[list[dict[str, Any]]]:
    """About as many tweets as the profile has, by file."""
    paths = write_tweets(Config(weeks=20, scale=14), tmp_path_factory.mktemp("tweets"))
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths]


def test_tweets_have_the_profile_of_the_reference(tweets: list[list[dict[str, Any]]]) -> None:
    rows = [
        row for number, file in enumerate(tweets) if file not in tweets[:number] for row in file
    ]
    assert len(rows) == 20 * 14 * 110
    assert all(tuple(row) == TWEETS.source_names for row in rows[:100])
    known = [row["hashtag"] for row in rows if row["hashtag"] in HASHTAGS]
    for tag, count in HASHTAGS.items():
        assert known.count(tag) / len(known) == pytest.approx(count / 29_999, abs=0.01)
    about = [row for row in rows if row["hashtag"] not in HASHTAGS]
    # Every seventh about a campaign is #SustainableFashion, a third of them in its own letters.
    assert len(about) / len(rows) == pytest.approx(20 / 21 / 8, abs=0.01)
    assert {row["hashtag"].lower() for row in about} >= {"#gogreen", "#letsrun"}
    assert sum(not row["city"] for row in rows) / len(rows) == pytest.approx(0.4431, abs=0.01)
    retweets = np.array([row["retweetcount"] for row in rows])
    likes = np.array([row["favouritecount"] for row in rows])
    # At the profile's quantiles, the share of values below them.
    assert (retweets <= 125).mean() == pytest.approx(0.95, abs=0.005)
    assert (retweets <= 1).mean() == pytest.approx(0.757, abs=0.01)
    assert (likes <= 418).mean() == pytest.approx(0.95, abs=0.005)
    assert (likes == 0).mean() >= 0.74
    assert retweets.mean() == pytest.approx(32.9, rel=0.2)
    assert likes.mean() == pytest.approx(92.0, rel=0.2)
    marks = np.array([row["isretweet"] for row in rows])
    assert marks.mean() == pytest.approx(0.282, abs=0.01)
    assert marks.max() == 3
    hours = np.array([row["hourofday"] for row in rows])
    assert hours.max() in range(24, 35)
    assert (hours > 23).mean() == pytest.approx(0.001, abs=0.0008)


def test_some_files_are_replayed_under_another_name(tweets: list[list[dict[str, Any]]]) -> None:
    again = sum(file in tweets[:number] for number, file in enumerate(tweets))
    assert again / (len(tweets) - again) == pytest.approx(0.1, abs=0.09)
    assert again > 0


# --- sales ----------------------------------------------------------------------------------


def test_store_sales_give_the_lab_s_model_its_figures(tmp_path: Path) -> None:
    """Section 4.3: a forest of depth 2 has an R2 of .787 and an MSE of 1.376e7."""
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.metrics import mean_squared_error, r2_score

    rows: list[list[str]] = []
    for path in write_store_sales(Config(weeks=20, scale=5), tmp_path):
        with path.open(encoding="utf-8", newline="") as stream:
            rows += csv.reader(stream)
    assert len(rows) == 20 * 5 * 30
    assert [row[0] for row in rows] == [str(n) for n in range(1, 3001)]
    assert {(int(row[2]), row[3]) for row in rows} == {
        (store, f"Brand{letter}") for store in range(1, 11) for letter in "ABC"
    }
    quantity = np.array([float(row[4]) for row in rows])
    price, revenue = (np.array([float(row[n]) for row in rows]) for n in (6, 7))
    assert {row[5] for row in rows} == {"1"}
    assert 9_000 <= quantity.min() < 9_100
    assert 20_126 < quantity.max() <= 20_226
    assert (price.min(), price.max()) == (1.90, 2.69)
    assert np.abs(revenue - quantity * price).max() < 1e-9
    # Some products of doubles have binary noise behind the cents, as the reference's have.
    assert any(len(row[7].partition(".")[2]) > 6 for row in rows)
    brand = [ord(row[3][-1]) for row in rows]
    features = np.column_stack([quantity, np.ones(len(rows)), price, brand])
    train = [row[1] <= rows[int(0.8 * len(rows))][1] for row in rows]
    # Spark's forest looks at a third of the features at each node: two of four.
    forest = RandomForestRegressor(100, max_depth=2, max_features=2, random_state=1)
    forest.fit(features[train], revenue[train])
    late = np.invert(train)
    predicted = forest.predict(features[late])
    assert r2_score(revenue[late], predicted) == pytest.approx(0.787, abs=0.05)
    assert mean_squared_error(revenue[late], predicted) == pytest.approx(1.376e7, rel=0.2)


def test_orders_are_by_customers_and_guests_and_some_come_again(tmp_path: Path) -> None:
    config = Config(weeks=6, scale=5)
    files = [rows_of(path) for path in write_online_sales(config, tmp_path)]
    (first, *_) = write_customers(config, tmp_path)
    customers = {row["CustomerID"] for row in rows_of(first)}
    rows = [row for file in files for row in file]
    assert {row["CustomerID"] for row in rows} - {""} <= customers
    assert shares(rows, "CustomerID")["",] == pytest.approx(0.1, abs=0.03)
    assert shares(rows, "Country")["Germany",] == pytest.approx(0.405, abs=0.04)
    numbers = [row["OrderID"] for row in rows]
    again = len(numbers) - len(set(numbers))
    assert again / len(numbers) == pytest.approx(0.017, abs=0.012)
    for week, file in zip(config.mondays, files, strict=True):
        days = {date.fromisoformat(row["OrderedAt"][:10]) for row in file}
        assert min(days) >= week - timedelta(weeks=1)
        assert max(days) < week + timedelta(weeks=1)
    for row in rows:
        assert float(row["Revenue"]) == pytest.approx(float(row["Price"]) * int(row["Quantity"]))


# --- customers ------------------------------------------------------------------------------

REAL_CUSTOMERS = PROFILES.parents[1] / "data" / "retail" / "customer_churn.csv"


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def customers(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    """About as many customers as the reference has."""
    config = Config(weeks=1, scale=7_043 / 600)
    (path,) = write_customers(config, tmp_path_factory.mktemp("customers"))
    return rows_of(path)


def test_customers_have_the_marginals_that_the_spec_names(customers: list[dict[str, str]]) -> None:
    assert len(customers) == 7_043
    assert tuple(customers[0]) == CUSTOMERS.source_names
    unpaid = [row for row in customers if not row["TotalAmount"]]
    assert 3 <= len(unpaid) <= 25
    assert {row["tenure_month"] for row in unpaid} == {"0"}
    assert all(row["TotalAmount"] for row in customers if row["tenure_month"] != "0")
    assert shares(customers, "OrderStatus")["Cancelled",] == pytest.approx(0.2, abs=0.02)
    left = {
        status: churn_of(customers, "OrderStatus", status) for status in ("Cancelled", "Shipped")
    }
    # Section 6: 37 and 21 %, where churn is 24.48 % on average.
    assert left["Cancelled"] / left["Shipped"] == pytest.approx(37 / 21, abs=0.25)
    assert {len(row["CustomerID"]) for row in customers} == {10}


def churn_of(rows: list[dict[str, str]], name: str, value: str) -> float:
    found = [row["Churn"] == "Yes" for row in rows if row[name] == value]
    return sum(found) / len(found)


@given(st.lists(st.integers(0, 40), max_size=25), st.sets(st.integers(0, 40), max_size=10))
@settings(max_examples=60, deadline=None)
def test_what_was_drawn_twice_or_is_taken_becomes_different(
    drawn: list[int], taken: set[int]
) -> None:
    found = all_different(np.array(drawn, np.int64), np.array(sorted(taken), np.int64), 41).tolist()
    assert len(set(found)) == len(found) == len(drawn)
    assert not taken & set(found)
    assert set(found) <= set(range(41))
    if len(set(drawn)) == len(drawn) and not taken & set(drawn):
        assert found == drawn


def test_a_million_customers_have_a_million_numbers() -> None:
    """Drawn as they are, some four of them would be equal (10 million: some four hundred)."""
    config = Config(scale=1_000_000 / CUSTOMERS_OF_THE_SAMPLE)
    numbers = customer_numbers(config)
    assert len(numbers) == len(set(numbers)) == 1_000_000
    drawn = config.random("customers")
    digits, letters = drawn.integers(0, 10_000, 1_000_000), drawn.integers(0, 26, (1_000_000, 5))
    codes = digits * 26**5 + letters @ (26 ** np.arange(4, -1, -1))
    assert len(np.unique(codes)) < 1_000_000
    code = codes[0]
    text = "".join(chr(65 + code // 26**place % 26) for place in range(4, -1, -1))
    assert numbers[0] == f"{code // 26**5:04}-{text}"


def test_who_comes_later_has_a_number_of_their_own() -> None:
    rng = np.random.default_rng(1)
    people = new_customers(rng, 2_000)
    for _ in range(3):
        people = a_month_later(rng, people)
    assert len(set(people["number"])) == len(people["number"]) > 2_000


@pytest.mark.skipif(not REAL_CUSTOMERS.is_file(), reason=f"{REAL_CUSTOMERS} is not there")
def test_customers_are_like_the_real_ones_one_by_one_and_beside_churn(
    customers: list[dict[str, str]],
) -> None:
    real = rows_of(REAL_CUSTOMERS)
    labels = [n for n in CUSTOMERS.source_names
              if n not in {"CustomerID", "OrderStatus", "tenure_month", "UnitPrice", "TotalAmount"}
              ]  # fmt: skip
    for name in labels:
        want, found = shares(real, name), shares(customers, name)
        assert found.keys() == want.keys(), name
        for value, share in want.items():
            assert found[value] == pytest.approx(share, abs=0.02), (name, value)
            if name != "Churn":
                churn = churn_of(real, name, value[0])
                assert churn_of(customers, name, value[0]) == pytest.approx(churn, abs=0.06), name
    for name, width in (("tenure_month", 4), ("UnitPrice", 4), ("TotalAmount", 250)):
        found, want = (
            np.quantile([float(row[name] or 0) for row in rows], (0.1, 0.25, 0.5, 0.75, 0.9))
            for rows in (customers, real)
        )
        assert found == pytest.approx(want, abs=width), name


@pytest.mark.skipif(not REAL_CUSTOMERS.is_file(), reason=f"{REAL_CUSTOMERS} is not there")
def test_a_model_that_learned_from_made_up_customers_knows_the_real_ones(
    customers: list[dict[str, str]],
) -> None:
    """Section 4.1's baseline: a random forest of 10 trees, judged on a quarter of the real ones."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import train_test_split

    values, churn = features_of(rows_of(REAL_CUSTOMERS))
    made_up, made_up_churn = features_of(customers)
    train, test, learned, asked = train_test_split(values, churn, test_size=0.25, random_state=42)

    def auc(given: Any, wanted: Any) -> float:
        # Ten trees alone vary by some hundredths with their seed: the mean of three counts.
        forests = [RandomForestClassifier(10, random_state=123 + n).fit(given, wanted)
                   for n in range(3)]  # fmt: skip
        scores = [roc_auc_score(asked, forest.predict_proba(test)[:, 1]) for forest in forests]
        return float(np.mean(scores))

    real = auc(train, learned)
    assert real == pytest.approx(0.775, abs=0.02)
    assert auc(made_up, made_up_churn) == pytest.approx(real, abs=0.03)


def features_of(rows: list[dict[str, str]]) -> tuple[Any, Any]:
    """Numbers and 0 or 1 for every label but the first of each column; without what is unpaid."""
    paid = [row for row in rows if row["TotalAmount"]]
    numbers = ("tenure_month", "UnitPrice", "TotalAmount")
    columns = [[float(row[name]) for row in paid] for name in numbers]
    for name in CUSTOMERS.source_names:
        if name not in {*numbers, "CustomerID", "OrderStatus", "Churn"}:
            for value in sorted({row[name] for row in paid})[1:]:
                columns.append([float(row[name] == value) for row in paid])
    return np.array(columns).T, np.array([row["Churn"] == "Yes" for row in paid])


def test_a_month_later_they_are_a_month_older_and_some_are_new(tmp_path: Path) -> None:
    first, second, *_ = (rows_of(path) for path in write_customers(Config(weeks=8), tmp_path))
    before = {row["CustomerID"]: row for row in first}
    after = {row["CustomerID"]: row for row in second}
    assert (len(before), len(after)) == (len(first), len(second)) == (600, 612)
    assert before.keys() < after.keys()
    for number, old in before.items():
        new = after[number]
        if old["Churn"] == "Yes":
            assert new == old
            continue
        assert int(new["tenure_month"]) == min(int(old["tenure_month"]) + 1, 72)
        paid = int(old["TotalAmount"] or 0) + int(old["UnitPrice"])
        assert int(new["TotalAmount"]) == paid
    new_ones = [row for number, row in after.items() if number not in before]
    assert {(row["tenure_month"], row["Churn"]) for row in new_ones} <= {("1", "No"), ("0", "No")}
    left = [sum(row["Churn"] == "Yes" for row in rows) for rows in (first, second)]
    assert left[0] < left[1] < left[0] + 30


# --- website --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def website(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    """Twenty times as many rows as the profile has."""
    config = Config(weeks=4, scale=258)
    files = write_website(config, tmp_path_factory.mktemp("website"))
    return [row for path in files for row in rows_of(path)]


@pytest.mark.skipif(not PROFILES.is_file(), reason="the profiles (../shared) are not here")
def test_website_analytics_have_the_profile_of_the_reference(website: list[dict[str, str]]) -> None:
    profile = json.loads(PROFILES.read_text(encoding="utf-8"))["website_social_analytics"][
        "columns"
    ]
    assert tuple(website[0]) == WEBSITE.source_names == tuple(profile)
    for name in WEBSITE_LABELS:
        want, found = profile[name]["top"], shares(website, name)
        if name == "Hashtags":
            # The profile names 25 of 47; the sample has the first nine.
            assert {tag for (tag,) in found} <= set(want)
            continue
        assert {value for (value,) in found} == set(want), name
        for value, count in want.items():
            assert found[value,] == pytest.approx(count / 826, abs=0.012), (name, value)
    for name in ("Sessions", "Visits", "Unique_Visitors", "Daily_Users", "Return_Visitors"):
        assert len({row[name] for row in website}) == profile[name]["distinct"], name
    for name in ("Duration_min", "Tweets"):
        values = [int(row[name]) for row in website]
        want = profile[name]
        assert np.mean(values) == pytest.approx(want["mean"], rel=0.06), name
        assert (min(values), max(values)) == pytest.approx((want["min"], want["max"]), abs=12)


# --- visits -----------------------------------------------------------------------------------


def test_visits_at_full_size_have_the_numbers_of_the_reference(tmp_path: Path) -> None:
    rows: dict[str, dict[str, str]] = {}
    for path in write_visits(Config(scale=FULL), tmp_path):
        with gzip.open(path, "rt", encoding="utf-8", newline="") as stream:
            rows |= {row["VisitNumber"]: row for row in csv.DictReader(stream)}
    visits = list(rows.values())
    columns = {name: np.array([row[name] for row in visits]) for name in visits[0]}
    assert len(visits) == len(set(columns["VisitorID"])) == 45_195
    unhappy = columns["Happiness"] == "Not Happy"
    assert round(100 * unhappy.mean(), 2) == 56.99
    assert round(100 * (columns["Bounced"] == "Yes").mean(), 2) == 55.00
    is_one = {
        "millennial": columns["Customer_Segment"] == "Gen Y (80 ? 2000s)",
        "not found": columns["SearchMatch"] == "No",
        "redirected": columns["Referrer"] == "Third-party redirect",
        "poor": columns["MobileExperience"] == "Poor",
        "no discount": columns["DiscountOffered"] == "No",
    }
    # Each makes visitors unhappy; at least 1.2 times as many as of all others.
    for name, chosen in is_one.items():
        assert unhappy[chosen].mean() > 1.2 * unhappy[~chosen].mean(), name
    mobile = columns["Device"] == "Mobile Phone"
    first = is_one["not found"] & mobile & is_one["millennial"]
    second = is_one["not found"] & is_one["redirected"] & ~is_one["millennial"]
    third = ~is_one["not found"] & is_one["redirected"] & is_one["no discount"]
    for segment, size, share in (
        (first, 11_376, 0.945), (second, 2_916, 0.925), (third, 5_197, 0.924),
    ):  # fmt: skip
        assert segment.sum() == pytest.approx(size, rel=0.01)
        assert unhappy[segment].mean() == pytest.approx(share, abs=0.003)
    repeated = columns["CustomerType"] == "Repeat customer"
    for name, chosen, order in (
        ("Device", True, ["Mobile Phone", "Laptop", "Tablet"]),
        ("ProductCategory", repeated,
         ["Beach Products", "Adventure Sports", "Accessories", "Kitchen"]),
    ):  # fmt: skip
        counted = Counter(columns[name][chosen].ravel().tolist())
        assert [label for label, _ in counted.most_common()] == order
    ages = Counter(columns["AgeGroup"].tolist())
    assert set(ages) == {"<21", "21-30", "31-40", "41-50", "51-60", ">60"}
    assert {label for label, _ in ages.most_common(2)} == {"21-30", "31-40"}
