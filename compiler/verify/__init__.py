"""Whether a compilation kept its meaning, checked while it is made (``dltc build --verify``).

``data.py`` draws small random data that the model may be run on, ``views.py`` says what a graph is worth there (in
float64, and exactly in a prime field), ``passes.py`` compares the graphs before and after every pass and names the first
node that a wrong one changes.  Whatever is found is a fault of the compiler, never of the spec.
"""
