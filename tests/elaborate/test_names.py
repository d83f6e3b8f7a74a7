"""The naming rule, by example."""

from __future__ import annotations

from netdsl.elaborate import elaborate, load_program
from netdsl.resolve import resolve
from tests.elaborate.support import layers, net, weights

BLOCK = "block Pair(n: int) { return in -> conv(n, 3x3, pad=1, bias=no) -> relu }"


def test_kind_and_ordinal() -> None:
    model = net("output y = image -> conv(4, 3x3) -> relu -> conv(8, 1x1) -> relu")
    assert layers(model) == ["conv1", "relu1", "conv2", "relu2"]
    assert weights(model) == ["conv1.weight", "conv1.bias", "conv2.weight", "conv2.bias"]


def test_naming_one_layer_renames_no_other() -> None:
    model = net("output y = image -> conv(4, 3x3) as stem -> conv(8, 1x1) -> conv(8, 1x1)")
    assert layers(model) == ["stem", "conv2", "conv3"]


def test_blocks_are_names_around_their_layers() -> None:
    model = net("output y = image -> Pair(4) -> Pair(8) as second", BLOCK)
    assert layers(model) == ["pair1.conv1", "pair1.relu1", "second.conv1", "second.relu1"]


def test_a_named_repetition_is_numbered_even_when_it_is_one() -> None:
    model = net("output y = image -> Pair(4) * 2 as a -> Pair(8) * 1 as b -> Pair(8) * 2", BLOCK)
    starts = [name.rsplit(".", 1)[0] for name in layers(model)[::2]]
    assert starts == ["a.0", "a.1", "b.0", "pair1", "pair2"]


def test_a_named_group_numbers_stages_and_repetitions_alike() -> None:
    model = net("output y = image -> (Pair(4) -> Pair(8) * 2 -> relu -> (tanh -> relu)) as g", BLOCK)
    assert [name.split(".")[1] for name in layers(model)] == ["0", "0", "1", "1", "2", "2", "3", "4", "5"]


def test_a_name_inside_a_group_takes_its_position() -> None:
    assert layers(net("output y = image -> (relu -> tanh as t -> relu) as g")) == ["g.0", "g.t", "g.2"]


def test_a_group_of_one_is_no_group() -> None:
    assert layers(net("output y = image -> (relu) as r")) == ["r"]


def test_an_unnamed_group_leaves_no_trace() -> None:
    assert layers(net("output y = image -> (relu -> (relu -> tanh)) * 2")) == [
        "relu1", "relu2", "tanh1", "relu3", "relu4", "tanh2",
    ]  # fmt: skip


def test_a_group_may_begin_with_a_value() -> None:
    assert layers(net("output y = (image -> relu -> tanh) as g")) == ["g.0", "g.1"]


def test_what_stands_in_arguments_belongs_to_the_scope_around() -> None:
    model = net("output y = image -> (relu -> add(image -> tanh)) as g")
    assert sorted(layers(model)) == ["g.0", "g.1", "g.tanh1"]


def test_numbered_labels() -> None:
    model = net("x = image\nfor i in [1, 2] { x = x -> relu as act[i] }\noutput x")
    assert layers(model) == ["act1", "act2"]


def test_shared_layers() -> None:
    body = """
    layer c = conv(3, 3x3, pad=1)
    layer p = Pair(3)
    a = image -> c -> c
    b = a -> p -> p as again
    output b
    """
    model = net(body, BLOCK)
    assert layers(model) == ["c", "c@2", "p.conv1", "p.relu1", "again.conv1", "again.relu1"]
    assert weights(model) == ["c.weight", "c.bias", "p.conv1.weight"]


def test_a_shared_block_shares_what_is_shared_inside_it() -> None:
    block = "block Twice { layer c = conv(3, 1x1)\n return in -> c -> c }"
    model = net("layer t = Twice\noutput y = image -> t -> t", block)
    assert layers(model) == ["t.c", "t.c@2", "t@2.c", "t@2.c@2"]
    assert weights(model) == ["t.c.weight", "t.c.bias"]


def test_published_names_of_resnet50() -> None:
    reference = resolve("zoo:resnet50")
    names = set(weights(elaborate(load_program(reference.path), reference.net)))
    assert {
        "conv1.weight", "bn1.running_var", "layer1.0.conv1.weight", "layer1.0.downsample.0.weight",
        "layer1.0.downsample.1.bias", "layer2.3.bn3.weight", "layer4.2.conv3.weight", "fc.weight", "fc.bias",
    } <= names  # fmt: skip
    assert len(names) == 267
