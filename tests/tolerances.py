"""Every tolerance of the oracle tests, each with its reason.  Errors are relative to the largest entry of the expected
array (at least 1), see ``spec_oracle.error``."""

from __future__ import annotations

EMITTED = 1e-10
"""Emitted module against interpreter: both compute in float64, in another order and by other library routines."""

GRADIENT = 1e-9
"""Derived gradient against autograd: two different chains of roundings, divided differences of eigenvalues among them."""

DIFFERENCE_STEP = 1e-5
DIFFERENCE = 2e-6
"""Derived gradient against central differences: truncation ~ STEP^2 f''', rounding ~ 1e-16 |f| / STEP."""

OPTIMIZER = 1e-12
"""A standard rule against torch.optim on one fixed stream of gradients, 100 steps: rounding alone."""

TRAINING = 1e-10
"""A training loop against a hand-written one: gradients rounded differently, fed back for some hundred steps."""

SIMPLEX = 1e-15
"""How far from 1 a normalised parameter may sum: one division per entry."""

ON_DOMAIN = 1e-14
"""How far off its domain a retracted parameter may be: one division by a length, one singular value decomposition."""

CLOSED_FORM = 1e-12
"""A rule against its closed form: the same few operations in another order."""

EXACT = 0.0
"""Edge values and bit-for-bit comparisons."""

ENDS = 1e-12
"""An example among longer ones against the same example alone: the same sums with zeros between, in another order."""

REPLICA = 1e-9
"""A replica of `seeds K` against the run of its seed, after whole trainings: batched products and sums may add in another
order, fed back through every step (most are equal bit for bit)."""

METRIC = 1e-9
"""A metric, relative: float64 sums of the same numbers in another order."""

SINGLE = 1e-6
"""A metric of a float32 module, relative: a few roundings of 6e-8 at each place, means in float64."""

ALLOCATED = 0.1
"""Predicted against allocated bytes of one operation, relative: torch's kernels may use scratch memory of their own."""

ALLOCATED_SMALL = 2048
"""The same, in bytes: Python numbers that torch wraps, pivots and error codes of LAPACK, a block per worker."""

ALLOCATED_TINY = 600
"""The same for generated specs, whose arrays are a few hundred bytes: a LAPACK call on one of their matrices."""

PEAK = 0.02
"""Predicted against allocated bytes at the peak of a whole routine, relative: scratch memory of single kernels."""

PEAK_BOUND = 0.1
"""How far above it the peak may be where the cost model counts a bound: half of a binary tree's labels have no readers."""

PEAK_SMALL = 512
"""The same, in bytes: the scalars of a routine, each of which torch gives a block of its own."""

LAYERS = 1e-10
"""Standard circuits against torch.nn in float64, relative and absolute: the order of sums differs."""

KKT = 1e-6
"""Optimality conditions of sparse codes: what a first-order search leaves after its steps."""

LASSO = 1e-6
"""Sparse codes against scikit-learn's coordinate descent, which stops at a duality gap of its own."""

POSTERIOR = 1e-9
"""Closed forms and loops by hand against emitted code: conditioning of small linear systems."""

ELBO = 1e-8
"""Evidence bounds against torch.distributions with the same noise."""

NO_GRADIENT = 1e-12
"""A gradient below this is rounding of 0 (a softmax does not see what is added to all its entries): where a rule divides a
gradient by its own size, two orders of the same sums give two steps."""

MIXTURE = 1e-8
"""Mixtures against scikit-learn at the same parameters."""

ENUMERATED = 1e-10
"""Labels summed out against the sum over all labellings: the order of a log-sum-exp."""

GENERATED = 1e-9
"""Generated data sets against their closed forms: sums and least squares in float64."""
