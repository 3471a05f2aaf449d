"""Model states: `state m[d] = 0` and its one update `m[d] <- EXPR`, shared by all examples and never trained."""

from __future__ import annotations

from ..diagnostics import Findings, Note, did_you_mean
from . import nodes as syntax
from .declarations import Declarations
from .elaborate import Context, Elaborator
from .model import Model, ModelState, Tensor
from .scope import Scope, Unresolvable


class States:
    """Reads the states of one model body: tensors first, their starts and updates once all values are known."""

    def __init__(
        self, model: Model, scope: Scope, findings: Findings, elaborator: Elaborator, declarations: Declarations
    ) -> None:
        self.model = model
        self.scope = scope
        self.findings = findings
        self.elaborator = elaborator
        self.declarations = declarations
        self.items: dict[str, syntax.LetItem] = {}

    def declare(self, stmt: syntax.StateDecl) -> None:
        """The symbol of every state that a statement declares."""
        for item in stmt.items:
            name = item.target.name
            if name in self.items or name in self.scope.broken:
                continue
            try:
                self.scope.tensors[name] = self.declarations.tensor(item.target, "state", "real", None)
            except Unresolvable:
                self.scope.broken.add(name)
                continue
            self.items[name] = item

    def read(self, body: tuple[syntax.Stmt, ...]) -> None:
        """Fill ``model.buffers``: every state with its start and its one update."""
        updates = self._updates([s for s in body if isinstance(s, syntax.Update)])
        broken = {name for s in body if isinstance(s, syntax.Broken) for name in s.names}
        for name, item in self.items.items():
            update = updates.get(name)
            if update is None:
                if name not in broken:
                    self.findings.error(
                        "E0320",
                        f"nothing updates the state `{name}`",
                        item.target.name_span,
                        help=f"add {self.scope.tensors[name].written()} <- .., or declare a constant: let {self.scope.tensors[name].written()} = ..",
                    )
                continue
            try:
                self.model.buffers[name] = self._state(self.scope.tensors[name], item, update)
            except Unresolvable:
                self.scope.broken.add(name)

    def _updates(self, stmts: list[syntax.Update]) -> dict[str, syntax.Update]:
        """The update of each state; a second one and one of something else are reported."""
        found: dict[str, syntax.Update] = {}
        for stmt in stmts:
            name, span = stmt.target.name, stmt.target.name_span
            if name in found:
                self.findings.error(
                    "E0321",
                    f"the state `{name}` is updated twice",
                    span,
                    notes=[Note("its first update is here", found[name].span)],
                    help="join them: an update happens once per step, and reads see the old value",
                )
            elif name in self.items:
                found[name] = stmt
            elif name not in self.scope.broken or name not in self.scope.places:
                self._not_a_state(name, stmt)
        return found

    def _not_a_state(self, name: str, stmt: syntax.Update) -> None:
        place = self.scope.places.get(name)
        if place is None:
            fix = did_you_mean(name, self.items) or f"declare it: state {name} = 0; an equation is written with `=`"
            self.findings.error("E0322", f"`{name}` is not a state", stmt.target.name_span, help=fix)
            return
        tensor = self.scope.tensors.get(name)
        fixes = {
            "param": f"parameters move by rules: learn {{ {name} : RULE(..) }}",
            "value": f"an equation is written {name} = ..",
        }
        self.findings.error(
            "E0322",
            f"`{name}` is not a state: `<-` updates states",
            stmt.target.name_span,
            notes=[Note(f"`{name}` is declared here", place)],
            help=fixes.get(tensor.kind if tensor is not None else "", "an equation is written with `=`"),
        )

    def _state(self, tensor: Tensor, item: syntax.LetItem, update: syntax.Update) -> ModelState:
        start = self.declarations.start(item.value, tensor, "initial value")
        self._check_target(tensor, update.target)
        indices = frozenset(tensor.leaves)
        value = self.elaborator.expression(update.value, Context(open=indices, explicit=indices))
        if "batch" in value.axes:
            text = self.elaborator.text(update.value.span)
            self.findings.error(
                "E0323",
                f"the update of `{tensor.name}` differs between examples, and a state is shared by all of them",
                update.value.span,
                notes=[Note(f"`{tensor.name}` is declared here", tensor.span)],
                help=f"reduce what is per example over the batch: mean[batch]({text if len(text) < 30 else '..'})",
            )
            raise Unresolvable
        return ModelState(tensor, start, value, item.span, update.span)

    def _check_target(self, tensor: Tensor, target: syntax.Target) -> None:
        """An update writes all of a state: without indices, or with those of its declaration."""
        if target.axes is None:
            return
        written = self.declarations.tensor(target, "state", "real", None).leaves
        if written != tensor.leaves:
            self.findings.error(
                "E0204" if len(written) > len(tensor.leaves) else "E0203",
                f"an update of `{tensor.name}` writes all of it, indexed as it is declared",
                target.span,
                notes=[Note(f"`{tensor.name}` is declared here", tensor.span)],
                help=f"write {tensor.written()} <- ..",
            )
            raise Unresolvable
