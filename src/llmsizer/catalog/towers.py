"""Vision and audio towers from the ``vision_config`` of a config.json, one builder a family."""

from __future__ import annotations

from collections.abc import Callable

from llmsizer.blocks.tower import Tower, TowerPart
from llmsizer.catalog.config_reader import MOST_LAYERS, Config
from llmsizer.core.errors import UnknownName


def build_towers(kind: str | None, config: Config) -> tuple[Tower, ...]:
    """The towers of a multimodal model; none when its config has no ``vision_config``."""
    vision = config.mapping("vision_config")
    if kind is None or vision is None:
        return ()
    if kind not in TOWERS:
        raise UnknownName("vision tower", kind, TOWERS)
    return (TOWERS[kind](vision, config.integer("hidden_size")),)


def _layers(vision: Config, key: str = "num_hidden_layers") -> int:
    return vision.integer(key, most=MOST_LAYERS)


def _patch(vision: Config, width: int, temporal: int = 1, biased: bool = False) -> TowerPart:
    patch = vision.integer("patch_size", most=4096)
    pixels = vision.integer("in_channels", 3, most=64) * temporal * patch * patch
    return TowerPart(name="patch_embedding", rows=pixels, columns=width, bias=width if biased else None)


def _grid(vision: Config) -> int:
    return (vision.integer("image_size", most=16384) // vision.integer("patch_size", most=4096)) ** 2


def _linear(name: str, rows: int, columns: int, biased: bool) -> TowerPart:
    return TowerPart(name=name, rows=rows, columns=columns, bias=columns if biased else None)


def _siglip(vision: Config, hidden: int) -> Tower:
    width, heads = vision.integer("hidden_size"), vision.integer("num_attention_heads")
    parts = (
        _patch(vision, width, biased=True),
        TowerPart(name="position_embedding", rows=_grid(vision), columns=width),
        TowerPart(name="post_layernorm", rows=width, columns=2),
        TowerPart(name="projector_norm", rows=width),
        _linear("projector", width, hidden, biased=False),
    )
    return Tower(
        name="SigLIP", hidden_size=width, intermediate_size=vision.integer("intermediate_size"),
        num_layers=_layers(vision), num_heads=heads, head_dim=vision.head_width(heads), gated=False, bias=True,
        mlp_bias=True, norm_vectors=4, parts=parts, patches=_grid(vision),
        image_tokens=vision.integer("mm_tokens_per_image", 256),
    )  # fmt: skip


def _pixtral(vision: Config, hidden: int) -> Tower:
    width, heads = vision.integer("hidden_size"), vision.integer("num_attention_heads")
    merge = vision.integer("spatial_merge_size", 2, most=64)
    parts = (
        _patch(vision, width),
        TowerPart(name="ln_pre_and_projector_norm", rows=width, columns=2),
        _linear("patch_merger", width * merge * merge, width, biased=False),
        _linear("projector.linear_1", width, hidden, biased=False),
        _linear("projector.linear_2", hidden, hidden, biased=False),
    )
    return Tower(
        name="Pixtral", hidden_size=width, intermediate_size=vision.integer("intermediate_size"),
        num_layers=_layers(vision), num_heads=heads, head_dim=vision.head_width(heads), gated=True, bias=False,
        mlp_bias=False, norm_vectors=2, parts=parts, patches=_grid(vision),
        image_tokens=_grid(vision) // (merge * merge),
    )  # fmt: skip


def _qwen2_5_vl(vision: Config, hidden: int) -> Tower:
    width, heads = vision.integer("hidden_size"), vision.integer("num_heads")
    merged = width * vision.integer("spatial_merge_size", 2, most=64) ** 2
    parts = (
        _patch(vision, width, temporal=vision.integer("temporal_patch_size", 2, most=64)),
        TowerPart(name="merger.norm", rows=width),
        _linear("merger.mlp.0", merged, merged, biased=True),
        _linear("merger.mlp.2", merged, hidden, biased=True),
    )
    return Tower(
        name="Qwen2.5-VL", hidden_size=width, intermediate_size=vision.integer("intermediate_size"),
        num_layers=_layers(vision, "depth"), num_heads=heads, head_dim=vision.head_width(heads), gated=True, bias=True,
        mlp_bias=True, norm_vectors=2, parts=parts,
    )  # fmt: skip


def _qwen3_vl(vision: Config, hidden: int) -> Tower:
    width, heads = vision.integer("hidden_size"), vision.integer("num_heads")
    merged = width * vision.integer("spatial_merge_size", 2, most=64) ** 2
    deepstack = len(vision.integers("deepstack_visual_indexes") or ())
    parts = [
        _patch(vision, width, temporal=vision.integer("temporal_patch_size", 2, most=64), biased=True),
        TowerPart(name="position_embedding", rows=vision.integer("num_position_embeddings"), columns=width),
        TowerPart(name="merger.norm", rows=width, columns=2),
        _linear("merger.fc1", merged, merged, biased=True),
        _linear("merger.fc2", merged, hidden, biased=True),
    ]
    if deepstack:
        parts += [
            TowerPart(name="deepstack.norms", rows=merged, columns=2, copies=deepstack),
            TowerPart(name="deepstack.fc1", rows=merged, columns=merged, copies=deepstack, bias=merged),
            TowerPart(name="deepstack.fc2", rows=merged, columns=hidden, copies=deepstack, bias=hidden),
        ]
    return Tower(
        name="Qwen3-VL", hidden_size=width, intermediate_size=vision.integer("intermediate_size"),
        num_layers=_layers(vision, "depth"), num_heads=heads, head_dim=vision.head_width(heads), gated=False, bias=True,
        mlp_bias=True, norm_vectors=4, parts=tuple(parts),
    )  # fmt: skip


def _llama4(vision: Config, hidden: int) -> Tower:
    width, heads = vision.integer("hidden_size"), vision.integer("num_attention_heads")
    into, out = vision.integer("projector_input_dim"), vision.integer("projector_output_dim")
    parts = (
        _patch(vision, width),
        TowerPart(name="class_and_position_embedding", rows=_grid(vision) + 2, columns=width),
        TowerPart(name="layernorm_pre_and_post", rows=width, columns=4),
        _linear("vision_adapter.fc1", vision.integer("intermediate_size"), into, biased=False),
        _linear("vision_adapter.fc2", into, out, biased=False),
        _linear("projector", vision.integer("vision_output_dim"), hidden, biased=False),
    )
    return Tower(
        name="Llama 4 vision", hidden_size=width, intermediate_size=vision.integer("intermediate_size"),
        num_layers=_layers(vision), num_heads=heads, head_dim=vision.head_width(heads), gated=False, bias=True,
        mlp_bias=True, norm_vectors=4, parts=parts, patches=_grid(vision) + 1, image_tokens=_grid(vision) // 4,
    )  # fmt: skip


def _gemma4(vision: Config, hidden: int) -> Tower:
    width, heads = vision.integer("hidden_size"), vision.integer("num_attention_heads")
    parts = [
        _patch(vision, width),
        TowerPart(name="position_embedding", rows=vision.integer("position_embedding_size"), columns=width, copies=2),
        _linear("projector", width, hidden, biased=False),
    ]
    if vision.truth("standardize", False):
        parts.append(TowerPart(name="standardization", rows=width, columns=2))
    return Tower(
        name="Gemma 4 vision", hidden_size=width, intermediate_size=vision.integer("intermediate_size"),
        num_layers=_layers(vision), num_heads=heads, head_dim=vision.integer("head_dim"), gated=True,
        bias=False, mlp_bias=False, norm_vectors=4, qk_norm=True, parts=tuple(parts),
    )  # fmt: skip


def _given(vision: Config, hidden: int) -> Tower:
    """A tower of which only the published number of parameters is known."""
    parts = (TowerPart(name="vision_and_audio", rows=vision.integer("params", most=10**12)),)
    return Tower(
        name="vision and audio", hidden_size=hidden, intermediate_size=1, num_layers=0, num_heads=1, head_dim=1,
        gated=False, bias=False, mlp_bias=False, norm_vectors=0, parts=parts,
    )  # fmt: skip


TOWERS: dict[str, Callable[[Config, int], Tower]] = {
    "siglip": _siglip, "pixtral": _pixtral, "qwen2_5_vl": _qwen2_5_vl, "qwen3_vl": _qwen3_vl,
    "llama4": _llama4, "gemma4": _gemma4, "given": _given,
}  # fmt: skip
