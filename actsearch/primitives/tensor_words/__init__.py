"""Words that read a whole tensor and are modules: the table of them.

As moments, they make a formula a layer. Two equal calls in a formula are one: the same draw, the
same trained arrays.
"""

from .channels import (
    AtLeast,
    ChannelAfter,
    ChannelBefore,
    ChannelMix,
    FirstChannels,
    SortedPairs,
)
from .draws import Bernoulli, Normal, Uniform
from .positions import Depthwise, MatrixExp
from .sets import CutoffBatch, CutoffToken, MaxToken, SumToken, between
from .simplex import EntmaxThreshold, SparsemaxThreshold
from .word import Family, Takes, TensorWord, tensor_word

__all__ = ["TENSOR_WORDS", "Family", "Takes", "TensorWord"]

_SET, _DRAW, _VECTOR = Family.STATISTIC, Family.DRAW, Family.VECTOR

TENSOR_WORDS: dict[str, TensorWord] = {
    word.operator.name: word
    for word in (
        tensor_word(
            "max_token",
            _SET,
            "tensor",
            MaxToken,
            "largest channel at a position",
            "classical",
        ),
        tensor_word(
            "sum_token",
            _SET,
            "tensor",
            SumToken,
            "sum of the channels at a position",
            "classical",
        ),
        tensor_word(
            "cutoff_token",
            _SET,
            "tensor share",
            CutoffToken,
            "halfway from the k-th to the next largest of the C channels at a position, "
            "k = max(1, round(share C))",
            "k-sparse autoencoders, Makhzani and Frey 2013, arXiv:1312.5663",
            uses=(between,),
        ),
        tensor_word(
            "cutoff_batch",
            _SET,
            "tensor share",
            CutoffBatch,
            "the same of all entries of a batch; in evaluation mode the running mean",
            "BatchTopK, Bussmann et al. 2024, arXiv:2412.06410",
            uses=(between,),
            reads_batch=True,
        ),
        tensor_word(
            "uniform",
            _DRAW,
            "tensor tensor",
            Uniform,
            "in training mode uniform between both, in evaluation mode their mean",
            "classical",
        ),
        tensor_word(
            "normal",
            _DRAW,
            "tensor tensor",
            Normal,
            "in training mode normal of this mean and standard deviation, in evaluation mode the "
            "mean",
            "classical",
        ),
        tensor_word(
            "bernoulli",
            _DRAW,
            "tensor",
            Bernoulli,
            "in training mode 1 with this probability, else 0; in evaluation mode the probability, "
            "whose slope it has",
            "straight-through estimator, Bengio et al. 2013, arXiv:1308.3432",
        ),
        tensor_word(
            "first_channels",
            _VECTOR,
            "share",
            FirstChannels,
            "1 on the first share of the channels, 0 on the rest",
            "classical",
        ),
        tensor_word(
            "sorted_pairs",
            _VECTOR,
            "tensor",
            SortedPairs,
            "of each two neighbouring channels the larger first",
            "OPLU, Chernodub and Nowicki 2016, arXiv:1604.02313",
        ),
        tensor_word(
            "channel_before",
            _VECTOR,
            "tensor",
            ChannelBefore,
            "the channel before, 0 for the first",
            "classical",
        ),
        tensor_word(
            "channel_after",
            _VECTOR,
            "tensor",
            ChannelAfter,
            "the channel after, 0 for the last",
            "classical",
        ),
        tensor_word(
            "channel_mix",
            _VECTOR,
            "tensor",
            ChannelMix,
            "b_i + sum_j g_ij x_j over the channels at a position, trained; g >= 0 and b >= 1e-6",
            "GDN, Ballé et al. 2015, arXiv:1511.06281",
            uses=(AtLeast,),
        ),
        tensor_word(
            "sparsemax_threshold",
            _SET,
            "tensor",
            SparsemaxThreshold,
            "t with sum max(x - t, 0) = 1 over the channels at a position",
            "Martins and Astudillo 2016, arXiv:1602.02068",
        ),
        tensor_word(
            "entmax_threshold",
            _SET,
            "tensor",
            EntmaxThreshold,
            "t with sum max(x - t, 0)^2 = 1 over the channels at a position",
            "Peters et al. 2019, arXiv:1905.05702",
        ),
        tensor_word(
            "depthwise",
            _VECTOR,
            "tensor",
            Depthwise,
            "3x3 convolution of each channel, trained, from 0",
            "funnel activation, Ma et al. 2020, arXiv:2007.11824",
        ),
        tensor_word(
            "matrix_exp",
            _VECTOR,
            "tensor",
            MatrixExp,
            "exponential of the square matrix of the last two axes",
            "classical",
            is_square=True,
        ),
    )
}
"""By name, such as `cutoff_token`."""
