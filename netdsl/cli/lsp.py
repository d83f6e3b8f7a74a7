"""``netdsl lsp``: a language server on stdin and stdout."""

from __future__ import annotations

import click

from netdsl.diagnostics import Code, UserError


@click.command(
    epilog="""\b
Examples:
  netdsl lsp
  nvim: vim.lsp.start({name = "netdsl", cmd = {"netdsl", "lsp"}, root_dir = vim.fn.getcwd()})
  helix (languages.toml): language-server.netdsl = {command = "netdsl", args = ["lsp"]}

\b
It needs pygls:  python -m pip install 'netdsl[lsp]'"""
)
@click.option("--stdio", is_flag=True, help="As editors say it; there is no other way.")
def command(stdio: bool) -> None:
    """Serve editors that speak the Language Server Protocol.

    Findings as you type; hover with shape, parameters, MACs and receptive field; shapes at the ends of lines; go to
    definition, references, rename; completion of ops, blocks and arguments with their manual; formatting.
    """
    from importlib.metadata import version

    try:
        from netdsl.lsp.server import serve
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("pygls", "lsprotocol", "cattrs", "attrs"):
            raise
        raise UserError.of(
            Code.BAD_OPTION, "the language server needs pygls", help="python -m pip install 'netdsl[lsp]'"
        ) from None
    serve(version("netdsl"))
