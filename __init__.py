"""dltc: compile declarative tensor-circuit specs (``.dlt``) to runnable PyTorch modules, and diff compiled graphs.

The public door.  Importing it is light: torch is imported when a program is loaded or trained, never before.
"""

if __name__ != "dltc":  # the repository root *is* the package; a second name would load every module twice
    raise ImportError(f"this folder must be imported as `dltc`, not as `{__name__}`")

from .cli.api import Program as Program
from .cli.api import compile as compile
from .cli.api import diff as diff
from .cli.api import train as train
from .compiler.diagnostics import Diagnostic as Diagnostic
from .compiler.diagnostics import SpecError as SpecError
from .compiler.version import __version__ as __version__

__all__ = ["Diagnostic", "Program", "SpecError", "__version__", "compile", "diff", "train"]
