"""Declarations of a model become symbols: inputs, parameters, equations' left sides, tables."""

from __future__ import annotations

from dataclasses import replace

from ..diagnostics import Findings, Note, did_you_mean
from . import habits
from . import nodes as syntax
from .distributions import DISTRIBUTIONS, MATRICES, ON_DOMAIN, Variable, arguments, covered, out_of_range
from .domains import DOMAINS, off_domain
from .elaborate import Context, Elaborator
from .model import NO_INDICES, Const, Dist, Expr, Input, Model, Param, Support, Tensor, Value
from .scope import Scope, Unresolvable, primed, shortened
from .supports import Supports
from .typed_walk import constant, reads
from .walk import names


def density_meant(stmt: syntax.Equation) -> bool:
    """Whether an equation calls a distribution, so that `~` was meant."""
    return isinstance(stmt.value, syntax.Call) and stmt.value.name in DISTRIBUTIONS


class Declarations:
    """Reads the declaring statements of one model body into ``model`` and ``scope``."""

    def __init__(self, model: Model, scope: Scope, findings: Findings, elaborator: Elaborator) -> None:
        self.model = model
        self.scope = scope
        self.findings = findings
        self.elaborator = elaborator

    # ------------------------------------------------------------ names first

    def reserve(self, body: tuple[syntax.Stmt, ...]) -> None:
        """Reserve every declared name, so that the order of statements is free and broken ones raise one error only."""
        scope = self.scope
        for stmt in body:
            match stmt:
                case syntax.AxisDecl():
                    for item in stmt.items:
                        if scope.declare(item.name, item.span):
                            scope.axis_items[item.name] = item
                case syntax.LetDecl():
                    for item in stmt.items:
                        if scope.declare(item.target.name, item.target.name_span):
                            scope.let_items[item.target.name] = item
                case syntax.Divided():
                    scope.divided.setdefault(stmt.name, []).append(stmt)
                    scope.solved |= {part: stmt.name for part, size in stmt.parts if size is None}
                case syntax.Equation() if density_meant(stmt):
                    self._refuse_density(stmt)
                case syntax.InputDecl() | syntax.ParamDecl() | syntax.LatentDecl() | syntax.Equation():
                    if not scope.declare(stmt.target.name, stmt.target.name_span):
                        scope.broken.add(stmt.target.name)
                case syntax.StateDecl():
                    for item in stmt.items:
                        if not scope.declare(item.target.name, item.target.name_span):
                            scope.broken.add(item.target.name)
                case syntax.ExternDecl() | syntax.CircuitDecl():
                    scope.broken.add(stmt.name)
                case syntax.Broken():
                    scope.broken.update(stmt.names)
                case _:
                    pass

    def _refuse_density(self, stmt: syntax.Equation) -> None:
        """``y = Normal(m, var = 1)``: a distribution is no value; the name may be declared elsewhere."""
        name = stmt.value.name if isinstance(stmt.value, syntax.Call) else ""
        message = f"`{name}` is a distribution, not an operation"
        fix = f"a density is written {stmt.target.name} ~ {name}(..)"
        self.findings.error("E0212", message, stmt.value.span, help=fix)
        if stmt.target.name not in self.scope.places:
            self.scope.broken.add(stmt.target.name)

    def resolve_axes(self) -> None:
        """Evaluate all axes and lets."""
        self.scope.resolve_axes()
        for name in self.scope.axis_items:
            if name in self.scope.axes:
                self.model.axes[name] = self.scope.axes[name]
        items = dict(self.scope.let_items)
        for name in self._in_turn(items):
            try:
                self._let(name, items[name])
            except Unresolvable:
                self.scope.broken.add(name)

    def _in_turn(self, items: dict[str, syntax.LetItem]) -> list[str]:
        """Lets in the order in which tables read each other; those of a circle in the order of the text."""
        order: list[str] = []
        tables = {name: item for name, item in items.items() if item.target.axes}
        waiting = {
            name: (names(item.value) & tables.keys()) if name in tables else set[str]() for name, item in items.items()
        }
        while ready := [name for name, needs in waiting.items() if needs <= set(order)]:
            order += ready
            waiting = {name: needs for name, needs in waiting.items() if name not in ready}
        for name in waiting:
            circle = ", ".join(f"`{n}`" for n in waiting)
            message = f"`{name}` is defined through itself: {circle}"
            self.findings.error("E0206", message, items[name].span, help="write the entries of one of them out")
            self.scope.broken.add(name)
        return order

    def _let(self, name: str, item: syntax.LetItem) -> None:
        if not item.target.axes:
            if isinstance(item.value, syntax.ListOf):
                self.findings.error(
                    "E0217",
                    f"`{name}` is a table: say over which axes",
                    item.span,
                    help=f"write let {name}[axis, ..] = [..]",
                )
                raise Unresolvable
            self.scope.let(name)
            return
        if name in self.scope.overrides:
            self.findings.error(
                "E0219",
                f"`--set {name}={shortened(self.scope.overrides[name])}`: `{name}` is a table",
                item.span,
                help="set a `let` that its formula reads",
            )
            raise Unresolvable
        tensor = self.tensor(item.target, "let", "real", None)
        sizes = [self.scope.size(syntax.Name(item.span, d.rstrip("'"))) for d in tensor.declared]
        if isinstance(item.value, syntax.ListOf):
            values = self._entries(item.value, sizes, name)
            self.model.tables[name] = (tensor, tuple(values))
        else:
            tensor = self._formula(tensor, item.value)
        self.scope.tensors[name] = tensor
        del self.scope.let_items[name]

    def _formula(self, tensor: Tensor, e: syntax.Expr) -> Tensor:
        """A table given by a formula of labels, sizes, constants and other tables: an equation that reads no data."""
        indices = frozenset(tensor.leaves)
        expr = self.elaborator.expression(e, Context(open=indices, explicit=indices, bare="size", scalars=frozenset()))
        made = Tensor(tensor.name, "let", tensor.declared, tensor.leaves, expr.dtype, None, False, tensor.span)
        self.model.formulas[tensor.name] = Value(made, expr, False, tensor.span)
        return made

    def _entries(self, e: syntax.Expr, sizes: list[int], name: str) -> list[float]:
        if not sizes:
            return [float(self.scope.number(e))]
        if not isinstance(e, syntax.ListOf) or len(e.items) != sizes[0]:
            found = len(e.items) if isinstance(e, syntax.ListOf) else "a single number"
            message = f"`{name}` needs {sizes[0]} entries here, not {found}"
            self.findings.error("E0217", message, e.span, help="one level of brackets per axis, one entry per label")
            raise Unresolvable
        return [v for item in e.items for v in self._entries(item, sizes[1:], name)]

    # ------------------------------------------------------------ tensors

    def tensor(self, target: syntax.Target, kind: str, dtype: str, label: str | None, batched: bool = False) -> Tensor:
        """The symbol of a declared tensor.

        Raises:
            Unresolvable: a wrong axis on the left; reported.
        """
        declared: list[str] = []
        leaves: list[str] = []
        for item in target.axes or ():
            if not isinstance(item, syntax.Name):
                sized = isinstance(item, syntax.Number)
                fix = f"axes have names: axis i = {self.elaborator.text(item.span)}, then {target.name}[i]"
                self.findings.error(
                    "E0215",
                    f"the left side of `{target.name}` lists axes only",
                    item.span,
                    help=fix if sized else "list axes; entries are chosen where the value is read",
                )
                raise Unresolvable
            leaves += self.scope.indices(item)
            declared.append(primed(item.name, item.primes))
        if len(set(leaves)) != len(leaves):
            twice = next(leaf for leaf in leaves if leaves.count(leaf) > 1)
            self.findings.error(
                "E0209", f"`{target.name}` lists `{twice}` twice", target.span, help=f"prime the second one: {twice}'"
            )
            raise Unresolvable
        if kind in ("param", "state"):
            self._check_stored(target, leaves)
        return Tensor(target.name, kind, tuple(declared), tuple(leaves), dtype, label, batched, target.name_span)

    def _check_stored(self, target: syntax.Target, leaves: list[str]) -> None:
        """What is kept from step to step exists before any data: its sizes are known."""
        axes = [self.scope.axis(leaf.rstrip("'")) for leaf in leaves]
        unknown = next((axis for axis in axes if axis.size is None), None)
        if unknown is not None:
            self.findings.error(
                "E0207",
                f"`{target.name}` is stored, but the size of `{unknown.name}` is only known from the data",
                target.span,
                notes=[Note(f"`{unknown.name}` is declared without a size", unknown.span)],
                help=f"give it one: axis {unknown.name} = ..",
            )
            raise Unresolvable

    def input(self, stmt: syntax.InputDecl) -> None:
        """``input x[pix]``, ``: bool``, ``: int``, ``: cls``."""
        name = stmt.target.name
        try:
            kind, dtype, label = self.kind_of(stmt.kind)
            tensor = self.tensor(stmt.target, "input", dtype, label, batched=True)
        except Unresolvable:
            self.scope.broken.add(name)
            return
        self.scope.tensors[name] = tensor
        self.model.inputs[name] = Input(tensor, kind, stmt.doc)

    def kind_of(self, kind: syntax.Name | None) -> tuple[str, str, str | None]:
        """What a declared tensor holds: its kind, its dtype, and the axis whose labels it holds."""
        if kind is None:
            return "real", "real", None
        if kind.name in ("real", "bool", "int"):
            return kind.name, kind.name, None
        if (
            kind.name.lower() in habits.KINDS
            and not self.scope.is_axis(kind.name)
            and kind.name not in self.scope.broken
        ):
            fix = habits.KINDS[kind.name.lower()]
            message = f"`{kind.name}` is no kind: there are real, bool, int and the axes"
            self.findings.error("E0202", message, kind.span, help=fix)
            raise Unresolvable
        self.scope.indices(kind)
        return "label", "int", kind.name

    def param_tensor(self, stmt: syntax.ParamDecl) -> None:
        """The parameter's symbol; its prior is read later, when all names are known."""
        try:
            _, dtype, label = self.kind_of(stmt.kind)
            self.scope.tensors[stmt.target.name] = self.tensor(stmt.target, "param", dtype, label)
        except Unresolvable:
            self.scope.broken.add(stmt.target.name)

    # ------------------------------------------------------------ parameters

    def param(self, stmt: syntax.ParamDecl) -> None:
        """Domain, prior and initial value of a parameter."""
        tensor = self.scope.tensors.get(stmt.target.name)
        if tensor is None:
            return
        try:
            if tensor.dtype == "real":
                domain, groups = self.domain(stmt.domain, tensor)
            else:
                domain, groups = self._whole_domain(stmt, tensor), ()
            if stmt.prior is None:
                self.findings.error(
                    "E0301",
                    f"`{tensor.name}` has no prior",
                    stmt.span,
                    help="write `~ Normal(0, var = ..)`, or `~ Flat()` with an `init` to say that there is none",
                )
                raise Unresolvable
            prior = self.distribution(stmt.prior.call, self._prior_context(tensor), _variable(tensor, groups))
            self._check_given(list(prior.args.values()), "prior")
            self._check_prior(tensor, domain, prior, stmt)
            power = self._power(stmt.prior, tensor)
            prior = replace(prior, written=self.elaborator.text(stmt.prior.span))
            init = self._init(stmt, tensor, domain, groups)
            support = self._support(stmt.sparse, tensor, domain, prior) if stmt.sparse is not None else None
        except Unresolvable:
            self.scope.broken.add(stmt.target.name)
            return
        self.model.params[tensor.name] = Param(
            tensor, domain, groups, prior, init, stmt.frozen, stmt.doc, power, support
        )

    def _support(self, sparse: syntax.Sparse, tensor: Tensor, domain: str, prior: Dist) -> Support:
        """Which entries of a parameter exist; a condition depends on no example."""
        support = Supports(self.scope, self.findings, self.elaborator).read(sparse, tensor, domain, prior)
        self._check_given([support.condition] if support.condition is not None else [], "support")
        return support

    def _power(self, prior: syntax.Distribution, tensor: Tensor) -> Expr | None:
        """The power of a prior's density: a weight or a mask, which depends on no example."""
        if prior.power is None:
            return None
        power = self.elaborator.expression(prior.power, self._prior_context(tensor))
        self._check_given([power], "prior")
        return power

    def _whole_domain(self, stmt: syntax.ParamDecl, tensor: Tensor) -> str:
        """The kind of a parameter of whole numbers.  No rule can move it by little: it is a random choice, made once."""
        if stmt.domain is not None:
            held = f"labels of `{tensor.label}`" if tensor.label else tensor.dtype
            message = f"`{tensor.name}` holds {held}: a domain is for real parameters"
            self.findings.error("E0302", message, stmt.domain.span, help="remove the domain")
            raise Unresolvable
        if not stmt.frozen:
            self.findings.error(
                "E0311",
                f"`{tensor.name}` holds whole numbers, which no rule can move by little",
                tensor.span,
                help="declare it `frozen`: it is drawn once, with the seed",
            )
            raise Unresolvable
        return "label" if tensor.label is not None else "bool" if tensor.dtype == "bool" else "count"

    def check_draws(self) -> None:
        """Initial values are drawn in the order in which priors read other parameters: that order must exist."""
        needs: dict[str, set[str]] = {}
        for path, param in self.model.params.items():
            source = param.init if isinstance(param.init, Expr) else None
            dist = None if source is not None else (param.init if isinstance(param.init, Dist) else param.prior)
            roots = [source] if source is not None else list(dist.args.values()) if dist else []
            if param.support is not None and param.support.condition is not None:
                roots.append(param.support.condition)
            needs[path] = {r.tensor.name for r in reads(roots)} & self.model.params.keys()
        done: set[str] = set()
        while ready := [p for p in needs if p not in done and needs[p] <= done]:
            done.update(ready)
        for path in [p for p in needs if p not in done][:1]:
            others = ", ".join(f"`{n}`" for n in sorted(needs[path]))
            self.findings.error(
                "E0206",
                f"the initial value of `{path}` depends on itself through {others}",
                self.model.params[path].tensor.span,
                help="give one of these parameters an `init`",
            )

    def _prior_context(self, tensor: Tensor) -> Context:
        indices = frozenset(tensor.leaves)
        return Context(open=indices, explicit=indices, bare="size", scalars=frozenset())

    def domain(self, domain: syntax.Domain | None, tensor: Tensor) -> tuple[str, tuple[tuple[str, ...], ...]]:
        """The name of a parameter's domain and the leaves of each of its axes, in the order of the tensor's."""
        if domain is None:
            return "real", ()
        if domain.name not in DOMAINS:
            self.findings.error(
                "E0302",
                f"unknown domain `{domain.name}`",
                domain.span,
                help=did_you_mean(domain.name, DOMAINS) or f"there are {', '.join(DOMAINS)}",
            )
            raise Unresolvable
        groups = tuple(self.scope.indices(name) for name in domain.axes)
        if len(groups) not in DOMAINS[domain.name].axes:
            example = DOMAINS[domain.name].example
            message = f"the domain `{domain.name}` is written {example}"
            self.findings.error("E0302", message, domain.span, help=f"write `in {example}`")
            raise Unresolvable
        over = [leaf for group in groups for leaf in group]
        absent = [leaf for leaf in over if leaf not in tensor.leaves]
        problem = (
            f"`{tensor.name}` has no axis `{absent[0]}`"
            if absent
            else f"the axes of `{domain.name}` are two different ones"
            if len(set(over)) != len(over)
            else "a product axis cannot be a side of `orthogonal`: its matrices have plain axes"
            if domain.name == "orthogonal" and len(over) != 2
            else None
        )
        if problem is not None:
            label = f"`{tensor.name}` is declared {tensor.written()}"
            axes = ", ".join(tensor.declared)
            fix = f"name axes of `{tensor.name}`: {axes}" if axes else f"give `{tensor.name}` an axis"
            self.findings.error("E0302", problem, domain.span, label=label, help=fix)
            raise Unresolvable
        return domain.name, groups

    def distribution(self, call: syntax.Call, context: Context, variable: Variable) -> Dist:
        """A distribution with typed arguments; defaults filled in.

        Raises:
            Unresolvable: wrong arguments; reported.
        """
        given = arguments(call, self.findings)
        labelled = self.scope.indices(syntax.Name(call.span, variable.label)) if variable.label is not None else ()
        classes, over = covered(call, variable, labelled, self.findings)
        context = context.binding(frozenset(classes))
        args: dict[str, Expr] = {}
        failed = False
        for name, value in given.items():
            try:
                here = context.binding(frozenset(over)) if name in MATRICES else context
                args[name] = self.elaborator.expression(value, here)
                self._check_range(call.name, name, args[name], value)
            except Unresolvable:
                failed = True
        if failed:
            raise Unresolvable
        for name, default in DISTRIBUTIONS[call.name].optional:
            args.setdefault(name, Const(NO_INDICES, "real", call.span, default))
        if call.name == "MultivariateNormal":
            self._check_matrix(args, over)
        self._check_ends(args, given)
        return Dist(call.name, args, call.span, self.elaborator.text(call.span), classes, over)

    def _check_range(self, distribution: str, name: str, arg: Expr, e: syntax.Expr) -> None:
        """A constant argument must lie where the distribution is defined."""
        if not constant(arg):
            return
        value = float(self.scope.number(e))
        wanted = out_of_range(distribution, name, value)
        if wanted is not None:
            message, fix = f"`{name}` must be {wanted}; here it is {value:g}", f"write a number that is {wanted}"
            self.findings.error("E0310", message, e.span, help=fix)
            raise Unresolvable

    def _check_ends(self, args: dict[str, Expr], given: dict[str, syntax.Expr]) -> None:
        """Constant ends of an interval must be in order."""
        if {"low", "high"} <= args.keys() and constant(args["low"]) and constant(args["high"]):
            low, high = (float(self.scope.number(given[name])) for name in ("low", "high"))
            if not low < high:
                message = f"`low` must be below `high`; here they are {low:g} and {high:g}"
                fix = (
                    f"write the lower end first: low = {high:g}, high = {low:g}"
                    if high < low
                    else "leave room between them"
                )
                self.findings.error("E0310", message, given["high"].span, help=fix)
                raise Unresolvable

    def _check_matrix(self, args: dict[str, Expr], over: tuple[str, ...]) -> None:
        """The matrix of a MultivariateNormal has the variable's index and its second, primed one."""
        if over[1] in args["mean"].axes:
            self.findings.error(
                "E0503",
                f"`mean` may not have the index `{over[1]}`: it is the second one of the matrix",
                args["mean"].span,
                help=f"write {over[1]}' for another index over the same axis",
            )
            raise Unresolvable
        for name in MATRICES:
            if name in args and not frozenset(over) <= args[name].axes:
                found = ", ".join(sorted(args[name].axes - {"batch"})) or "no axes"
                self.findings.error(
                    "E0503",
                    f"`{name}` must be a matrix over `{over[0]}, {over[1]}`; it has {found}",
                    args[name].span,
                    help=f"declare it over [{over[0]}, {over[1]}]",
                )
                raise Unresolvable

    def _check_prior(self, tensor: Tensor, domain: str, prior: Dist, stmt: syntax.ParamDecl) -> None:
        legal = ON_DOMAIN[domain]
        if prior.name not in legal and not (prior.name in ON_DOMAIN["real"] and stmt.init is not None):
            where = next((d for d, names in ON_DOMAIN.items() if prior.name in names), None)
            fix = f"declare it `in {DOMAINS[where].example}`, or use " if where in DOMAINS else "use "
            if where is not None and where not in DOMAINS:
                fix = f"declare it `: {HELD[where]}`, or use "
            self.findings.error(
                "E0308",
                f"{prior.name} does not live on the {'domain' if domain in DOMAINS else 'kind'} `{domain}` of `{tensor.name}`",
                prior.span,
                help=fix + " or ".join(legal),
            )
            raise Unresolvable
        if prior.name == "Flat" and stmt.init is None:
            self.findings.error(
                "E0307",
                f"`{tensor.name} ~ Flat()` has nothing to draw an initial value from",
                prior.span,
                help="add an `init`: a number, an expression or a distribution",
            )
            raise Unresolvable

    def start(self, e: syntax.Expr, tensor: Tensor, what: str) -> Expr:
        """The start of a state: an expression of parameters, tables, labels and sizes."""
        init = self.elaborator.expression(e, self._prior_context(tensor))
        self._check_given([init], what, "a state")
        return init

    def _check_given(self, roots: list[Expr], what: str, owner: str = "a parameter") -> None:
        """Priors and initial values exist before any data: they read parameters and constants."""
        for read in reads(roots):
            if read.tensor.kind not in ("param", "let"):
                why = "it changes in training" if read.tensor.kind == "state" else "it depends on data"
                self.findings.error(
                    "E0215",
                    f"{owner}'s {what} cannot read `{read.tensor.name}`: {why}",
                    read.span,
                    notes=[Note(f"`{read.tensor.name}` is declared here", read.tensor.span)],
                    help="read parameters, sizes, labels and constants only",
                )
                raise Unresolvable

    def _init(
        self, stmt: syntax.ParamDecl, tensor: Tensor, domain: str, groups: tuple[tuple[str, ...], ...]
    ) -> Expr | Dist | None:
        if stmt.init is None:
            return None
        context = self._prior_context(tensor)
        e = stmt.init
        if isinstance(e, syntax.Call) and e.name in DISTRIBUTIONS:
            dist = self.distribution(e, context, _variable(tensor, groups))
            self._check_given(list(dist.args.values()), "initial value")
            if dist.name not in ON_DOMAIN[domain] or dist.name == "Flat":
                self.findings.error(
                    "E0309",
                    f"`{tensor.name}` cannot be drawn from {dist.name}: it is `{domain}`",
                    e.span,
                    help="use " + " or ".join(d for d in ON_DOMAIN[domain] if d != "Flat"),
                )
                raise Unresolvable
            return dist
        init = self.elaborator.expression(e, context)
        self._check_given([init], "initial value")
        if tensor.dtype != "real":
            self._check_whole(init, e, tensor)
            return init
        self._check_init(init, e, tensor, domain, groups)
        return init

    def _check_whole(self, init: Expr, e: syntax.Expr, tensor: Tensor) -> None:
        """The initial value of a parameter of whole numbers."""
        if init.dtype == "real" or (tensor.dtype == "bool" and init.dtype != "bool"):
            message = f"`{tensor.name}` holds {'truth values' if tensor.dtype == 'bool' else 'whole numbers'}; this is {init.dtype}"
            self.findings.error("E0309", message, e.span, help="use `//` for whole-number division")
            raise Unresolvable

    def _check_init(
        self, init: Expr, e: syntax.Expr, tensor: Tensor, domain: str, groups: tuple[tuple[str, ...], ...]
    ) -> None:
        """A constant initial value must lie in the domain (anything else is checked when it is computed)."""
        try:
            value = (
                self.scope.number(e)
                if not init.axes and isinstance(e, (syntax.Number, syntax.Binary, syntax.Unary))
                else None
            )
        except Unresolvable:
            return
        if value is None:
            return
        sizes = [self.scope.axis(leaf.rstrip("'")).size for group in groups for leaf in group]
        found = off_domain(domain, value, [s for s in sizes if s is not None])
        if found is not None and len(sizes) == len([s for s in sizes if s is not None]):
            what, fix = found
            over = " * ".join(leaf for group in groups for leaf in group)
            names = {"over": over, "axes": ", ".join(leaf for group in groups for leaf in group)}
            problem = f"`{tensor.name}` {what.format(value=value, **names)}"
            self.findings.error("E0309", problem, e.span, help=fix.format(**names))
            raise Unresolvable


HELD = {"label": "AXIS", "bool": "bool", "count": "int"}
"""How a declaration says what a parameter of whole numbers holds."""


def _variable(tensor: Tensor, groups: tuple[tuple[str, ...], ...]) -> Variable:
    """A parameter as the variable of its prior."""
    over = tuple(leaf for group in groups for leaf in group)
    return Variable(tensor.name, tensor.leaves, tensor.declared[-1:], tensor.label, over)


def declared_note(tensor: Tensor) -> Note:
    """``x is declared here``, for every finding about a tensor."""
    return Note(f"`{tensor.name}` is declared {tensor.written()}", tensor.span)
