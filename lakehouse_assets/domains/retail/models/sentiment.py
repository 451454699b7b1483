"""The sentiment model: whether a tweet is positive, neutral or negative.

The reference lab's boosted trees on TF-IDF and the VADER lexicon are the baselines. The model is a
linear support vector machine on characters, words with their negation, and the lexicon's scores.
Classes have equal weight, because their shares differ between collections of tweets.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lakehouse_assets.catalog.datasets import quarantine_table
from lakehouse_assets.catalog.gold import so_far
from lakehouse_assets.catalog.registry import MODEL_VERSION, Column, monthly_table
from lakehouse_assets.domains.retail.datasets.labelled_tweets import (
    LABELLED_TWEETS,
    PARTS,
    SILVER_LABELLED_TWEETS,
)
from lakehouse_assets.domains.retail.models.sentiment_figure import sentiment_figure
from lakehouse_assets.domains.retail.models.sentiment_model import (
    CLASSES,
    TEXT,
    SentimentModel,
    Terms,
    character_terms,
    clean,
    lexicon,
    lexicon_columns,
    sentiment_scorer,
    softmax,
    word_terms,
)
from lakehouse_assets.domains.retail.shared import DOMAIN, OWNER
from lakehouse_assets.errors import LakehouseError
from lakehouse_assets.ml.calibration import calibration_error
from lakehouse_assets.ml.comparison import by_metric
from lakehouse_assets.ml.evaluation import Argument, Evaluation, Progress, Training
from lakehouse_assets.ml.model_files import types_of
from lakehouse_assets.ml.sampling import FloatArray
from lakehouse_assets.ml.spec import CannotFitError, Fitted, Gate, ModelSpec, ModelTable, Variant

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa
    from sklearn.feature_extraction.text import TfidfVectorizer

    Labels = npt.NDArray[np.int64]

LABEL: Final = "sentiment"
PART: Final = "part"
KEY: Final = "tweet_key"

FEWEST_OF_A_CLASS: Final = 20
# One tweet in so many is held out where none were delivered to choose by.
_HELD_OUT: Final = 5
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

    Raises:
        CannotFitError: the texts have no terms to learn from.
    """
    import numpy as np
    from scipy.sparse import hstack
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.svm import LinearSVC

    counters = [
        TfidfVectorizer(analyzer=terms_of, min_df=settings.rarest, sublinear_tf=True)
        for terms_of in (character_terms, word_terms)
    ]
    known = [_counted(counter, trained.texts) for counter in counters]
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


def _counted(counter: TfidfVectorizer, texts: Sequence[str]) -> Any:
    """Learn the terms of texts, and return how often each text has them."""
    try:
        return counter.fit_transform(texts)
    except ValueError:
        raise CannotFitError(
            "The tweets for training have no words in common; provide more, with their texts."
        ) from None


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


def macro_recall(labels: Any, predictions: Any, weights: FloatArray) -> float:
    """Return the mean recall of the classes that occur, with rows counted by their weights."""
    import numpy as np

    right = labels == predictions
    totals = {name: float(weights[labels == name].sum()) for name in CLASSES}
    return float(
        np.mean([
            weights[right & (labels == name)].sum() / total
            for name, total in totals.items() if total
        ])
    )  # fmt: skip


def fit_reference(trained: Tweets, validation: Tweets) -> Callable[[Sequence[str]], FloatArray]:
    """Fit the reference lab's model: 1,024 TF-IDF columns of words and pairs, and boosted trees.

    Returns:
        What predicts the probabilities of texts.
    """
    import numpy as np
    import xgboost
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(ngram_range=(1, 2), max_features=1024, dtype=np.float32)
    columns = xgboost.DMatrix(_counted(vectorizer, trained.texts), trained.labels, nthread=1)
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

    def places(compound: FloatArray, low: float, high: float) -> Labels:
        return np.asarray(1 + (compound > high).astype(int) - (compound < low), np.int64)

    known = lexicon(validation.texts)[:, 0]
    counts = np.maximum(np.bincount(validation.labels, minlength=len(CLASSES)), 1)

    # As `scores` has it; scikit-learn takes a second of CPU for so many pairs of bounds.
    def recall(bounds: tuple[float, float]) -> float:
        right = places(known, *bounds) == validation.labels
        return float((np.bincount(validation.labels, right, len(CLASSES)) / counts).mean())

    steps = np.arange(0.0, 0.8, 0.05)
    low, high = max(((-below, above) for below in steps for above in steps), key=recall)
    return lambda texts: np.eye(len(CLASSES))[places(lexicon(texts)[:, 0], low, high)]


def fit_tweets(rows: pa.Table, settings: SentimentSettings) -> Fitted:
    """Fit the model on labelled tweets, and test it and its baselines on tweets kept apart.

    Tweets of the part `validation` choose the penalty and calibrate; if there are none, one of five
    tweets to learn from does, by its key. Tweets of the part `test` test it; without any, those of
    the validation do.

    Raises:
        CannotFitError: there are too few tweets of a class, or the texts hold their labels.
    """
    import numpy as np
    import pyarrow as pa
    from threadpoolctl import threadpool_limits

    places = {name: place for place, name in enumerate(CLASSES)}
    tweets = Tweets(
        [clean(text) for text in rows[TEXT].to_pylist()],
        np.array([places[label] for label in rows[LABEL].to_pylist()], int),
    )
    part = np.array(rows[PART].to_pylist(), dtype=object)
    if not (part == "validation").any():
        drawn = rows[KEY].to_numpy() % _HELD_OUT == 0
        part = np.where((part == "train") & drawn, "validation", part)
    tested_on = "test" if (part == "test").any() else "validation"
    trained, validation, tested = (tweets.where(part == n) for n in (*PARTS[:2], tested_on))
    _check_fit(trained, validation)
    with threadpool_limits(limits=1):
        choice = fit_sentiment(trained, validation, settings)
        held_out = choice.model.scoring()(tweets.where(part != "train").texts)
        found = held_out[part[part != "train"] == tested_on]
        metrics = scores(tested.labels, found)
        baselines = {
            "xgboost_tfidf_1024": fit_reference(trained, validation),
            "vader": fit_lexicon(validation),
        }
        compared = {n: scores(tested.labels, p(tested.texts)) for n, p in baselines.items()}
    predicted = np.full(len(part), None, dtype=object)
    predicted[part != "train"] = np.array(CLASSES, dtype=object)[held_out.argmax(axis=1)]
    return Fitted(
        model=choice.model,
        run_name="LinearSVC",
        metrics={
            **metrics,
            "gain_over_vader": metrics["macro_recall"] - compared["vader"]["macro_recall"],
        },
        params={
            "penalty": choice.penalty,
            "tested_on": tested_on,
            **{f"tweets_{name}": int((part == name).sum()) for name in PARTS},
        },
        variants=[
            *(Variant(name, {"baseline": name}, other) for name, other in compared.items()),
            *(
                Variant(f"penalty_{penalty:g}", {"penalty": penalty}, {"macro_recall": recall})
                for penalty, recall in choice.recalls.items()
            ),
        ],
        figures={
            "sentiment": sentiment_figure(tested.labels, found, choice.recalls, choice.penalty)
        },
        documents={"weightiest_words": weightiest_words(choice.model)},
        held_out=pa.table({"label": rows[LABEL], "prediction": pa.array(predicted, pa.string())}),
    )


def weightiest_words(model: SentimentModel) -> dict[str, list[str]]:
    """Return the 25 words that speak most for each sentiment."""
    names = model.words.names.splitlines()
    order = model.words.weights.argsort(axis=0)[::-1][:25]
    return {
        name: [names[place] for place in column]
        for name, column in zip(CLASSES, order.T, strict=True)
    }


def _check_fit(trained: Tweets, validation: Tweets) -> None:
    """Raise CannotFitError if tweets are too few, or hold their labels."""
    import numpy as np

    counts = np.bincount(np.concatenate([trained.labels, validation.labels]), minlength=3)
    known, held = (np.bincount(t.labels, minlength=len(CLASSES)) for t in (trained, validation))
    if not known.all() and counts.min() >= FEWEST_OF_A_CLASS:
        listed = ", ".join(f"{n} {name}" for n, name in zip(known, CLASSES, strict=True))
        raise CannotFitError(
            f"There are {listed} tweets for training that are not for validation too; provide some "
            "of each."
        )
    if counts.min() < FEWEST_OF_A_CLASS or not held.all():
        listed = ", ".join(f"{n} {name}" for n, name in zip(counts, CLASSES, strict=True))
        raise CannotFitError(
            f"There are {listed} tweets for training and validation; provide at least "
            f"{FEWEST_OF_A_CLASS} of each."
        )
    for place, name in enumerate(CLASSES):
        texts = [
            text for text, label in zip(trained.texts, trained.labels, strict=True)
            if label == place
        ]  # fmt: skip
        labelled = sum(re.search(rf"\b{name}\b", text, re.IGNORECASE) is not None for text in texts)
        if labelled > len(texts) / 2:
            raise CannotFitError(
                f"{labelled} of {len(texts)} {name} tweets contain the word {name}, so their texts "
                "seem to contain their labels; remove the labels from the texts."
            )


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

    from lakehouse_assets.ml.data_files import read_csv, unusable

    table = read_csv(path, (TEXT, LABEL), ())
    places = {name.lower(): place for place, name in enumerate(CLASSES)}
    labels = []
    for number, value in enumerate(table[LABEL].to_pylist()):
        if value is None or value.lower() not in places:
            raise unusable(path, number, LABEL, value, f"write {', '.join(CLASSES)}")
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
            f"{source} has {listed} tweets; provide at least {FEWEST_OF_A_CLASS} of each."
        )


def tweets_of_files(arguments: Mapping[str, Any]) -> pa.Table:
    """Read the rows that `fit_tweets` takes from a user's files."""
    import hashlib

    import pyarrow as pa

    rows: dict[str, tuple[str, str, str]] = {}
    for part in ("validation", "train"):
        if arguments[part] is None:
            continue
        tweets = read_tweets(arguments[part])
        for text, label in zip(tweets.texts, tweets.labels, strict=True):
            rows.setdefault(key_of(text) or text, (text, CLASSES[label], part))
    digests = (hashlib.md5(key.encode(), usedforsecurity=False).hexdigest() for key in rows)
    columns = zip(*rows.values(), strict=True)
    keys = pa.array([int(digest[:15], 16) for digest in digests], pa.int64())
    return pa.table([keys, *map(pa.array, columns)], names=[KEY, TEXT, LABEL, PART])


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
        f"{len(trained.texts)} tweets for training, {len(validation.texts)} for validation, "
        f"{len(test.texts)} for testing; skipped as copies of tweets in a later file: "
        f"{copies['train']} for training, {copies['validation']} for validation"
    )
    for name, left in (("train", trained), ("validation", validation)):
        _check_classes(left, f"{arguments[name]}, without copies of tweets in the other files,")
    with threadpool_limits(limits=1):
        choice = fit_sentiment(trained, validation, SentimentSettings())
        progress(f"fitted with penalty {choice.penalty:g}")
        score = choice.model.scoring()
        start = time.process_time()
        refitted = scores(test.labels, score(test.texts))
        rate = len(test.texts) / max(time.process_time() - start, 1e-9)
        progress(f"macro recall {refitted['macro_recall']:.4f}; {rate:,.0f} tweets per CPU second")
        baselines = {
            "xgboost": fit_reference(trained, validation),
            "vader": fit_lexicon(validation),
        }
        models = {"refitted": refitted} | {
            name: scores(test.labels, predict(test.texts)) for name, predict in baselines.items()
        }
    return {
        "model": SENTIMENT_EVALUATION.name,
        "tweets": {name: len(file.texts) for name, file in files.items()},
        "copies_left_out": copies,
        **refitted,
        "models": models,
        "penalty": choice.penalty,
        "tweets_per_cpu_second": round(rate),
    }


def _file(use: str) -> str:
    return (
        f"CSV file of labelled tweets for {use}, plain or .gz, with the columns {TEXT} and {LABEL} "
        f"({', '.join(CLASSES)})."
    )


SENTIMENT_EVALUATION: Final = Evaluation(
    name="sentiment",
    description=(
        "Train the sentiment model on labelled tweets, choose its penalty on a second file, and "
        "test it on a third. Tweets that a later file repeats are skipped in the earlier one. "
        "Prints macro recall, macro F1, accuracy and calibration error (ECE, ten bins of equal "
        "width) of the model (`refitted`) and of the baselines: boosted trees on 1,024 TF-IDF "
        "columns, and VADER with bounds chosen on the validation file."
    ),
    arguments=(
        Argument("train", _file("training"), parse=Path),
        Argument("validation", _file("validation"), parse=Path),
        Argument("test", _file("testing"), parse=Path),
    ),
    run=evaluate_sentiment,
)

SENTIMENT_COLUMNS: Final = (
    Column("ml_sentiment", "string", "Sentiment predicted by the model; null if the tweet has no "
           "words, or before the first model.", aliases=("mlsentiment",)),
    Column("ml_sentiment_probability", "double", "Probability of the predicted sentiment, from "
           "1/3 to 1.",
           unit="share"),
)  # fmt: skip
LABELLED_TWEETS_SCORED: Final = monthly_table(
    DOMAIN,
    "labelled_tweets_scored",
    "Labelled tweets delivered so far, with the sentiment predicted by the model, which was "
    "trained on those of the part train.",
    (
        *SILVER_LABELLED_TWEETS.pick(KEY, TEXT, LABEL, PART),
        *SENTIMENT_COLUMNS,
        MODEL_VERSION,
    ),
    (KEY,),
    OWNER,
    kind="cumulative",
    topic="sentiment",
)
SENTIMENT_MODEL: Final = ModelSpec(
    name="sentiment",
    experiment="Tweet_Sentiment",
    key=KEY,
    features=(TEXT,),
    texts=frozenset({TEXT}),
    fitted_with=(PART,),
    target=LABEL,
    settings=SentimentSettings(),
    fit=fit_tweets,
    types=types_of(SentimentModel, Terms),
    scored={"ml_sentiment": "string", "ml_sentiment_probability": "double"},
    scorer=sentiment_scorer,
    output="string",
    gates=(
        Gate(
            "sentiment_is_told_apart", "macro_recall", 0.4,
            "Average recall of the three sentiments above 0.4; chance is 0.33.",
            also_shown=("macro_f1", "gain_over_vader"),
        ),
        Gate(
            "sentiment_is_calibrated", "ece", None,
            "Calibration error below 0.2: the probability of the predicted sentiment matches how "
            "often it is right.",
            below=0.2,
        ),
    ),
    finish=lambda rows: rows.select(*LABELLED_TWEETS_SCORED.column_names),
    comparison=by_metric("macro_recall", macro_recall, "ml_sentiment"),
    limits=(
        "It is for English; other languages are mostly scored as Neutral.",
        "It often misreads irony and sentences about two things.",
        "The sample's tweets are made from templates; train the model on real labels before use.",
    ),
    libraries=("scikit-learn", "vaderSentiment", "xgboost-cpu"),
)  # fmt: skip
TABLES: Final = (
    ModelTable(
        SENTIMENT_MODEL,
        LABELLED_TWEETS_SCORED,
        so_far(SILVER_LABELLED_TWEETS),
        triggered_by=(quarantine_table(LABELLED_TWEETS),),
        gates_block=False,
    ),
)
SENTIMENT_TRAINING: Final = Training(
    spec=SENTIMENT_MODEL,
    domain=DOMAIN,
    description=(
        "Train the sentiment model on labelled tweets and register it. It becomes the champion if "
        "there is none, or if its macro recall is significantly better on tweets that neither "
        "model was trained on. Repeated tweets are skipped."
    ),
    arguments=(
        Argument("train", _file("training"), parse=Path),
        Argument(
            "validation",
            _file("validation") + " Without it, a fifth of the training tweets is held out.",
            "",
            lambda text: Path(text) if text else None,
        ),
    ),
    rows=tweets_of_files,
)
