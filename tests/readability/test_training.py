"""Training from end to end, small, and a pretrained folder made on the spot."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import treelite
from rich.progress import Progress

from ensembles.readability import train as script
from ensembles.readability import training
from ensembles.readability.corpus import TrainingError
from ensembles.readability.training import ARTIFACTS, Options, train
from python_models.readability_preprocess.step import Preprocess
from tests.readability.conftest import ROOT

SMALL: dict[str, Any] = {"texts": 60, "epochs": 1, "max_tokens": 48, "forest_trees": 5, "seed": 2}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("artifacts")
    return folder, train(Options(output=folder, **SMALL), Progress(disable=True))


def scores(folder: Path, context: Any, texts: list[str]) -> Any:
    """BERT's and the forest's scores of texts, from the files alone, as a server gets them."""
    made = context(max_tokens=48)
    made.directory = folder
    out = Preprocess(made)(texts)
    bert = torch.jit.load(str(folder / "bert.pt"))
    forest = treelite.Model.deserialize(str(folder / "checkpoint.tl"))
    features = out["features"].astype(np.dtype(forest.input_type))
    with torch.inference_mode():
        by_bert = bert(*(torch.from_numpy(out[n]) for n in ("input_ids", "attention_mask")))
    return by_bert.numpy(), treelite.gtil.predict(forest, features).reshape(len(texts), 1)


def test_the_artifacts_serve_the_steps(trained: tuple[Path, dict[str, Any]], context: Any) -> None:
    folder, metrics = trained
    assert sorted(path.name for path in folder.iterdir()) == sorted(ARTIFACTS)
    assert json.loads((folder / "metrics.json").read_text()) == metrics
    for found in scores(folder, context, ["The cat sat.", "A dog ran home, and then it slept!"]):
        assert found.shape == (2, 1)
        assert np.isfinite(found).all()


def test_metrics_name_the_baseline_and_the_floor(trained: tuple[Path, dict[str, Any]]) -> None:
    metrics = trained[1]
    rmse = metrics["holdout_rmse"]
    assert list(rmse) == ["predicting_the_mean", "forest", "bert", "ensemble", "noise_floor"]
    assert rmse["forest"] < rmse["predicting_the_mean"]
    assert metrics["rows"] == {"training": 48, "holdout": 12}
    assert metrics["seed"] == 2
    assert metrics["command"].endswith(
        "train.py --epochs 1 --max-tokens 48 --forest-trees 5 --seed 2 --texts 60"
    )
    assert metrics["versions"]["torch"] == torch.__version__


def test_the_same_seed_gives_the_same_models(
    trained: tuple[Path, dict[str, Any]], context: Any, tmp_path: Path
) -> None:
    folder, metrics = trained
    assert train(Options(output=tmp_path, **SMALL), Progress(disable=True)) == metrics
    for name in ("tokenizer.json", "words.json", "checkpoint.tl"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes(), name
    texts = ["The cat sat.", "Consequently, the mechanism was characterised."]
    for once, again in zip(
        scores(folder, context, texts), scores(tmp_path, context, texts), strict=True
    ):
        np.testing.assert_array_equal(once, again)


def test_a_failure_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bert.pt").write_text("before")

    def broken(*_: object) -> None:
        raise TrainingError("no")

    monkeypatch.setattr(training, "_fit_bert", broken)
    with pytest.raises(TrainingError):
        train(Options(output=tmp_path, **SMALL), Progress(disable=True))
    assert [path.name for path in tmp_path.iterdir()] == ["bert.pt"]
    assert (tmp_path / "bert.pt").read_text() == "before"


def pretrained(folder: Path) -> Path:
    """A BERT as `save_pretrained` leaves it, with its tokenizer, small and untrained."""
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    from ensembles.readability.vocabulary import tokens_of, write_tokenizer

    tokens = tokens_of([["the", "cat", "sat", "on", "a", "mat"]])
    write_tokenizer(tokens, folder / "raw.json")
    special = {
        f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")
    }
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(folder / "raw.json"), **special)
    tokenizer.save_pretrained(folder)
    sizes = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 16}
    config = BertConfig(vocab_size=len(tokens), num_hidden_layers=2, **sizes)
    BertModel(config).save_pretrained(folder)
    return folder


def test_a_pretrained_folder_and_a_file_of_texts(tmp_path: Path, context: Any) -> None:
    data = tmp_path / "data.csv"
    rows = [f'"The cat sat on {n} mats. {"It slept. " * n}",{n / 10}' for n in range(30)]
    data.write_text("\n".join(["Excerpt,BT_easiness", *rows]))
    (tmp_path / "encoder").mkdir()
    options = Options(
        output=tmp_path / "out",
        data=data,
        limit=20,
        encoder=str(pretrained(tmp_path / "encoder")),
        epochs=1,
        freeze_layers=1,
        max_tokens=48,
        forest_trees=3,
    )
    metrics = train(options, Progress(disable=True))
    assert metrics["data"] == "data.csv"
    assert metrics["rows"] == {"training": 16, "holdout": 4}
    assert "noise_floor" not in metrics["holdout_rmse"]
    assert str(tmp_path) not in metrics["command"]
    assert scores(tmp_path / "out", context, ["The cat sat."])[0].shape == (1, 1)


def test_an_encoder_without_a_tokenizer(tmp_path: Path) -> None:
    options = Options(output=tmp_path / "out", encoder=str(tmp_path), **SMALL)
    with pytest.raises(TrainingError, match="no WordPiece tokenizer could be loaded"):
        train(options, Progress(disable=True))


def test_the_script_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "data.csv").write_text("text,target\n")
    arguments = ["--data", str(tmp_path / "data.csv"), "--output", str(tmp_path / "out")]
    assert script.main(arguments) == 1
    said = capsys.readouterr().err
    assert 'no column "excerpt": did you mean "text"?' in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--holdout", "1"],
        ["--epochs", "0"],
        ["--seed", "x"],
        ["--seed", "-1"],
        ["--seed", "4294967296"],
        ["--freeze-layers", "2"],
        ["--limit", "20"],
        ["--text-column", "text"],
    ],
)
def test_usage_errors(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        script.main(arguments)
    assert raised.value.code == 2
    assert arguments[0] in capsys.readouterr().err


def test_a_holdout_that_leaves_nothing_to_train_on(tmp_path: Path) -> None:
    options = Options(output=tmp_path / "out", holdout=0.99, **SMALL)
    with pytest.raises(TrainingError, match=r"1 of 60 rows are left for training, .* --holdout"):
        train(options, Progress(disable=True))
    assert not (tmp_path / "out").exists()


def test_help_runs_as_a_script() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "ensembles/readability/train.py"), "--help"],
        capture_output=True,
        text=True,
        check=True,
        cwd="/",
    )
    assert "--freeze-layers" in done.stdout
