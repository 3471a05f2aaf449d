"""Specs that ship with the package: the standard library (``std/``) and complete models."""
