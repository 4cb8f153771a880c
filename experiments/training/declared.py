"""The hyper-parameters that the algorithms of the catalogue share."""

from experiments.training.parameters import Parameter


def weights() -> Parameter:
    """How classes are weighted."""
    return Parameter(
        name="class_weight",
        kind="choice",
        default="none",
        choices=("none", "balanced"),
        help="Balanced gives rare classes more weight, so that each class counts the same.",
    )


def regularisation(high: float) -> Parameter:
    """Inverse regularisation strength up to `high`."""
    return Parameter(
        name="C",
        kind="number",
        default=1.0,
        low=0.0001,
        high=high,
        step=0.1,
        help="Inverse of the regularisation strength. Lower values give a simpler model.",
    )


def iterations(default: int) -> Parameter:
    """Most rounds of a solver."""
    return Parameter(
        name="max_iter",
        kind="integer",
        default=default,
        low=10,
        high=20_000,
        step=100,
        help="Most rounds of the solver before it stops.",
    )


def intercept() -> Parameter:
    """Whether there is a constant term."""
    return Parameter(
        name="fit_intercept",
        kind="boolean",
        default=True,
        help="Whether the model has a constant term.",
    )


def depth() -> Parameter:
    """Deepest level of a tree."""
    return Parameter(
        name="max_depth",
        kind="integer",
        default=None,
        low=1,
        high=100,
        step=1,
        empty="no limit",
        help="Deepest level of a tree.",
    )


def forest(features: str) -> tuple[Parameter, ...]:
    """Parameters of forests; `features` is how many columns a split looks at by default."""
    return (
        Parameter(
            name="n_estimators",
            kind="integer",
            default=100,
            low=1,
            high=2_000,
            step=50,
            help="Number of trees. More trees are steadier and slower.",
        ),
        depth(),
        Parameter(
            name="min_samples_leaf",
            kind="integer",
            default=1,
            low=1,
            high=10_000,
            step=1,
            help="Fewest rows in a leaf. Higher values give smoother models.",
        ),
        Parameter(
            name="min_samples_split",
            kind="integer",
            default=2,
            low=2,
            high=10_000,
            step=1,
            help="Fewest rows in a node that may be split.",
        ),
        Parameter(
            name="max_features",
            kind="choice",
            default=features,
            choices=("sqrt", "log2", "all"),
            help="How many columns each split looks at.",
        ),
    )


def boosting() -> tuple[Parameter, ...]:
    """Parameters of gradient boosting."""
    return (
        Parameter(
            name="learning_rate",
            kind="number",
            default=0.1,
            low=0.001,
            high=1,
            step=0.01,
            help="How much each tree corrects. Lower values need more rounds.",
        ),
        Parameter(
            name="max_iter",
            kind="integer",
            default=100,
            low=1,
            high=2_000,
            step=50,
            help="Number of boosting rounds.",
        ),
        Parameter(
            name="max_leaf_nodes",
            kind="integer",
            default=31,
            low=2,
            high=1_024,
            step=1,
            help="Most leaves of a tree.",
        ),
        depth(),
        Parameter(
            name="min_samples_leaf",
            kind="integer",
            default=20,
            low=1,
            high=10_000,
            step=1,
            help="Fewest rows in a leaf.",
        ),
        Parameter(
            name="l2_regularization",
            kind="number",
            default=0.0,
            low=0,
            high=1_000,
            step=0.1,
            help="Penalty on large leaf values.",
        ),
        Parameter(
            name="early_stopping",
            kind="boolean",
            default=False,
            help="Keep 10% of the training rows aside and stop when they no longer improve.",
        ),
    )


def neighbours() -> tuple[Parameter, ...]:
    """Parameters of nearest neighbours."""
    return (
        Parameter(
            name="n_neighbors",
            kind="integer",
            default=5,
            low=1,
            high=500,
            step=1,
            help="How many near rows decide.",
        ),
        Parameter(
            name="weights",
            kind="choice",
            default="uniform",
            choices=("uniform", "distance"),
            help="Whether nearer rows count more.",
        ),
        Parameter(
            name="p",
            kind="integer",
            default=2,
            low=1,
            high=2,
            step=1,
            help="Distance: 1 sums the differences, 2 is the straight line.",
        ),
    )


def baseline(default: str, choices: tuple[str, ...]) -> tuple[Parameter, ...]:
    """What a baseline answers."""
    return (
        Parameter(
            name="strategy",
            kind="choice",
            default=default,
            choices=choices,
            help="What the baseline always answers.",
        ),
    )
