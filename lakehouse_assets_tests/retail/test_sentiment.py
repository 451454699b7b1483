"""`lakehouse models evaluate sentiment`: what it prints, and files that it refuses."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from lakehouse_assets.domains.retail.models.sentiment import (
    SENTIMENT_EVALUATION,
    SentimentSettings,
    fit_sentiment,
    key_of,
    read_tweets,
    scores,
)
from lakehouse_assets.domains.retail.models.sentiment_model import (
    CLASSES,
    character_terms,
    clean,
    lexicon_columns,
    sentiment_scorer,
    softmax,
    word_terms,
    words,
)
from lakehouse_assets.errors import LakehouseError

OPENINGS = ("My day at", "Standing in line at", "Back from", "On my way to", "All about")
PLACES = ("the beach", "the market", "Miami", "the show", "the harbour", "the store", "the park")
MOODS = {
    "Positive": ("was wonderful", "is so much fun", "makes me happy", "was not bad at all"),
    "Neutral": ("opens at nine", "is on the corner", "starts on Friday", "has two doors"),
    "Negative": ("was terrible", "is a boring mess", "makes me angry", "was not good at all"),
}
Tweet = tuple[str, str]


def tweets(size: int, seed: int) -> list[Tweet]:
    """Generate tweets whose label follows from their last words."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(size):
        label = str(rng.choice(list(MOODS)))
        first, place, mood = (str(rng.choice(v)) for v in (OPENINGS, PLACES, MOODS[label]))
        made.append((f"{first} {place} {mood} {seed}x{number}", label))
    return made


def written(
    path: Path, rows: list[Tweet], header: tuple[str, str] = ("twitter_text", "sentiment")
) -> Path:
    out = io.StringIO(newline="")
    csv.writer(out).writerows([header, *rows])
    data = out.getvalue().encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def evaluate(folder: Path, **files: list[Tweet]) -> dict[str, Any]:
    given = {"train": tweets(300, 1), "validation": tweets(150, 2), "test": tweets(150, 3)} | files
    paths = {name: written(folder / f"{name}.csv", rows) for name, rows in given.items()}
    return SENTIMENT_EVALUATION.run(paths, lambda _: None)


def test_json_is_one_object_with_the_metrics_and_copies_of_judged_tweets_are_not_learnt_from(
    lakehouse: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    """Plain and gz files; labels in any case; nothing but the object on stdout.

    A copy with another link, handle or case is a copy; the rest of the file is used.
    """
    train = [(text, label.upper()) for text, label in tweets(300, 1)]
    test = tweets(150, 3)
    code, out, said = lakehouse(
        "models", "evaluate", "sentiment", "--json",
        "--train", str(written(tmp_path / "train.csv.gz", train)),
        "--validation", str(written(tmp_path / "validation.csv", tweets(150, 2))),
        "--test", str(written(tmp_path / "test.csv", test)),
    )  # fmt: skip
    assert code == 0, said
    assert len(out.splitlines()) == 1
    found = json.loads(out)
    assert found["macro_recall"] > 0.95
    assert found["macro_f1"] > 0.95
    assert 0.0 <= found["ece"] <= 0.2
    assert found["models"].keys() == {"refitted", "xgboost", "vader"}
    assert found["models"]["refitted"]["macro_recall"] == found["macro_recall"]
    assert found["macro_recall"] >= found["models"]["vader"]["macro_recall"] > 0.5
    assert found["copies_left_out"] == {"train": 0, "validation": 0}
    copies = [(f"@user {text.upper()}! https://t.co/{n}", label)
              for n, (text, label) in enumerate(test[:40])]  # fmt: skip
    beside = evaluate(tmp_path, train=tweets(300, 1) + copies, test=test)
    assert beside["copies_left_out"] == {"train": 40, "validation": 0}
    assert beside["models"] == found["models"]
    with pytest.raises(LakehouseError, match=r"train.csv, without copies .* 0 Negative, 0 Neutral"):
        evaluate(tmp_path, train=test, test=test)


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([("a", "Positive")] * 20, "0 Negative, 0 Neutral, 20 Positive tweets; provide at least "
           "20"),
        ([("a", "Positive"), ("b", "Glad")], "record 2: sentiment is 'Glad'; write Negative"),
        ([("a", "Positive"), ("b", "")], "record 2: sentiment is empty; write Negative"),
        ([], "0 Negative, 0 Neutral, 0 Positive tweets"),
        ([("", label) for _, label in tweets(90, 1)], "have no words in common"),
    ],
)  # fmt: skip
def test_files_that_cannot_be_used_are_refused_in_one_sentence(
    tmp_path: Path, rows: list[Tweet], sentence: str
) -> None:
    with pytest.raises(LakehouseError, match=sentence):
        evaluate(tmp_path, train=rows)


def test_other_columns_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "other.csv", tweets(5, 1), ("text", "sentiment"))
    with pytest.raises(LakehouseError, match=r"other.csv lacks the column twitter_text"):
        SENTIMENT_EVALUATION.run(
            dict.fromkeys(("train", "validation", "test"), path), lambda _: None
        )


def test_texts() -> None:
    assert clean("I\\u2019m &amp; you\u2019re") == "I'm & you're"
    assert clean(r"Great \ud83d\ude00") == "Great \U0001f600"
    assert clean(r"torn \ud83d") == "torn \ufffd"
    assert key_of("RT @me: Great Day! https://x.y/z?a=b") == key_of("rt great day @you")
    assert words("It's not good, but OK") == ["it's", "not", "not good", ",", "but", "ok"]


def test_characters_are_those_of_scikit_learn() -> None:
    """`char_wb` is the reference; only white space other than blanks was given up."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    terms_of = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5)).build_analyzer()
    for text in ("I  can't, Won't!", "a", "", "caf\u00e9 \U0001f600 #Go", "ab\tc\n"):
        assert sorted(character_terms(text)) == sorted(terms_of(text))


def test_the_model_of_plain_arrays_scores_as_the_fitted_one(tmp_path: Path) -> None:
    """A text has the same probability alone, beside others and repeated; no text has no score."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.svm import LinearSVC

    trained = read_tweets(written(tmp_path / "a.csv", tweets(300, 1)))
    validation = read_tweets(written(tmp_path / "b.csv", tweets(150, 2)))
    settings = SentimentSettings(penalties=(0.1,))
    model = fit_sentiment(trained, validation, settings).model
    counters = [TfidfVectorizer(analyzer=terms, min_df=2, sublinear_tf=True)
                for terms in (character_terms, word_terms)]  # fmt: skip
    for counter in counters:
        counter.fit(trained.texts)
    columns = [
        np.hstack([*(c.transform(t).toarray() for c in counters), lexicon_columns(t)])
        for t in (trained.texts, validation.texts)
    ]
    machine = LinearSVC(C=0.1, class_weight="balanced", random_state=settings.seed)
    margins = machine.fit(columns[0], trained.labels).decision_function(columns[1])
    expected = softmax(margins * model.temperature)
    texts = [*validation.texts, None, *validation.texts[:3]]
    score = sentiment_scorer(model)
    found = score(pa.RecordBatch.from_pydict({"twitter_text": pa.array(texts, pa.string())}))
    labels, probabilities = (column.to_pylist() for column in found.columns)
    assert labels[:150] == [CLASSES[place] for place in expected.argmax(axis=1)]
    assert probabilities[:150] == pytest.approx(expected.max(axis=1).tolist(), abs=1e-9)
    assert (labels[150], probabilities[150]) == (None, None)
    for place in (0, 1, 2):
        alone = score(pa.RecordBatch.from_pydict({"twitter_text": [texts[place]]}))
        assert alone.column(1).to_pylist() == [probabilities[place]] == [probabilities[151 + place]]


def test_scores() -> None:
    """By hand: recalls 1, 1/2 and 0, F1 2/3, 1/2 and 0; likeliest class 80 % sure, right 2 of 4."""
    sure = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.8, 0.1, 0.1], [0.1, 0.8, 0.1]])
    found = scores(np.array([0, 1, 1, 2]), sure)
    assert found == pytest.approx(
        {"macro_recall": 0.5, "macro_f1": 7 / 18, "accuracy": 0.5, "ece": 0.3}
    )
