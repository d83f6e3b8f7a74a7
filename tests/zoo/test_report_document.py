"""``report --json`` of every zoo network has exactly the documented shape, types included, and adds up."""

from __future__ import annotations

import json
from typing import Any

import pytest

from netdsl.cli.main import run
from netdsl.resolve import zoo_names

Number = (int, float)


def is_shape(value: Any) -> bool:
    return isinstance(value, list) and all(type(size) is int and size >= 1 for size in value)


def is_field_number(value: Any) -> bool:
    """One number, or one an axis where they differ."""
    if isinstance(value, list):
        return len(value) == 2 and all(type(item) in Number for item in value)
    return type(value) in Number


@pytest.mark.parametrize("name", zoo_names())
def test_the_document(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["report", f"zoo:{name}", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert list(document) == ["schema", "net", "inputs", "outputs", "layers", "totals", "memory"]
    assert document["schema"] == 1 and isinstance(document["net"], str)
    for ports in (document["inputs"], document["outputs"]):
        assert ports and all(isinstance(key, str) and is_shape(shape) for key, shape in ports.items())
    for layer in document["layers"]:
        assert isinstance(layer["name"], str) and isinstance(layer["op"], str) and is_shape(layer["output_shape"])
        assert all(type(layer[key]) is int and layer[key] >= 0 for key in ("params", "macs", "flops"))
        assert type(layer["line"]) is int and layer["line"] >= 1
        field = layer["receptive_field"]
        assert field is None or (set(field) == {"size", "jump", "start"} and all(map(is_field_number, field.values())))
    names = [layer["name"] for layer in document["layers"]]
    assert len(set(names)) == len(names)
    totals, memory = document["totals"], document["memory"]
    for key in ("params", "macs", "flops"):
        assert totals[key] == sum(layer[key] for layer in document["layers"])
    assert type(totals["trainable_params"]) is int and 0 <= totals["trainable_params"] <= totals["params"]
    assert memory["weights_bytes"] == 4 * (totals["params"] + totals["statistics"])
    assert memory["inference_peak_bytes"] > 0 and memory["training_peak_bytes"] > 0
