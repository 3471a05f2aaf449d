"""Every diagnostic code with its title: the one registry.

E01 text and syntax · E02 names, axes, shapes · E03 declarations, domains, priors · E04 rules and `learn`
E05 densities, latents, `infer` · E06 data · E07 training, reports, options · E09 not compiled yet · W warnings
"""

from __future__ import annotations

CODES: dict[str, str] = {
    # text and syntax
    "E0101": "the file does not start with the edition line `dlt 1`",
    "E0102": "an edition this compiler does not know",
    "E0103": "an automotive diagnostic log, not a spec",
    "E0104": "a character that a spec may not contain",
    "E0105": "the file is too large",
    "E0106": "brackets nested too deeply",
    "E0107": "a bracket, brace or string that is not closed",
    "E0108": "a closing bracket without its opening one",
    "E0110": "a statement that does not follow the grammar",
    "E0111": "an unknown statement or block",
    "E0112": "a statement in a place where it does not belong",
    "E0113": "a reserved word used as a name",
    "E0114": "a number that cannot be represented",
    # names, axes, shapes
    "E0201": "an unknown name",
    "E0202": "an unknown axis",
    "E0203": "an axis that the tensor does not have, or in another place",
    "E0204": "too many indices",
    "E0205": "a name declared twice",
    "E0206": "axes or values that depend on each other in a circle",
    "E0207": "a size that is not a positive whole number",
    "E0208": "parts of a product axis in another order",
    "E0209": "an index that repeats on the left side",
    "E0210": "an index that no product sums and the left side does not list",
    "E0211": "the label of an axis whose index is not open",
    "E0212": "an unknown operation",
    "E0213": "an operation with the wrong number of arguments",
    "E0214": "an operation over an axis that its argument does not have",
    "E0215": "a value used where the language expects another kind of thing",
    "E0216": "an index expression that is not a whole number",
    "E0217": "a table whose shape differs from its axes",
    "E0219": "an override (`--set`) of something that the spec does not declare",
    # declarations, domains, priors
    "E0301": "a parameter without a prior",
    "E0302": "an unknown domain",
    "E0303": "an unknown distribution",
    "E0304": "a distribution's argument that must be named",
    "E0305": "a distribution without a needed argument",
    "E0306": "a distribution with an unknown or repeated argument",
    "E0307": "a flat prior without an initial value",
    "E0308": "a prior that does not live on the parameter's domain",
    "E0309": "an initial value outside the parameter's domain",
    "E0310": "a distribution's argument outside its range",
    # rules and learn
    "E0401": "a rule used off its domain",
    "E0402": "an unknown rule",
    "E0403": "a parameter without a rule",
    "E0404": "a parameter with two equally specific rules",
    "E0405": "a selector that matches no parameter",
    "E0406": "a rule with an unknown, repeated or missing argument",
    "E0407": "a name that a rule may not read",
    "E0408": "a frozen parameter with a rule",
    "E0409": "a coordinate (`via`) that the parameter or the rule does not have",
    "E0410": "a rule on rows and columns for a parameter without them",
    # densities, latents, infer
    "E0501": "a density on something that is not a variable",
    "E0502": "a distribution that does not fit its variable",
    "E0503": "a distribution without the class axis",
    "E0504": "a model without anything to learn from",
    # data
    "E0601": "an unknown data source or data set",
    "E0602": "an unknown column",
    "E0603": "an input without a column, or a column without an input",
    "E0604": "a column whose size differs from its input",
    "E0605": "labels outside their axis",
    "E0606": "values that are not finite numbers",
    "E0607": "a data file that cannot be read",
    "E0608": "a path outside the spec's folder",
    "E0609": "a part of the data that is not between 0 and 1",
    "E0611": "a length given to an axis that cannot end per example",
    # training, reports, options
    "E0701": "an unknown setting",
    "E0702": "a setting with a value it cannot take",
    "E0703": "an unknown metric, or one that does not fit its arguments",
    "E0704": "a spec without a model, or without the named one",
    "E0705": "a setting given twice",
    "E0706": "`stop` or `keep` without valid data to look at",
    # not compiled yet
    "E0901": "part of the language, not compiled yet",
    # warnings
    "W0201": "an axis that nothing uses",
    "W0202": "a `let` that nothing reads",
    "W0203": "an equation that nothing reads and that is no output",
    "W0204": "an input that nothing reads",
    "W0301": "a parameter that nothing reads",
    "W0401": "a rule that never reads the prior of its parameter",
    "W0601": "a data file that is not there yet",
}
