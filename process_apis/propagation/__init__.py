"""Propagation: what happens in the systems becomes canonical events, each taken once, in order."""
