"""One file per language; see aoide/text/__init__.py."""
