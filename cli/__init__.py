"""The command line and the Python door.  Torch is imported only where a model is run."""
