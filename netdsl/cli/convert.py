"""``netdsl convert``: another network of the same function, as text and weights."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from netdsl.cli.common import write_output
from netdsl.cli.options import json_option, network_options
from netdsl.driver import Origin, load


@click.command(
    epilog="""\b
Fully connected layers become convolutions: the first with the window of the map it looked at, the others 1x1.
On the size it was made for, the new network gives the scores it gave, [F] as [F, 1, 1]. A larger image gives a map
of scores: the classifier at every position, at the stride of the network.
Weights of FILE load into the new network as they are; --output-weights writes them under its own names.

\b
Examples:
  netdsl convert zoo:vgg_d --fully-convolutional -o vgg_dense.net
  netdsl report vgg_dense.net --size 384x384
  netdsl convert zoo:lenet5 --fully-convolutional -o dense.net --weights runs/lenet5 \\
      --output-weights dense.safetensors"""
)
@network_options
@click.option("--fully-convolutional", "dense", is_flag=True, help="Make a classifier a network of maps.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="NET", help="Write to a file instead of stdout."
)
@click.option("--weights", type=click.Path(path_type=Path), metavar="PATH", help="Weights of FILE to convert.")
@click.option(
    "--output-weights", type=click.Path(path_type=Path), metavar="PATH", help="Where the converted weights go."
)
@json_option
def command(
    network: Origin,
    dense: bool,
    output: Path | None,
    weights: Path | None,
    output_weights: Path | None,
) -> None:
    """Convert a network, and its weights, to another form of it.

    What is written is an ordinary .net file whose image has the size of FILE unless --size says otherwise. What was
    changed is said on stderr.
    """
    if not dense:
        raise click.UsageError("Say what to convert to: --fully-convolutional.")
    if (weights is None) != (output_weights is None):
        raise click.UsageError("--weights and --output-weights go together.")
    from netdsl.passes.convolutionalize import convolutionalize
    from netdsl.report.net_text import net_text

    model = load(network)
    made = convolutionalize(model.graph)
    text = net_text(made.graph, [f"{model.name} of {Path(network.where).name}, fully convolutional."])
    if weights is not None and output_weights is not None:
        from netdsl.trained import load_trained
        from netdsl.weights.files import write_tensors

        parameters = load_trained(model, weights).parameters
        tensors = {new: parameters[old].reshape(made.shapes.get(old, parameters[old].shape))
                   for old, new in text.names.items()}  # fmt: skip
        write_tensors(output_weights, tensors, {})
    write_output(output, text.text)
    for note in made.notes:
        print(note, file=sys.stderr)
