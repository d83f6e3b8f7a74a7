"""The language server: what an editor may ask about a ``.net`` file. Only ``server`` knows the protocol (pygls)."""
