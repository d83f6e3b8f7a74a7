"""Weights in files: safetensors, written atomically, matched to a network by name."""

from __future__ import annotations

from netdsl.weights.atomic import write_atomically
from netdsl.weights.files import TensorFile, read_tensors, write_tensors
from netdsl.weights.match import match_weights

__all__ = ["TensorFile", "match_weights", "read_tensors", "write_atomically", "write_tensors"]
