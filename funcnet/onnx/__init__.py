r"""Networks as ONNX files, by the package `onnx` (the extra `onnx`).

`TRANSLATIONS` says by class how a rule is told to ONNX; `translates` adds to it. Each file has the translations of some
kinds: activations, layers, convolutions and pools, sequences, recurrence.
"""

from funcnet.onnx import activations, layers, recurring, sequences, spaces
from funcnet.onnx.export import to_onnx as to_onnx
from funcnet.onnx.graph import TRANSLATIONS as TRANSLATIONS
from funcnet.onnx.graph import Graph as Graph
from funcnet.onnx.graph import Value as Value
from funcnet.onnx.graph import emit as emit
from funcnet.onnx.graph import translates as translates

FILES = (activations, layers, recurring, sequences, spaces)
