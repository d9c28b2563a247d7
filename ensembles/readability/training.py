"""From texts to artifacts: the whole of training as one paragraph, `train`."""

from __future__ import annotations

import json
import math
import platform
import random
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.progress import Progress

from ensembles.readability import forest, generator, vocabulary
from ensembles.readability.corpus import Corpus, TrainingError, read_csv
from python_models.readability_postprocess.step import combine
from python_models.readability_preprocess import words
from python_models.readability_preprocess.features import FeatureCounter, words_of
from python_models.readability_preprocess.texts import folded
from python_models.readability_preprocess.tokens import Length, WordPiece

Array = npt.NDArray[np.float32]
TINY = "tiny"
LEAST_TRAINING = 5
ARTIFACTS = ("bert.pt", "checkpoint.tl", "tokenizer.json", "words.json", "metrics.json")


@dataclass(frozen=True)
class Options:
    output: Path
    data: Path | None = None
    text_column: str | None = None
    target_column: str | None = None
    limit: int | None = None
    encoder: str = TINY
    epochs: int | None = None
    freeze_layers: int = 0
    max_tokens: int = 256
    forest_trees: int = 100
    forest_depth: int = 16
    holdout: float = 0.2
    seed: int = 0
    texts: int = 800


@dataclass(frozen=True)
class Scores:
    """Of the holdout: the truth and what each part says, all [B]."""

    targets: Array
    forest: Array
    bert: Array


def train(options: Options, progress: Progress) -> dict[str, Any]:
    """Train both models, write the artifacts, and return what `metrics.json` holds."""
    corpus = _corpus(options)
    fitting, holdout = corpus.split(options.holdout, options.seed)
    if len(fitting) < LEAST_TRAINING:
        raise TrainingError(
            f"{len(fitting)} of {len(corpus)} rows are left for training, and {LEAST_TRAINING} are "
            "needed: lower --holdout, or raise --limit"
        )
    options.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.output, prefix=".new-") as folder:
        staged = Path(folder)
        _write_words(fitting, staged)
        _write_tokenizer(fitting, options, staged)
        targets = np.asarray(holdout.targets, np.float32)
        by_forest = _fit_forest(fitting, holdout, options, staged, progress)
        by_bert = _fit_bert(fitting, holdout, options, staged, progress)
        metrics = _metrics(Scores(targets, by_forest, by_bert), (fitting, holdout), options)
        (staged / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n", "utf-8")
        for name in ARTIFACTS:
            (staged / name).replace(options.output / name)
    return metrics


def _corpus(options: Options) -> Corpus:
    if options.data is None:
        return generator.generate(options.texts, options.seed)
    corpus = read_csv(options.data, options.text_column, options.target_column)
    if options.limit is not None and options.limit < len(corpus):
        rows = random.Random(options.seed).sample(range(len(corpus)), options.limit)
        corpus = corpus.take(sorted(rows))
    return corpus


def _words(corpus: Corpus) -> list[list[str]]:
    return [[word.decode() for word in words_of(text)] for text in folded(corpus.texts)]


def _write_words(fitting: Corpus, staged: Path) -> None:
    words.from_words(_words(fitting)).write(staged / "words.json")


def _write_tokenizer(fitting: Corpus, options: Options, staged: Path) -> None:
    path = staged / "tokenizer.json"
    if options.encoder == TINY:
        vocabulary.write_tokenizer(vocabulary.tokens_of(_words(fitting)), path)
        return
    from transformers import AutoTokenizer

    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(options.encoder)
        tokenizer.backend_tokenizer.save(str(path))
        WordPiece(path)
    except (OSError, ValueError, AttributeError) as problem:
        raise TrainingError(
            f"no WordPiece tokenizer could be loaded from {options.encoder!r}: {problem}"
        ) from problem


def _fit_forest(
    fitting: Corpus, holdout: Corpus, options: Options, staged: Path, progress: Progress
) -> Array:
    """Write checkpoint.tl; return the scores of the holdout."""
    task = progress.add_task("forest", total=3)
    count = FeatureCounter(words.read(staged / "words.json"))
    features = count(folded(fitting.texts))
    progress.advance(task)
    settings = forest.ForestOptions(options.forest_trees, options.forest_depth, options.seed)
    fitted = forest.fit(features, np.asarray(fitting.targets, np.float32), settings)
    progress.advance(task)
    fitted.write(staged / "checkpoint.tl")
    progress.advance(task)
    return fitted.predict(count(folded(holdout.texts)))


def _fit_bert(
    fitting: Corpus, holdout: Corpus, options: Options, staged: Path, progress: Progress
) -> Array:
    """Write bert.pt; return the scores of the holdout."""
    from ensembles.readability import encoder

    wordpiece = WordPiece(staged / "tokenizer.json")
    rows = _rows(wordpiece, fitting, options.max_tokens)
    if options.encoder == TINY:
        n_tokens = len(wordpiece.settings["model"]["vocab"])
        model = encoder.tiny(n_tokens, options.max_tokens, options.seed)
        settings = encoder.FitOptions(options.epochs or 6, 32, 1e-3, options.seed)
    else:
        model = encoder.pretrained(options.encoder, options.freeze_layers, options.seed)
        rate = 2e-4 if options.freeze_layers else 8e-5  # as measured for either: README.md
        settings = encoder.FitOptions(options.epochs or 2, 16, rate, options.seed)
    task = progress.add_task("BERT", total=settings.epochs * len(rows))
    targets = np.asarray(fitting.targets, np.float32)
    model.to(encoder.best_device())
    encoder.fit(model, rows, targets, settings, lambda n_texts: progress.advance(task, n_texts))
    model.cpu()
    encoder.export(model, staged / "bert.pt", options.max_tokens)
    return encoder.predict(model, _rows(wordpiece, holdout, options.max_tokens))


def _rows(wordpiece: WordPiece, corpus: Corpus, max_tokens: int) -> list[list[int]]:
    """Ids framed and cut as the preprocessing step does it."""
    special = wordpiece.special
    contents = wordpiece.ids(folded(corpus.texts), Length(max_tokens, 1).content)
    return [[special.cls, *content, special.sep] for content in contents]


def _metrics(scores: Scores, parts: tuple[Corpus, Corpus], options: Options) -> dict[str, Any]:
    fitting, holdout = parts
    mean = np.full_like(scores.targets, np.mean(fitting.targets))
    rmse = {
        "predicting_the_mean": _rmse(mean, scores.targets),
        "forest": _rmse(scores.forest, scores.targets),
        "bert": _rmse(scores.bert, scores.targets),
        "ensemble": _rmse(combine(scores.bert, scores.forest, np.float32(0.5)), scores.targets),
    }
    if fitting.generated:
        rmse["noise_floor"] = generator.NOISE
    libraries = ("numpy", "scikit-learn", "tokenizers", "torch", "transformers", "treelite")
    return {
        "data": "generated" if options.data is None else options.data.name,
        "rows": {"training": len(fitting), "holdout": len(holdout)},
        "holdout_rmse": {name: round(value, 4) for name, value in rmse.items()},
        "command": command(options),
        "seed": options.seed,
        "versions": {
            "python": platform.python_version(),
            **{library: version(library) for library in libraries},
        },
    }


def command(options: Options) -> str:
    """The command line that gives these options again, paths by their last part."""
    plain = Options(output=options.output)
    words_ = ["python ensembles/readability/train.py"]
    for name, value in vars(options).items():
        if name != "output" and value != getattr(plain, name):
            shown = Path(value).name if name in ("data", "encoder") else value
            words_.append(f"--{name.replace('_', '-')} {shown}")
    return " ".join(words_)


def _rmse(scores: Array, targets: Array) -> float:
    return math.sqrt(float(np.mean((scores.astype(np.float64) - targets) ** 2)))
