"""The weights of a model by name, for what files say of single tensors."""

from __future__ import annotations

from llmsizer.blocks.operation import Role, Weight, vector
from llmsizer.schema.model import LayerGroup, Model


def outer_weights(model: Model) -> dict[str, Weight]:
    """The weights outside the layers, under the names the lowering gives them."""
    hidden = model.hidden_size
    rows = model.embedding_rows if model.embedding_rows is not None else model.vocab_size
    found = [Weight("embed_tokens", Role.EMBEDDING, hidden, rows), vector("final_norm", hidden, model.final_norm_vectors)]
    if model.position_rows is not None:
        found.append(Weight("embed_positions", Role.EMBEDDING, hidden, model.position_rows))
    if model.embedding_norm_vectors is not None:
        found.append(vector("embedding_norm", hidden, model.embedding_norm_vectors))
    if model.lm_head and not model.tie_word_embeddings:
        bias = model.vocab_size if model.lm_head_bias else None
        found.append(Weight("lm_head", Role.LM_HEAD, hidden, model.vocab_size, bias=bias))
    return {weight.name: weight for weight in (*found, *model.extra)}


def layer_weights(group: LayerGroup, model: Model) -> dict[str, Weight]:
    """The weights of one layer of a group, under the names the lowering gives them."""
    hidden = model.hidden_size
    found = [vector("norms", hidden, group.norm_vectors), *group.extra]
    for block in (group.attention, group.feed_forward):
        if block is not None:
            found += [weight for operation in block.operations(hidden) for weight in operation.weights]
    return {weight.name: weight for weight in found}
