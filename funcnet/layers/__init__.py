r"""Layers, one file each. `REGISTRY` lists the modules; the tests and the checker loop over it."""

from funcnet.layers.activate import Activate as Activate
from funcnet.layers.activate import as_layer as as_layer
from funcnet.layers.attention import Attention as Attention
from funcnet.layers.average_pool import AveragePool as AveragePool
from funcnet.layers.base import Layer as Layer
from funcnet.layers.batch_norm import BatchNorm as BatchNorm
from funcnet.layers.bidirectional import Bidirectional as Bidirectional
from funcnet.layers.chain import Chain as Chain
from funcnet.layers.conv import Conv as Conv
from funcnet.layers.conv_transpose import ConvTranspose as ConvTranspose
from funcnet.layers.dense import Dense as Dense
from funcnet.layers.dropout import Dropout as Dropout
from funcnet.layers.embedding import Embedding as Embedding
from funcnet.layers.global_pool import GlobalAveragePool as GlobalAveragePool
from funcnet.layers.global_pool import GlobalMaxPool as GlobalMaxPool
from funcnet.layers.group_norm import GroupNorm as GroupNorm
from funcnet.layers.gru import GRU as GRU
from funcnet.layers.initializers import Filled as Filled
from funcnet.layers.initializers import Glorot as Glorot
from funcnet.layers.initializers import He as He
from funcnet.layers.initializers import LeCun as LeCun
from funcnet.layers.initializers import Orthogonal as Orthogonal
from funcnet.layers.initializers import RandomNormal as RandomNormal
from funcnet.layers.initializers import RandomUniform as RandomUniform
from funcnet.layers.initializers import VarianceScaling as VarianceScaling
from funcnet.layers.layer_norm import LayerNorm as LayerNorm
from funcnet.layers.lstm import LSTM as LSTM
from funcnet.layers.max_pool import MaxPool as MaxPool
from funcnet.layers.moving import RandomFlip as RandomFlip
from funcnet.layers.moving import RandomShift as RandomShift
from funcnet.layers.networks import mlp as mlp
from funcnet.layers.networks import transformer as transformer
from funcnet.layers.noise import Noise as Noise
from funcnet.layers.parallel import Parallel as Parallel
from funcnet.layers.positions import Positions as Positions
from funcnet.layers.recompute import Recompute as Recompute
from funcnet.layers.repeat import Repeat as Repeat
from funcnet.layers.residual import Residual as Residual
from funcnet.layers.rms_norm import RMSNorm as RMSNorm
from funcnet.layers.rnn import RNN as RNN
from funcnet.layers.shaping import Flatten as Flatten
from funcnet.layers.shaping import Reshape as Reshape
from funcnet.layers.sinusoids import Sinusoids as Sinusoids
from funcnet.layers.stepwise import Stepwise as Stepwise
from funcnet.layers.tied import Tied as Tied
from funcnet.registry import public_names, registry

REGISTRY = registry(__name__)
PUBLIC = public_names(__name__, "mlp", "transformer")
