"""Graph nodes to torch expressions: one method per op kind, elementwise ops by table.

A :class:`Lowering` serves one routine.  It knows where the routine's leaves come from (inputs, parameters, named
values) and turns every other node into a :class:`~.value.Val`, given those of its inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from ..diagnostics import InternalError
from ..graph.node import REPLICA, Node, Pool, base, leaves_of
from .contract import Contractions, MatMul, scaled
from .elementwise import HOST, KEEPS_INT, TENSOR, signed_sum
from .layout import Layout
from .sizes import size, size_name
from .tree import Bin, Call, Choice, Code, Item, Lit, Method, Row, Var, Whole
from .value import Val, align, reorder
from .windows import convolution, fold, window

_TORCH_DTYPE = {"int": Var("torch.int64"), "bool": Var("torch.bool")}


class Lowering:
    """Lowers the nodes of one routine; ``leaves`` gives the values that exist before it starts.  Into ``trace`` goes every
    node with its code."""

    def __init__(
        self,
        pool: Pool,
        layout: Layout,
        leaves: Mapping[Node, Val],
        finite: Mapping[Node, bool],
        *,
        unproven: frozenset[Node] = frozenset(),
        place: Callable[[Node], str] = lambda node: "",
        initial: bool = False,
        trace: list[tuple[Code, Node]] | None = None,
    ) -> None:
        self.pool = pool
        self.layout = layout
        self.leaves = leaves
        self.finite = finite
        self.unproven = unproven
        self.place = place
        self.contractions = Contractions(pool, layout)
        self.initial = initial
        self.trace = trace
        self.dtypes = {**_TORCH_DTYPE, "real": Var("torch.float64" if initial else "self.dtype")}
        self.device = Lit("cpu") if initial else Var("self.device")
        self._methods: dict[str, Callable[[Node, list[Val]], Val]] = {
            "contract": self._contract,
            "add": self._add,
            "real": self._real,
            "rename": self._rename,
            "gather": self._gather,
            "scatter": self._scatter,
            "window": self._window,
            "fold": self._fold,
            "softmax": self._softmax,
            "log_softmax": self._softmax,
            "logsumexp": self._logsumexp,
            "max": self._reduction,
            "min": self._reduction,
            "prod": self._reduction,
            "argmax": self._argmax,
            "rank": self._rank,
            "cumsum": self._along,
            "revcumsum": self._along,
            "matpow": self._matpow,
            "matpow_vjp": self._matrices,
            "polar_vjp": self._matrices,
            "logdet": self._matrices,
            "inverse": self._matrices,
            "cholesky": self._matrices,
            "solve_triangular": self._solve_triangular,
            "eigvals": self._matrices,
            "eigvecs": self._matrices,
            "polar": self._matrices,
            "extern": self._extern,
            "extern_vjp": self._extern,
            "table": self._table,
            "label": self._label,
            "sample": self._sample,
            "gamma": self._transformed_draw,
            "poisson": self._transformed_draw,
        }

    # ------------------------------------------------------------ one node

    def node(self, node: Node, inputs: list[Val]) -> Val:
        """The value of a node from those of its inputs.

        Raises:
            InternalError: an op without a lowering.
        """
        if node in self.leaves:
            return self.leaves[node]
        value = self._lowered(node, inputs)
        self._note(value.code, node)
        return value

    def _note(self, code: Code, node: Node) -> None:
        if self.trace is not None:
            self.trace.append((code, node))

    def _lowered(self, node: Node, inputs: list[Val]) -> Val:
        match node.op:
            case "const":
                return Val(Lit(node.attr("value")), (), node.dtype, host=True)
            case "size":
                return Val(Var(size_name(node.attr("axis"))), (), "int", host=True)
            case "step":
                return Val(Var("t"), (), "int", host=True)
            case "examples":
                return Val(Var("self.examples"), (), "real", host=True)
            case "training":
                return Val(Call("int", (Var("self.training"),)), (), "int", host=True)
            case _:
                pass
        method = self._methods.get(node.op)
        if method is not None:
            return method(node, inputs)
        if node.op in TENSOR:
            return self._elementwise(node, inputs)
        raise InternalError(f"the torch target has no form for the op `{node.op}`")

    def _elementwise(self, node: Node, inputs: list[Val]) -> Val:
        if all(v.host for v in inputs) and node.op in HOST:
            return Val(HOST[node.op](*(v.code for v in inputs)), (), node.dtype, host=True)
        if node.op not in KEEPS_INT or (
            node.dtype == "real" and not any(v.dtype == "real" and not v.host for v in inputs)
        ):
            first = node.op == "where"  # its condition stays what it is
            inputs = [*inputs[:first], *(self.cast(v, "real") for v in inputs[first:])]
        if node.op == "where" and all(v.host for v in inputs[1:]):  # two numbers would take torch's default dtype
            inputs = [inputs[0], self.tensor(inputs[1]), inputs[2]]
        if len(inputs) == 1 or node.op in ("xlogy",) or all(v.host for v in inputs):
            inputs = [self.tensor(v) for v in inputs]
        axes = self.layout.order(node.axes)
        if node.op == "where" and inputs[0].host:
            return self._chosen(inputs, axes, node.dtype)
        codes = [align(v, axes) for v in inputs]
        if node.op == "floordiv" and node.dtype == "real":  # piecewise constant; torch has no derivative for it
            codes = [c if v.host else Method(c, "detach") for c, v in zip(codes, inputs, strict=True)]
        return Val(TENSOR[node.op](*codes), axes, node.dtype)

    def _chosen(self, inputs: list[Val], axes: tuple[str, ...], dtype: str) -> Val:
        """One of two tensors, as a Python number decides; both in full shape, or broadcast against each other first."""
        condition, *branches = inputs
        if all(v.axes == axes and not v.host for v in branches):
            return Val(Choice(condition.code, branches[0].code, branches[1].code), axes, dtype)
        codes = [align(v, axes) for v in (self.tensor(replace(condition, dtype="bool")), *branches)]
        return Val(TENSOR["where"](*codes), axes, dtype)

    def tensor(self, value: Val) -> Val:
        """A host number as a 0-dim tensor."""
        if not value.host:
            return value
        dtype = self.dtypes[value.dtype]
        code = Call("torch.tensor", (value.code,), (("dtype", dtype), ("device", self.device)))
        return Val(code, (), value.dtype)

    def cast(self, value: Val, dtype: str) -> Val:
        """The value as another dtype."""
        if value.dtype == dtype:
            return value
        if value.host:
            return replace(value, dtype=dtype)
        code = Method(value.code, "to", (self.dtypes[dtype],))
        return replace(value, code=code, dtype=dtype)

    # ------------------------------------------------------------ sums and products

    def _operands(self, node: Node, inputs: list[Val]) -> list[Val]:
        """Operands of a sum or product in a dtype torch computes right: bools count as 0 and 1, numbers keep precision."""
        if node.dtype == "real":
            product_of_masks = node.op == "contract" and not node.attr("sum")
            if product_of_masks and any(v.dtype == "real" and not v.host for v in inputs):
                return inputs  # torch promotes a mask on the fly
            return [self.cast(v, "real") for v in inputs]
        return [self.cast(v, "int") if v.dtype == "bool" else v for v in inputs]

    def _contract(self, node: Node, inputs: list[Val]) -> Val:
        factors = self._operands(node, inputs)
        tensors = [f for f in factors if not f.host]
        sums: frozenset[str] = node.attr("sum")
        found = convolution(self.pool, tensors[0], tensors[1], sums) if len(tensors) == 2 and sums else None
        if found is not None:
            hosts = [f for f in factors if f.host]
            return scaled(hosts, reorder(found, self.layout.order(found.axes)))
        value = self.contractions.lower(node, factors)
        pair = (tensors[0], tensors[1], sums) if len(tensors) == len(factors) == 2 and sums else None
        return Val(value.code, value.axes, node.dtype, value.host, product=pair)

    def matmul(self, node: Node, inputs: list[Val]) -> MatMul | None:
        """The plain matrix product that a ``contract`` node is, if it is one."""
        return self.contractions.matmul(node, self._operands(node, inputs))

    def _add(self, node: Node, inputs: list[Val]) -> Val:
        operands = self._operands(node, inputs)
        if all(v.host for v in operands):
            return Val(signed_sum([v.code for v in operands]), (), node.dtype, host=True)
        axes = self.layout.order(node.axes)
        return self._absorbed(node, operands, axes) or Val(
            signed_sum([align(v, axes) for v in operands]), axes, node.dtype
        )

    def _absorbed(self, node: Node, operands: list[Val], axes: tuple[str, ...]) -> Val | None:
        """A matrix product plus what broadcasts onto it is one ``addmm``: the product needs no memory of its own."""
        for k, value in enumerate(operands):
            others = operands[:k] + operands[k + 1 :]
            match value.code:
                case Bin("@", left, right) if len(axes) == 2 and value.axes == axes:
                    fused = "torch.addmm"
                case Call("torch.bmm", (left, right)) if value.axes == axes:
                    fused = "torch.baddbmm"
                case _:
                    continue
            if others and all(v.dtype == "real" and not v.host for v in others):
                bias = signed_sum([align(v, axes) for v in others])
                code = Call(fused, (bias, left, right))
                self._note(code, node.inputs[k])  # most of the work is the product's
                return Val(code, axes, "real")
        return None

    def _real(self, node: Node, inputs: list[Val]) -> Val:
        return self.cast(inputs[0], "real")

    # ------------------------------------------------------------ moving

    def _rename(self, node: Node, inputs: list[Val]) -> Val:
        names = dict(node.attr("map"))
        value = inputs[0]
        renamed = Val(value.code, tuple(names.get(a, a) for a in value.axes), value.dtype, value.host)
        return reorder(renamed, self.layout.order(renamed.axes))

    def _gather(self, node: Node, inputs: list[Val]) -> Val:
        """Without shared indices a row selection, else aligned along the others."""
        x, index = inputs
        axis: str = node.attr("axis")
        if node in self.unproven:
            index = self._checked(node, index)
        if index.host:
            dim = x.axes.index(axis)
            items = tuple(Whole() for _ in range(dim))
            rest = tuple(a for a in x.axes if a != axis)
            return Val(Item(x.code, (*items, index.code)), rest, x.dtype)
        index = self.cast(index, "int")
        shared = [a for a in index.axes if a in x.axes and a != axis]
        if not shared and index.axes and axis not in index.axes:
            dim = x.axes.index(axis)
            items = (*(Whole() for _ in range(dim)), index.code)
            result = (*x.axes[:dim], *index.axes, *x.axes[dim + 1 :])
            value = Val(Item(x.code, items), result, x.dtype)
            return reorder(value, self.layout.order(result))
        return self._gather_aligned(x, index, axis)

    def _checked(self, node: Node, index: Val) -> Val:
        """The index, refused at run time where it leaves its axis."""
        axis: str = node.attr("axis")
        args = (index.code, size(self.pool, axis), Lit(base(axis)), Lit(self.place(node)))
        return replace(index, code=Call("rt.inside", args))

    def _gather_aligned(self, x: Val, index: Val, axis: str) -> Val:
        """``out[s] = x[s, axis = index[s]]``: one label per place of the shared indices."""
        hole = axis + "\0"  # where the gathered dimension sits, a name no index can have
        inside = replace(x, axes=tuple(hole if a == axis else a for a in x.axes))
        others = self.layout.order({*inside.axes, *index.axes} - {hole})
        full = (*others, hole)
        source = align_all(reorder(inside, tuple(a for a in full if a in inside.axes)), full)
        where = align_all(index, full)
        dim = len(others)
        picked = Call("torch.take_along_dim", (source, where, Lit(dim)))
        return Val(Method(picked, "squeeze", (Lit(dim),)), others, x.dtype)

    def _scatter(self, node: Node, inputs: list[Val]) -> Val:
        """The adjoint of gather through ``rt.scatter_add``: x as [kept, summed, rest], index as [kept, summed]."""
        x, index = inputs
        axis: str = node.attr("axis")
        keep: frozenset[str] = node.attr("keep")
        if not index.axes:
            return self._placed(self.tensor(x), index, axis, node)
        index = self.tensor(self.cast(index, "int"))
        kept = tuple(a for a in index.axes if a in keep)
        summed = tuple(a for a in index.axes if a not in keep)
        if x.host and not summed and node.dtype == "real":
            code: Code = Call("rt.place", (x.code, index.code, size(self.pool, axis), self.dtypes["real"]))
            return reorder(Val(code, (*index.axes, axis), "real"), self.layout.order((*index.axes, axis)))
        rest = self.layout.order({*x.axes} - {*index.axes})
        x = self.tensor(self.cast(x, "real") if node.dtype == "real" else self.cast(x, "int"))
        full = (*kept, *summed, *rest)
        ordered = reorder(x, tuple(a for a in full if a in x.axes))
        shape = Row(tuple(size(self.pool, a) for a in full))
        source = Method(align_all(ordered, full), "expand", (shape,))
        order = reorder(index, (*kept, *summed)).code
        code = Call("rt.scatter_add", (source, order, size(self.pool, axis), Lit(len(kept)), Lit(len(summed))))
        result = Val(code, (*kept, axis, *rest), node.dtype)
        return reorder(result, self.layout.order(result.axes))

    def _window(self, node: Node, inputs: list[Val]) -> Val:
        """The windows of a value as views where that is possible; what they are of is remembered for convolutions."""
        return window(self.pool, self.layout, node, self.tensor(inputs[0]))

    def _fold(self, node: Node, inputs: list[Val]) -> Val:
        return fold(self.pool, self.layout, node, self.tensor(self.cast(inputs[0], node.dtype)))

    def _placed(self, x: Val, index: Val, axis: str, node: Node) -> Val:
        """A scatter to one position: x there, 0 elsewhere."""
        x = self.cast(x, node.dtype)
        axes = self.layout.order({*x.axes, axis})
        labels = Call("torch.arange", (size(self.pool, axis),), (("device", self.device),))
        here = Val(Bin("==", labels, index.code), (axis,), "bool")
        zero = Lit(0.0 if node.dtype == "real" else 0)
        return Val(Call("torch.where", (align(here, axes), align(x, axes), zero)), axes, node.dtype)

    # ------------------------------------------------------------ over axes

    def _dims(self, value: Val, axes: frozenset[str] | tuple[str, ...]) -> tuple[int, ...]:
        return tuple(k for k, a in enumerate(value.axes) if a in axes)

    def _softmax(self, node: Node, inputs: list[Val]) -> Val:
        value = self.tensor(self.cast(inputs[0], "real"))
        dims = self._dims(value, node.attr("axes"))
        if len(dims) == 1 and self.finite.get(node.inputs[0], False):
            code: Code = Call(f"torch.{node.op}", (value.code, Lit(dims[0])))
        else:
            code = Call(f"rt.{node.op}", (value.code, Lit(dims)))
        return Val(code, value.axes, "real")

    def _logsumexp(self, node: Node, inputs: list[Val]) -> Val:
        value = self.tensor(self.cast(inputs[0], "real"))
        dims = self._dims(value, node.attr("axes"))
        package = "torch" if self.finite.get(node.inputs[0], False) else "rt"
        rest = tuple(a for a in value.axes if a not in node.attr("axes"))
        return Val(Call(f"{package}.logsumexp", (value.code, Lit(dims))), rest, "real")

    def _reduction(self, node: Node, inputs: list[Val]) -> Val:
        value = self._operands(node, inputs)[0] if node.op == "prod" else inputs[0]
        dims = self._dims(value, node.attr("axes"))
        rest = tuple(a for a in value.axes if a not in node.attr("axes"))
        return Val(Call(f"rt.{node.op}", (value.code, Lit(dims))), rest, node.dtype)

    def _argmax(self, node: Node, inputs: list[Val]) -> Val:
        value = self.cast(inputs[0], "int") if inputs[0].dtype == "bool" else inputs[0]
        dim = value.axes.index(node.attr("axis"))
        rest = tuple(a for a in value.axes if a != node.attr("axis"))
        return Val(Method(value.code, "argmax", (Lit(dim),)), rest, "int")

    def _rank(self, node: Node, inputs: list[Val]) -> Val:
        value = self.cast(inputs[0], "int") if inputs[0].dtype == "bool" else inputs[0]
        dims = tuple(value.axes.index(a) for a in node.attr("axes"))
        return Val(Call("rt.rank", (value.code, Lit(dims))), value.axes, "int")

    def _along(self, node: Node, inputs: list[Val]) -> Val:
        value = self._operands(node, inputs)[0]
        dim = Lit(value.axes.index(node.attr("axis")))
        if node.op == "cumsum":
            return Val(Method(value.code, "cumsum", (dim,)), value.axes, node.dtype)
        return Val(Call("rt.revcumsum", (value.code, dim)), value.axes, node.dtype)

    # ------------------------------------------------------------ matrices

    def _square(self, value: Val, node: Node, axes: frozenset[str]) -> Code:
        """A value with its matrix axes last; along those that it lacks it is repeated."""
        rows, cols = node.attr("rows"), node.attr("cols")
        lead = self.layout.order(axes - {rows, cols})
        full = (*lead, rows, cols)
        value = self.tensor(self.cast(value, "real"))
        code = align_all(reorder(value, tuple(a for a in full if a in value.axes)), full)
        if {rows, cols} <= {*value.axes}:
            return code
        return Method(code, "expand", (*(Lit(-1) for _ in lead), size(self.pool, rows), size(self.pool, cols)))

    def _matrices(self, node: Node, inputs: list[Val]) -> Val:
        """Linear algebra over (rows, cols): a matrix first, and last, in gradients, a cotangent (an exponent between).
        The two share their leading axes by broadcasting."""
        rows, cols = node.attr("rows"), node.attr("cols")
        matrices = (0, len(inputs) - 1) if node.op.endswith("_vjp") else (0,)
        everything = frozenset({rows, cols}).union(*(inputs[k].axes for k in matrices))
        lead = self.layout.order(everything - {rows, cols})
        args = [self._square(v, node, everything) if k in matrices else v.code for k, v in enumerate(inputs)]
        tail = tuple(a for a in (rows, cols) if a in node.axes)
        result = Val(Call(f"rt.{node.op}", tuple(args)), (*lead, *tail), "real")
        return reorder(result, self.layout.order(result.axes))

    def _solve_triangular(self, node: Node, inputs: list[Val]) -> Val:
        """What the matrix lacks of the right side's indices are further columns: ``T [lead, n, n]``, ``b [lead, n, k]``."""
        matrix, right = inputs
        rows, cols = node.attr("rows"), node.attr("cols")
        lead = self.layout.order({*matrix.axes} - {rows, cols})
        extra = self.layout.order({*right.axes} - {rows, *lead})
        full = (*lead, rows, *extra)
        right = self.tensor(self.cast(right, "real"))
        b = align_all(reorder(right, tuple(a for a in full if a in right.axes)), full)
        if len(extra) != 1:
            name, at = ("flatten", len(lead) + 1) if extra else ("unsqueeze", -1)
            b = Method(b, name, (Lit(at),))
        square = self._square(matrix, node, frozenset(matrix.axes))
        code: Code = Call("rt.solve_triangular", (square, b), (("upper", Lit(node.attr("upper"))),))
        if len(extra) > 1:
            code = Method(code, "unflatten", (Lit(-1), self._shape(extra)))
        elif not extra:
            code = Method(code, "squeeze", (Lit(-1),))
        result = Val(code, (*lead, cols, *extra), "real")
        return reorder(result, self.layout.order(result.axes))

    def _matpow(self, node: Node, inputs: list[Val]) -> Val:
        return self._matrices(node, inputs)

    # ------------------------------------------------------------ Python

    def _extern(self, node: Node, inputs: list[Val]) -> Val:
        """A call of Python, or its gradient: arguments with the axes that it is mapped over first, then its own."""
        own, out = node.attr("own"), node.attr("out")
        seen = [leaves_of(groups) for groups in (*own, out)][: len(inputs)]
        lead = self.layout.order({a for v in inputs for a in v.axes} - {a for leaves in seen for a in leaves})
        args: list[Code] = []
        for value, leaves in zip(inputs, seen, strict=True):
            full = (*lead, *leaves)
            value = self.tensor(value)
            args.append(align_all(reorder(value, tuple(a for a in full if a in value.axes)), full))
        sizes = [Row(tuple(self._shape(group) for group in groups)) for groups in (*own, out)]
        given = (Lit(":".join(node.attr("entry"))), Lit(self.place(node)), Row(tuple(args)), Lit(len(lead)))
        given = (*given, Row(tuple(sizes[:-1])), sizes[-1])
        result = out
        if node.op == "extern_vjp":
            given, result = (*given, Lit(node.attr("wrt"))), own[node.attr("wrt")]
        static = tuple((name, Lit(value)) for name, value in node.attr("static"))
        made = Val(Call(f"rt.{node.op}", given, static), (*lead, *leaves_of(result)), "real")
        return reorder(made, self.layout.order(made.axes))

    # ------------------------------------------------------------ leaves that are computed

    def _table(self, node: Node, inputs: list[Val]) -> Val:
        dtype = self.dtypes[node.dtype]
        flat = Call("torch.tensor", (Lit(node.attr("values")),), (("dtype", dtype), ("device", self.device)))
        value = Val(Method(flat, "reshape", (Lit(node.attr("shape")),)), node.attr("axes"), node.dtype)
        return reorder(value, self.layout.order(value.axes))

    def _label(self, node: Node, inputs: list[Val]) -> Val:
        index, low = node.attr("index"), node.attr("low")
        number = size(self.pool, index)
        limits: tuple[Code, ...] = (number,)
        if low:
            high = (
                Lit(number.value + low)
                if isinstance(number, Lit) and isinstance(number.value, int)
                else Bin("+", number, Lit(low))
            )
            limits = (Lit(low), high)
        return Val(Call("torch.arange", limits, (("device", self.device),)), (index,), "int")

    def _shape(self, axes: Sequence[str]) -> Row:
        return Row(tuple(size(self.pool, a) for a in axes))

    def _sample(self, node: Node, inputs: list[Val]) -> Val:
        """Keyed draws; the shape is that within a replica (``rt.Draw`` knows how many there are)."""
        axes: tuple[str, ...] = node.attr("axes")
        shape = self._shape([a for a in axes if a != REPLICA])
        code: Code = Method(Var("draw"), node.attr("kind"), (Lit(node.attr("path")), shape))
        if node.attr("kind") == "normal" and not self.initial:  # a uniform one stays float64, where it is below 1
            code = Method(code, "to", (self.dtypes["real"],))
        return reorder(Val(code, axes, "real"), self.layout.order(axes))

    def _transformed_draw(self, node: Node, inputs: list[Val]) -> Val:
        """Gamma or Poisson draws for a parameter that broadcasts over the declared axes."""
        axes: tuple[str, ...] = node.attr("axes")
        given = self.tensor(self.cast(inputs[0], "real"))
        alpha = reorder(given, tuple(a for a in axes if a in given.axes))
        spread = Method(align_all(alpha, axes), "expand", (self._shape(axes),))
        code = Method(Var("draw"), node.op, (Lit(node.attr("path")), spread))
        return reorder(Val(code, axes, node.dtype), self.layout.order(axes))


_MAY_BE_INFINITE = frozenset(
    {"hole", "log", "recip", "pow", "xlogy", "exp", "logsumexp", "log_softmax", "logdet", "lgamma"}
)
_BOUNDED = frozenset({"softmax", "sigmoid", "tanh", "erf", "sign", "sin", "cos", "lt", "le", "eq", "ne", "logical_not"})


def finite(order: Sequence[Node]) -> dict[Node, bool]:
    """For every node: can it be infinite only where an input or parameter is?

    Where it can, softmax and its kin need their edge (nothing but -inf) guarded; elsewhere torch's own operation will do.
    """
    known: dict[Node, bool] = {}
    for node in order:
        infinite = node.op == "const" and abs(node.attr("value")) == float("inf")
        risky = infinite or node.op in _MAY_BE_INFINITE or not all(known[i] for i in node.inputs)
        known[node] = node.op in _BOUNDED or not risky
    return known


def align_all(value: Val, axes: Sequence[str]) -> Code:
    """Like :func:`~.value.align`, but with every new axis written, leading ones too."""
    if tuple(axes) == value.axes:
        return value.code
    return Item(value.code, tuple(Whole() if a in value.axes else None for a in axes)) if axes else value.code
