"""The model of sentiment: whether a tweet is positive, neutral or negative.

The reference's boosted trees on TF-IDF and the VADER lexicon are the baselines. The model is a
linear support vector machine on characters, words with their negation, and the lexicon's scores.
Classes weigh the same, because their shares differ from one collection of tweets to another.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lakehouse_assets.domains.retail.models.sentiment_model import (
    CLASSES,
    TEXT,
    SentimentModel,
    Terms,
    character_terms,
    clean,
    lexicon,
    lexicon_columns,
    softmax,
    word_terms,
)
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.ml.calibration import calibration_error
from lakehouse_assets.ml.evaluation import Argument, Evaluation, Progress
from lakehouse_assets.ml.sampling import FloatArray

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Labels = npt.NDArray[np.int64]

LABEL: Final = "sentiment"

FEWEST_OF_A_CLASS: Final = 20
_SEED: Final = 663594782

_LINK_OR_HANDLE = re.compile(r"https?\S*|@\w+")


@dataclass(frozen=True)
class SentimentSettings:
    """Settings of a fit.

    Attributes:
        seed: Seed of the support vector machine.
        penalties: Inverse strengths of its penalty to choose from.
        rarest: In how many tweets a term must be.
    """

    seed: int = _SEED
    penalties: tuple[float, ...] = (0.05, 0.1, 0.2, 0.4)
    rarest: int = 2


@dataclass(frozen=True)
class Tweets:
    """Labelled tweets.

    Attributes:
        texts: Their texts, cleaned.
        labels: Places in `CLASSES`.
    """

    texts: Sequence[str]
    labels: Labels

    def without(self, keys: Collection[str]) -> Tweets:
        """Return the tweets whose key is not among these."""
        import numpy as np

        return self.where(np.array([key_of(text) not in keys for text in self.texts], bool))

    def where(self, kept: npt.NDArray[np.bool_]) -> Tweets:
        """Return some of the tweets."""
        texts = [text for text, keep in zip(self.texts, kept, strict=True) if keep]
        return Tweets(texts, self.labels[kept])


@dataclass(frozen=True, eq=False)
class Choice:
    """A fitted model and how it was chosen.

    Attributes:
        model: The model.
        penalty: The chosen inverse strength of the penalty.
        recalls: Macro recall on the validation tweets by inverse strength.
    """

    model: SentimentModel
    penalty: float
    recalls: Mapping[float, float]


def key_of(text: str) -> str:
    """Return what copies of a tweet share: its words in lower case, without links and handles."""
    return " ".join(re.findall(r"\w+", _LINK_OR_HANDLE.sub(" ", text.lower())))


def fit_sentiment(trained: Tweets, validation: Tweets, settings: SentimentSettings) -> Choice:
    """Fit the model; the penalty with the best macro recall on the validation tweets is chosen.

    Args:
        trained: Tweets to learn from.
        validation: Other tweets, which also calibrate the probabilities.
        settings: Settings of the fit.
    """
    import numpy as np
    from scipy.sparse import hstack
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.svm import LinearSVC

    counters = [
        TfidfVectorizer(analyzer=terms_of, min_df=settings.rarest, sublinear_tf=True)
        for terms_of in (character_terms, word_terms)
    ]
    known = [counter.fit_transform(trained.texts) for counter in counters]
    columns = hstack([*known, lexicon_columns(trained.texts)], "csr")
    new = [counter.transform(validation.texts) for counter in counters]
    asked = hstack([*new, lexicon_columns(validation.texts)], "csr")
    found = {}
    for penalty in settings.penalties:
        classifier = LinearSVC(C=penalty, class_weight="balanced", random_state=settings.seed)
        classifier.fit(columns, trained.labels)
        margins = classifier.decision_function(asked)
        found[penalty] = (scores(validation.labels, softmax(margins)), classifier, margins)
    recalls = {penalty: result["macro_recall"] for penalty, (result, _, _) in found.items()}
    chosen = max(found, key=lambda penalty: (recalls[penalty], -penalty))
    _, classifier, margins = found[chosen]
    sizes = np.cumsum([len(counter.vocabulary_) for counter in counters])
    *weights, lexical = np.split(np.ascontiguousarray(classifier.coef_.T), sizes)
    characters, words = (
        Terms.of(counter.get_feature_names_out().tolist(), counter.idf_, part)
        for counter, part in zip(counters, weights, strict=True)
    )
    temperature = _temperature(margins, validation.labels)
    model = SentimentModel(characters, words, lexical, classifier.intercept_, temperature)
    return Choice(model, chosen, recalls)


def _temperature(margins: FloatArray, labels: Labels) -> float:
    """Return the factor of margins with the lowest log loss, where classes weigh the same."""
    import numpy as np
    from scipy.optimize import minimize_scalar

    weights = 1.0 / np.bincount(labels, minlength=len(CLASSES))[labels]

    def loss(logarithm: float) -> float:
        chosen = softmax(margins * np.exp(logarithm))[np.arange(len(labels)), labels]
        return float(-(weights * np.log(np.maximum(chosen, 1e-12))).sum())

    return float(np.exp(minimize_scalar(loss, bounds=(-3.0, 3.0), method="bounded").x))


def scores(labels: Labels, probabilities: FloatArray) -> dict[str, float]:
    """Return macro recall, macro F1, accuracy, and calibration error (ten bins of equal width).

    The calibration error compares the probability of the likeliest class with how often it is true.
    """
    from sklearn.metrics import f1_score, recall_score

    chosen, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    places = list(range(len(CLASSES)))
    average = {"labels": places, "average": "macro", "zero_division": 0.0}
    return {
        "macro_recall": float(recall_score(labels, chosen, **average)),
        "macro_f1": float(f1_score(labels, chosen, **average)),
        "accuracy": float((chosen == labels).mean()),
        "ece": calibration_error(confidence, chosen == labels),
    }


def fit_reference(trained: Tweets, validation: Tweets) -> Callable[[Sequence[str]], FloatArray]:
    """Fit the reference's model: 1,024 TF-IDF columns of words and pairs, and boosted trees.

    Returns:
        What predicts the probabilities of texts.
    """
    import numpy as np
    import xgboost
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(ngram_range=(1, 2), max_features=1024, dtype=np.float32)
    columns = xgboost.DMatrix(vectorizer.fit_transform(trained.texts), trained.labels, nthread=1)
    asked = xgboost.DMatrix(vectorizer.transform(validation.texts), validation.labels, nthread=1)
    trees = xgboost.train(
        {
            "objective": "multi:softprob", "num_class": len(CLASSES), "max_depth": 4,
            "eta": 0.1025, "subsample": 0.5306, "colsample_bytree": 0.2123,
            "min_child_weight": 16, "nthread": 1, "seed": _SEED,
        },
        columns, 1_116, evals=[(asked, "validation")], early_stopping_rounds=5, verbose_eval=False,
    )  # fmt: skip
    last = trees.best_iteration + 1

    def predict(texts: Sequence[str]) -> FloatArray:
        matrix = xgboost.DMatrix(vectorizer.transform(texts), nthread=1)
        return np.asarray(trees.predict(matrix, iteration_range=(0, last)), np.float64)

    return predict


def fit_lexicon(validation: Tweets) -> Callable[[Sequence[str]], FloatArray]:
    """Choose the bounds of VADER's compound score by macro recall on the validation tweets.

    Returns:
        What predicts the classes of texts, as probabilities of 0 and 1.
    """
    import numpy as np

    def classes(compound: FloatArray, low: float, high: float) -> FloatArray:
        places = 1 + (compound > high).astype(int) - (compound < low)
        return np.asarray(np.eye(len(CLASSES))[places], np.float64)

    known = lexicon(validation.texts)[:, 0]
    steps = np.arange(0.0, 0.8, 0.05)
    low, high = max(
        ((-below, above) for below in steps for above in steps),
        key=lambda b: scores(validation.labels, classes(known, *b))["macro_recall"],
    )
    return lambda texts: classes(lexicon(texts)[:, 0], low, high)


def read_tweets(path: Path) -> Tweets:
    """Read a user's file of labelled tweets.

    Args:
        path: CSV, plain or gz, with the columns `twitter_text` and `sentiment` in any order.
            A tweet without a text counts as an empty one.

    Raises:
        LakehouseError: a column is missing, a label is not one of the three or not given, or there
            are too few tweets of a class.
    """
    import numpy as np

    from lakehouse_assets.ml.data_files import read_csv

    table = read_csv(path, (TEXT, LABEL), ())
    places = {name.lower(): place for place, name in enumerate(CLASSES)}
    labels = []
    for number, value in enumerate(table[LABEL].to_pylist(), 1):
        if value is None or value.lower() not in places:
            given = "empty" if value is None else repr(value)
            raise LakehouseError(
                f"{path}, record {number}: {LABEL} is {given}; write {', '.join(CLASSES)}."
            )
        labels.append(places[value.lower()])
    tweets = Tweets([clean(text or "") for text in table[TEXT].to_pylist()], np.array(labels, int))
    _check_classes(tweets, str(path))
    return tweets


def _check_classes(tweets: Tweets, source: str) -> None:
    """Raise LakehouseError if a class has too few tweets."""
    import numpy as np

    counts = np.bincount(tweets.labels, minlength=len(CLASSES))
    if counts.min() < FEWEST_OF_A_CLASS:
        listed = ", ".join(f"{n} {name}" for n, name in zip(counts, CLASSES, strict=True))
        raise LakehouseError(
            f"{source} has {listed} tweets; give {FEWEST_OF_A_CLASS} or more of each."
        )


def evaluate_sentiment(arguments: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """Evaluate the model and its baselines on files; see `Evaluation.run`."""
    import time

    from threadpoolctl import threadpool_limits

    files = {name: read_tweets(arguments[name]) for name in ("train", "validation", "test")}
    test = files["test"]
    asked = {key_of(text) for text in test.texts}
    validation = files["validation"].without(asked)
    trained = files["train"].without(asked | {key_of(text) for text in validation.texts})
    copies = {
        name: len(files[name].texts) - len(left.texts)
        for name, left in (("train", trained), ("validation", validation))
    }
    progress(
        f"{len(trained.texts)} tweets to learn from, {len(validation.texts)} to choose by, "
        f"{len(test.texts)} to judge by; left out as copies of tweets that are judged: "
        f"{copies['train']} and {copies['validation']}"
    )
    for name, left in (("train", trained), ("validation", validation)):
        _check_classes(left, f"{arguments[name]}, without copies of tweets in the other files,")
    with threadpool_limits(limits=1):
        choice = fit_sentiment(trained, validation, SentimentSettings())
        progress(f"fitted with penalty {choice.penalty:g}")
        score = choice.model.scoring()
        start = time.process_time()
        champion = scores(test.labels, score(test.texts))
        rate = len(test.texts) / max(time.process_time() - start, 1e-9)
        progress(f"macro recall {champion['macro_recall']:.4f}; {rate:,.0f} tweets a CPU second")
        baselines = {
            "xgboost": fit_reference(trained, validation),
            "vader": fit_lexicon(validation),
        }
        models = {"champion": champion} | {
            name: scores(test.labels, predict(test.texts)) for name, predict in baselines.items()
        }
    return {
        "model": SENTIMENT_EVALUATION.name,
        "tweets": {name: len(file.texts) for name, file in files.items()},
        "copies_left_out": copies,
        **champion,
        "models": models,
        "penalty": choice.penalty,
        "tweets_per_cpu_second": round(rate),
    }


def _file(use: str) -> str:
    return (
        f"CSV file of labelled tweets {use}, plain or .gz, with the columns {TEXT} and {LABEL} "
        f"({', '.join(CLASSES)})."
    )


SENTIMENT_EVALUATION: Final = Evaluation(
    name="sentiment",
    description=(
        "Train the sentiment model on labelled tweets, choose its penalty on others, and judge it "
        "on a third file. Tweets of an earlier file that a later one repeats are left out of the "
        "earlier. Prints macro recall, macro F1, accuracy and calibration error (ECE, ten bins of "
        "equal width) of the champion, and of the baselines: the reference's boosted trees on "
        "1,024 TF-IDF columns, and VADER with bounds chosen on the validation file."
    ),
    arguments=(
        Argument("train", _file("to learn from"), parse=Path),
        Argument("validation", _file("to choose by"), parse=Path),
        Argument("test", _file("to judge by"), parse=Path),
    ),
    run=evaluate_sentiment,
)
