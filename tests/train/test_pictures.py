"""The pictures that a training leaves: curves, which class was taken for which, and the worst mistakes."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_loop import made
from training_nets import REFERENCE, colour_data, colour_recipe

from netdsl.data import ArraySplit
from netdsl.ir.graph import Graph
from netdsl.ir.types import TensorType
from netdsl.ops import builder
from netdsl.train.answer_pictures import confusion_picture, mistakes_picture
from netdsl.train.answers import Answers, Mistake
from netdsl.train.loop import Loop
from netdsl.train.recipe import Metric


def top(classes: int) -> Metric:
    graph = Graph("scores")
    return Metric("top1", "top", builder(graph).input("logits", TensorType((classes,))), "label")


def answered(classes: int, scores: np.ndarray, labels: np.ndarray) -> Answers:
    answers = Answers(tuple(f"class {n}" for n in range(classes)), np.zeros((classes, classes), dtype=np.int64))
    for start in range(0, len(labels), 2):
        answers.add(top(classes), scores[start : start + 2], labels[start : start + 2])
    return answers


def test_mistakes_by_confidence() -> None:
    scores = np.log(np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.5, 0.5], [0.01, 0.99]]))
    answers = answered(2, scores, np.array([0, 0, 1, 1, 0]))
    assert answers.confusion.tolist() == [[1, 2], [2, 0]]
    worst = answers.worst(3)
    assert [(item.index, item.true, item.taken) for item in worst] == [(4, 0, 1), (1, 0, 1), (2, 1, 0)]
    assert worst[0].probability == pytest.approx(0.99)
    assert len(answers.worst(9)) == 4


@pytest.mark.parametrize("classes", [2, 10, 40, 500])
def test_the_matrix_in_colours(classes: int) -> None:
    answers = Answers(tuple(map(str, range(classes))), np.diag(np.full(classes, 5)))
    answers.confusion[0] = 0
    answers.confusion[0, 1] = 7
    picture = np.asarray(Image.open(io.BytesIO(confusion_picture(answers))).convert("RGB"))
    colours = {tuple(colour) for colour in picture.reshape(-1, 3).tolist()}
    assert (9, 105, 218) in colours and (188, 76, 0) in colours and max(picture.shape) < 1200


def test_the_sheet_of_mistakes() -> None:
    data = colour_data()
    assert isinstance(data.test, ArraySplit)
    answers = Answers(data.classes, np.zeros((3, 3), dtype=np.int64))
    assert mistakes_picture(answers, data.test) is None
    answers.mistakes += [Mistake(index % 7, 0, 1, index / 100) for index in range(40)]
    picture = mistakes_picture(answers, data.test)
    assert picture is not None and Image.open(io.BytesIO(picture)).size == (6 * 120 + 8, 4 * 152 + 8)


def test_a_training_draws_them(tmp_path: Path) -> None:
    run = made(tmp_path / "run")
    run.mistakes.write_bytes(b"of an earlier end")
    result = Loop(colour_recipe(epochs=3), colour_data(), REFERENCE, run, seed=3).fit()
    assert not run.mistakes.exists() and Image.open(run.confusion).format == "PNG"
    root = ElementTree.parse(run.path / "curves.svg").getroot()
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"Loss", "training", "test", "epochs", "pixel_accuracy on the test set"} <= set(texts)
    titles = [element.text for element in root.iter("{http://www.w3.org/2000/svg}title")]
    assert f"test at 3: {result.test['loss']:.5g}" in titles
