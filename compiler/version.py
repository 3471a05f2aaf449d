"""Version numbers: the package, and one integer for each format that outlives a process."""

__version__ = "0.1.0"

EDITION = 1  # of the language: the first line of a spec is `dlt 1`
MODULE_ABI = 1  # of emitted modules, checked by the runtime when it loads one
MANIFEST = 1  # of manifest.json
CHECKPOINT = 1  # of checkpoint folders
JSON_SCHEMA = 1  # of what the commands print with --json
