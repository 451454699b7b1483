"""The model of sentiment: whether a tweet is positive, neutral or negative.

The reference's boosted trees on TF-IDF and the VADER lexicon are the baselines. The model is a
linear support vector machine on characters, words with their negation, and the lexicon's scores.
Classes weigh the same, because their shares differ from one collection of tweets to another.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.ml.calibration import calibration_error
from lakehouse_assets.ml.evaluation import Argument, Evaluation, Progress
from lakehouse_assets.ml.sampling import FloatArray

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Labels = npt.NDArray[np.int64]

CLASSES: Final = ("Negative", "Neutral", "Positive")
TEXT: Final = "twitter_text"
LABEL: Final = "sentiment"
PENALTIES: Final = (0.05, 0.1, 0.2, 0.4)
"""Inverse strengths of the penalty to choose from."""

FEWEST_OF_A_CLASS: Final = 20
_SEED: Final = 663594782
_BATCH: Final = 10_000

_ESCAPED = re.compile(r"\\u([0-9a-fA-F]{4})")
_LINK_OR_HANDLE = re.compile(r"https?\S*|@\w+")
_TOKEN = re.compile(r"[@#]?\w+(?:'\w+)*|[^\w\s]+")
_NEGATION = re.compile(r"not|no|never|none|nothing|without|hardly|cannot|\w+n't")
_END_OF_CLAUSE = re.compile(r"[.,:;!?]+")


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

        kept = np.array([key_of(text) not in keys for text in self.texts], bool)
        texts = [text for text, keep in zip(self.texts, kept, strict=True) if keep]
        return Tweets(texts, self.labels[kept])


@dataclass(frozen=True, eq=False)
class SentimentModel:
    """A fitted model.

    Attributes:
        features: Turns texts into columns, a scikit-learn transformer.
        classifier: The support vector machine.
        penalty: The chosen inverse strength of its penalty.
        temperature: Factor of the margins that gives calibrated probabilities.
    """

    features: Any
    classifier: Any
    penalty: float
    temperature: float

    def probabilities(self, texts: Sequence[str]) -> FloatArray:
        """Return probabilities, a column for each of `CLASSES`; equal texts are scored once."""
        import numpy as np

        places: dict[str, int] = {}
        rows = [places.setdefault(text, len(places)) for text in texts]
        distinct = list(places)
        parts = [
            self.classifier.decision_function(self.features.transform(distinct[n : n + _BATCH]))
            for n in range(0, len(distinct), _BATCH)
        ]
        margins = np.concatenate(parts) if parts else np.empty((0, len(CLASSES)))
        return _softmax(margins * self.temperature)[rows]


def clean(text: str) -> str:
    """Return a tweet with its escapes decoded (JSON's and HTML's) and with straight quotes."""
    text = html.unescape(_ESCAPED.sub(lambda found: chr(int(found[1], 16)), text))
    # Escapes write characters such as emoji as two halves, which become one here.
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text.replace("\u2019", "'")


def key_of(text: str) -> str:
    """Return what copies of a tweet share: its words in lower case, without links and handles."""
    return " ".join(re.findall(r"\w+", _LINK_OR_HANDLE.sub(" ", text.lower())))


def words(text: str) -> list[str]:
    """Return the words and marks of a tweet; words after a negation, in its clause, begin so."""
    found: list[str] = []
    negated = False
    for word in _TOKEN.findall(text.lower()):
        if _NEGATION.fullmatch(word):
            negated = True
        elif _END_OF_CLAUSE.fullmatch(word):
            negated = False
        elif negated and word[0].isalpha():
            word = f"not {word}"
        found.append(word)
    return found


def lexicon(texts: Sequence[str]) -> FloatArray:
    """Return VADER's scores: compound, and the shares of positive and negative words."""
    import numpy as np
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    analyzer = SentimentIntensityAnalyzer()
    scores = [analyzer.polarity_scores(text) for text in texts]
    return np.array([[s["compound"], s["pos"], s["neg"]] for s in scores]).reshape(-1, 3)


def lexicon_columns(texts: Sequence[str]) -> FloatArray:
    """Return VADER's scores, with the compound's halves below and above 0 apart."""
    import numpy as np

    scores = lexicon(texts)
    compound = scores[:, :1]
    return np.hstack([np.maximum(compound, 0.0), np.maximum(-compound, 0.0), scores[:, 1:]])


def fit_sentiment(trained: Tweets, validation: Tweets) -> SentimentModel:
    """Fit the model; the penalty with the best macro recall on the validation tweets is chosen.

    Args:
        trained: Tweets to learn from.
        validation: Other tweets, which also calibrate the probabilities.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_union
    from sklearn.preprocessing import FunctionTransformer
    from sklearn.svm import LinearSVC

    features = make_union(
        TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), min_df=2, sublinear_tf=True),
        TfidfVectorizer(
            tokenizer=words, token_pattern=None, lowercase=False, ngram_range=(1, 3), min_df=2,
            sublinear_tf=True,
        ),
        FunctionTransformer(lexicon_columns),
    )  # fmt: skip
    columns = features.fit_transform(trained.texts)
    asked = features.transform(validation.texts)
    found = []
    for penalty in PENALTIES:
        classifier = LinearSVC(C=penalty, class_weight="balanced", random_state=_SEED)
        classifier.fit(columns, trained.labels)
        margins = classifier.decision_function(asked)
        recall = scores(validation.labels, _softmax(margins))["macro_recall"]
        found.append((recall, -penalty, classifier, margins))
    _, penalty, classifier, margins = max(found, key=lambda item: item[:2])
    temperature = _temperature(margins, validation.labels)
    return SentimentModel(features, classifier, -penalty, temperature)


def _temperature(margins: FloatArray, labels: Labels) -> float:
    """Return the factor of margins with the lowest log loss, where classes weigh the same."""
    import numpy as np
    from scipy.optimize import minimize_scalar

    weights = 1.0 / np.bincount(labels, minlength=len(CLASSES))[labels]

    def loss(logarithm: float) -> float:
        chosen = _softmax(margins * np.exp(logarithm))[np.arange(len(labels)), labels]
        return float(-(weights * np.log(np.maximum(chosen, 1e-12))).sum())

    return float(np.exp(minimize_scalar(loss, bounds=(-3.0, 3.0), method="bounded").x))


def _softmax(margins: FloatArray) -> FloatArray:
    import numpy as np
    from scipy.special import softmax

    return np.asarray(softmax(margins, axis=1), np.float64)


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
        model = fit_sentiment(trained, validation)
        progress(f"fitted with penalty {model.penalty:g}")
        start = time.process_time()
        champion = scores(test.labels, model.probabilities(test.texts))
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
        "penalty": model.penalty,
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
