"""Circuits: calls written out, syntax in, syntax out.

    h = Dense(x, n = hid)      ->      param h.W[hid, pix] ~ ..;  h[hid] = tanh(h.W[hid, pix] * x[pix] + h.b[hid])

After :func:`.bodies.written_out` a model holds no calls of circuits: everything behind it knows one kind of statement.
Axes that an argument has beyond those of the circuit's input are written onto everything that depends on it, so a mapped
circuit is never a loop; labels of a family are one more axis of its parameters.  Names cannot be captured: a circuit's own
axes and tensors are renamed to paths, and it sees nothing else.

``shapes`` tells the axes of an expression from its text, ``rewrite`` maps syntax trees, ``matching`` brings a call's
arguments to a circuit's inputs and parameters, ``instance`` renames one body, ``bodies`` is the order of it all,
``files`` finds the circuits that a file may call.
"""
