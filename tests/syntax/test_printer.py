"""``--emit tree``."""

from __future__ import annotations

from netdsl.source import Source
from netdsl.syntax.parser import parse
from netdsl.syntax.printer import print_tree

TEXT = """\
net N(k: int = 3) {
    input x: [1, 8]
    output y = x -> relu * k as r
}
"""

TREE = """\
Program  (1:1)
  Net  (1:1)
    Name text='N'  (1:5)
    Parameter  (1:7)
      Name text='k'  (1:7)
      Name text='int'  (1:10)
      Number value=3  (1:16)
    Body  (1:19)
      Input  (2:5)
        Name text='x'  (2:11)
        ListExpr  (2:14)
          Number value=1  (2:15)
          Number value=8  (2:18)
      Output  (3:5)
        OutputItem  (3:12)
          Name text='y'  (3:12)
          Pipe  (3:16)
            Name text='x'  (3:16)
"""


def test_every_node_has_a_line() -> None:
    printed = print_tree(parse(Source("n.net", TEXT)))
    assert printed.startswith(TREE)
    assert "Label text='r'" in printed
    assert print_tree(parse(Source("other.net", TEXT))) == printed
