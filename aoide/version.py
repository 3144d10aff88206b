"""The version, at the bottom of the layers, so that every part can write it into what it makes."""

__version__ = "0.1.0"
