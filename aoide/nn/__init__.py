"""Blocks that several models share, each written once: (batch, frames, dim) in and out, time before channels."""
