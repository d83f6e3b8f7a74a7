"""Where a compiled network's time goes, layer by layer, against what the machine can do at most."""
