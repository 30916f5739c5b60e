"""Parameter counts of the building blocks of a transformer."""

from __future__ import annotations

from llmsizer.core.explain import formula
from llmsizer.core.quantities import Count, Elements
from llmsizer.core.units import ONE_ELEMENT


@formula(reference="linear algebra: a matrix has rows × columns elements")
def matrix_elements(in_features: Count, out_features: Count, copies: Count) -> Elements:
    """Elements of ``copies`` equal weight matrices.

    >>> matrix_elements(4096, 1024, 1)
    4194304.0
    """
    return in_features * out_features * copies * ONE_ELEMENT


@formula(reference="Vaswani et al. 2017, section 3.2.2: heads are concatenated")
def heads_width(heads: Count, head_dim: Count) -> Count:
    """Width of the concatenated heads of an attention projection.

    >>> heads_width(32, 128)
    4096
    """
    return heads * head_dim


@formula(reference="concatenation of two widths")
def joint_width(first: Count, second: Count) -> Count:
    """Width of two vectors laid side by side, such as the latent and the rotary part of MLA.

    >>> joint_width(512, 64)
    576
    """
    return first + second


@formula(reference="repetition of a width")
def repeated_width(width: Count, times: Count) -> Count:
    """Width of ``times`` vectors of one width.

    >>> repeated_width(128, 3)
    384
    """
    return width * times


@formula(reference="repetition of a layer")
def elements_of_layers(elements_per_layer: Elements, layers: Count) -> Elements:
    """Elements of a group of equal layers.

    >>> elements_of_layers(1000.0, 32)
    32000.0
    """
    return elements_per_layer * layers


@formula(reference="mixture of experts: each token passes through k of E experts (Shazeer et al. 2017)")
def active_expert_elements(elements: Elements, experts_per_token: Count, experts: Count) -> Elements:
    """Elements of the routed experts that one token uses.

    >>> active_expert_elements(800.0, 2, 8)
    200.0
    """
    return elements * experts_per_token / experts
