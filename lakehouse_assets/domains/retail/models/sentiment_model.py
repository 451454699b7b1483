"""The fitted sentiment model as plain arrays and text, and how it scores tweets.

Scoring needs NumPy, PyArrow and vaderSentiment only.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from lakehouse_assets.domains.retail.datasets.labelled_tweets import SENTIMENTS
from lakehouse_assets.ml.sampling import FloatArray

if TYPE_CHECKING:
    import pyarrow as pa

TEXT: Final = "twitter_text"
CLASSES: Final = SENTIMENTS

_BATCH: Final = 10_000
_SHORTEST, _LONGEST = 2, 5
_MOST_WORDS: Final = 3
# No term contains a line break, since terms are made of words without white space.
_SEPARATOR: Final = "\n"

_ESCAPED = re.compile(r"\\u([0-9a-fA-F]{4})")
_TOKEN = re.compile(r"[@#]?\w+(?:'\w+)*|[^\w\s]+")
_NEGATION = re.compile(r"not|no|never|none|nothing|without|hardly|cannot|\w+n't")
_END_OF_CLAUSE = re.compile(r"[.,:;!?]+")


@dataclass(frozen=True, eq=False)
class Terms:
    """The weights of the terms of one kind.

    Attributes:
        names: The terms, a line each.
        rarity: Inverse document frequency of each.
        weights: What each adds to the margins, terms by `CLASSES`.
    """

    names: str
    rarity: FloatArray
    weights: FloatArray

    @classmethod
    def of(cls, names: Sequence[str], rarity: FloatArray, weights: FloatArray) -> Terms:
        """Keep terms with their weights."""
        return cls(_SEPARATOR.join(names), rarity, weights)

    def places(self) -> dict[str, int]:
        """Return the row of each term."""
        return {name: place for place, name in enumerate(self.names.split(_SEPARATOR))}


@dataclass(frozen=True, eq=False)
class SentimentModel:
    """A linear model on the TF-IDF of characters and of words, and on VADER's scores.

    Attributes:
        characters: The weights of characters.
        words: The weights of words.
        lexicon: The weights of the columns of `lexicon_columns`, columns by `CLASSES`.
        intercept: The margins of a tweet without any term.
        temperature: Factor of the margins that gives calibrated probabilities.
    """

    characters: Terms
    words: Terms
    lexicon: FloatArray
    intercept: FloatArray
    temperature: float

    def scoring(self) -> Callable[[Sequence[str]], FloatArray]:
        """Return a function that gives texts their probabilities, a column for each of `CLASSES`.

        Equal texts are scored once, and a text gets the same probabilities beside any others.
        """
        import numpy as np

        parts = [
            (self.characters, self.characters.places(), character_terms),
            (self.words, self.words.places(), word_terms),
        ]

        def margins(texts: Sequence[str]) -> FloatArray:
            # Column by column, because a product of matrices may round a row in other ways beside
            # other rows.
            found = np.tile(self.intercept, (len(texts), 1))
            for column, weights in zip(lexicon_columns(texts).T, self.lexicon, strict=True):
                found += column[:, np.newaxis] * weights
            for terms, places, terms_of in parts:
                found += _margins(texts, terms, places, terms_of)
            return found

        def score(texts: Sequence[str]) -> FloatArray:
            rows: dict[str, int] = {}
            wanted = [rows.setdefault(text, len(rows)) for text in texts]
            distinct = list(rows)
            found = [margins(distinct[n : n + _BATCH]) for n in range(0, len(distinct), _BATCH)]
            stacked = np.concatenate([np.empty((0, len(CLASSES))), *found])
            return softmax(stacked * self.temperature)[wanted]

        return score

    def predict(self, rows: Any) -> list[str | None]:
        """Return the likeliest sentiment of each row's text; None if it has none."""
        found: list[str | None] = sentiment_scorer(self)(rows).column("ml_sentiment").to_pylist()
        return found


def sentiment_scorer(model: SentimentModel) -> Callable[[pa.RecordBatch], pa.RecordBatch]:
    """Return a function that gives texts their likeliest sentiment and its probability."""
    score = model.scoring()

    def run(batch: pa.RecordBatch) -> pa.RecordBatch:
        import numpy as np
        import pyarrow

        texts = batch.column(TEXT).to_pylist()
        missing = np.array([text is None for text in texts], bool)
        found = score([clean(text or "") for text in texts])
        likeliest = found.argmax(axis=1)
        names = np.array(CLASSES, dtype=object)[likeliest]
        return pyarrow.RecordBatch.from_arrays(
            [
                pyarrow.array(names, pyarrow.string(), mask=missing),
                pyarrow.array(found[np.arange(len(texts)), likeliest], mask=missing),
            ],
            names=["ml_sentiment", "ml_sentiment_probability"],
        )

    return run


def clean(text: str) -> str:
    """Return a tweet with its escapes decoded (JSON's and HTML's) and with straight quotes."""
    text = html.unescape(_ESCAPED.sub(lambda found: chr(int(found[1], 16)), text))
    # Escapes write characters such as emoji as two halves, which become one here.
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text.replace("\u2019", "'")


def words(text: str) -> list[str]:
    """Return the words and marks of a tweet; words in the clause of a negation begin with `not`."""
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


def word_terms(text: str) -> Iterator[str]:
    """Yield each word of a tweet, each pair and each three in a row."""
    found = words(text)
    for length in range(1, _MOST_WORDS + 1):
        for start in range(len(found) - length + 1):
            yield " ".join(found[start : start + length])


def character_terms(text: str) -> Iterator[str]:
    """Yield two to five characters in a row of each word, with a blank at both of its ends."""
    for word in text.lower().split():
        padded = f" {word} "
        for length in range(_SHORTEST, min(_LONGEST, len(padded)) + 1):
            for start in range(len(padded) - length + 1):
                yield padded[start : start + length]


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


def softmax(margins: FloatArray) -> FloatArray:
    """Return probabilities for margins, row by row."""
    import numpy as np

    powers = np.exp(margins - margins.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float64)


def _margins(
    texts: Sequence[str],
    terms: Terms,
    places: dict[str, int],
    terms_of: Callable[[str], Iterator[str]],
) -> FloatArray:
    """Return what the terms of one kind add to the margins of texts.

    A term counts by its rarity and the logarithm of its times; the counts of a text have length 1.
    """
    import numpy as np

    size = len(terms.rarity)
    known = [
        [place for term in terms_of(text) if (place := places.get(term)) is not None]
        for text in texts
    ]
    rows = np.repeat(np.arange(len(texts)), [len(found) for found in known])
    columns = np.fromiter((place for found in known for place in found), np.int64, len(rows))
    both, times = np.unique(rows * size + columns, return_counts=True)
    rows, columns = np.divmod(both, size)
    counts = (1.0 + np.log(times)) * terms.rarity[columns]
    length = np.sqrt(np.bincount(rows, counts**2, len(texts)))
    length[length == 0.0] = 1.0
    parts = terms.weights[columns] * counts[:, np.newaxis]
    added = [np.bincount(rows, part, len(texts)) for part in parts.T]
    return np.stack(added, axis=1) / length[:, np.newaxis]
