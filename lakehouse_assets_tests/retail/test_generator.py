"""The retail generator: the same bytes every time, documented marginals, defects at their rates."""

from __future__ import annotations

import csv
import json
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lakehouse_assets.retail.generator.__main__ import generate, main
from lakehouse_assets.retail.generator.campaigns import RESULTS, write_campaigns
from lakehouse_assets.retail.generator.draws import Config
from lakehouse_assets.retail.generator.tweets import HASHTAGS, write_tweets
from lakehouse_assets.retail.tables.tweets import TWEETS
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
    for name, seed in (("a", "7"), ("b", "7"), ("c", "8")):
        main(["--out", str(tmp_path / name), "--weeks", "2", "--scale", "0.1", "--seed", seed])
    a, b, c = (content(tmp_path / name) for name in "abc")
    assert a == b
    assert len(a) == len(c)
    assert not set(a.values()) & set(c.values())


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
