r"""Data: three shipped sets, four generators, splitting and scaling, tokens, and loaders for CSV and IDX files.

========================  ==============================================================================
`digits()`                1,797 handwritten digits of 8 × 8 pixels, shipped with the package, ready split
`first_names()`           8,422 first names: in a female list, in a male list, in both; shipped, ready split
`moby_dick()`             84 chapters of a novel, 774 thousand characters, shipped, ready split
`xor` `spirals` `moons`   points in the plane whose classes no straight line separates
`regression`              noisy linear or sine-shaped targets; `regression_coefficients` tells the truth
`split` `folds`           three disjoint parts; parts for cross-validation
`standardize`             zero mean and unit variance, measured on the training part
`sample_weight`           weights by class, balanced or given
`encode` `decode`         text as tokens and back, by characters of a `vocabulary`, or by bytes
`TokenWindows`            a source of stretches of tokens, each with the tokens that follow
`csv` `idx` `image_set`   tables of text; the arrays of the MNIST family; a folder of its four files
`frame`                   a table of pandas, Polars or Arrow, by column
========================  ==============================================================================

Everything is NumPy: rows are samples, features are float32 unless `dtype` says otherwise, class labels are
int32 of shape (n,), and regression targets have shape (n, outputs), the shape that a `Dense(outputs)` layer
predicts. Nothing is read from disk before a function is called.

>>> from funcnet import data
>>> parts = data.split(*data.moons(samples=100, noise=0.1, seed=0))
>>> parts.train[0].shape, parts.validation[0].shape, parts.test[0].shape
((60, 2), (20, 2), (20, 2))
"""

from funcnet.data.digit_images import digits
from funcnet.data.frames import frame
from funcnet.data.generators import moons, regression, regression_coefficients, spirals, xor
from funcnet.data.given_names import first_names
from funcnet.data.idx_files import idx
from funcnet.data.image_sets import image_set
from funcnet.data.novel import Texts, moby_dick
from funcnet.data.scaling import Standardized, standardize
from funcnet.data.splits import Splits, folds, split
from funcnet.data.tables import Table, csv
from funcnet.data.token_windows import TokenWindows
from funcnet.data.tokens import decode, encode, vocabulary
from funcnet.data.weighing import sample_weight

__all__ = [
    "Splits",
    "Standardized",
    "Table",
    "Texts",
    "TokenWindows",
    "csv",
    "decode",
    "digits",
    "encode",
    "first_names",
    "folds",
    "frame",
    "idx",
    "image_set",
    "moby_dick",
    "moons",
    "regression",
    "regression_coefficients",
    "sample_weight",
    "spirals",
    "split",
    "standardize",
    "vocabulary",
    "xor",
]
