"""The scheme a checkpoint is stored in, from the ``quantization_config`` of its config.json."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from llmsizer.catalog.config_reader import Config

# The last is MLX's own key; ModelOpt's files use it for an inner mapping.
QUANTIZATION_KEYS = ("quantization_config", "compression_config", "quantization")


def quantization_method(config: Config) -> tuple[str, Config] | None:
    """The quantization a config states, with its method; None when nothing is quantized."""
    quantization = next((found for key in QUANTIZATION_KEYS if (found := config.mapping(key)) is not None), None)
    if quantization is None or not quantization.data:
        return None
    method = quantization.text("quant_method").lower()
    if not method and quantization.has("bits") and quantization.has("group_size"):
        method = "mlx"  # MLX names no method
    return method, quantization


def native_scheme(config: Config, unquantized: str) -> str:
    """The scheme id of a checkpoint; its plain 16- or 32-bit type when nothing is quantized.

    Raises CatalogError for a quantization method or shape that no scheme describes.
    """
    found = quantization_method(config)
    if found is None:
        return unquantized
    method, quantization = found
    reader = _METHODS.get(method)
    if reader is None:
        raise quantization.error("quant_method", f"'{method[:40]}' is not known", f"known: {', '.join(sorted(_METHODS))}")
    return reader(quantization)


def _fp8(config: Config) -> str:
    return "fp8_block" if config.has("weight_block_size") else "fp8"


def grouped_scheme(kind: str) -> Callable[[Config], str]:
    """Reads the scheme of a method that states bits and group size."""

    def read(config: Config) -> str:
        bits = config.integer("bits", config.optional("w_bit") or 4, most=16)
        key = "group_size" if config.has("group_size") else "q_group_size"
        group = config.integer(key, 128, least=-1)
        suffix = "nogroup" if group <= 0 else f"g{group}"
        return _known(config, f"{kind}-{bits}bit-{suffix}", "group_size")

    return read


def _bitsandbytes(config: Config) -> str:
    if config.truth("load_in_8bit", False):
        return "llm.int8"
    return "nf4-dq" if config.truth("bnb_4bit_use_double_quant", False) else "nf4"


def _compressed(config: Config) -> str:
    groups = config.mapping("config_groups")
    first = groups.mapping(min(groups.data)) if groups is not None and groups.data else None
    if first is None:
        raise config.error("config_groups", "expected group_0.weights, as compressed-tensors writes it")
    return compressed_scheme(first)


def compressed_scheme(group: Config) -> str:
    """The scheme of one of compressed-tensors' ``config_groups``."""
    weights, inputs = group.mapping("weights"), group.data.get("input_activations")
    if weights is None:
        raise group.error("weights", "expected the type and the bits of weights, as compressed-tensors writes them")
    kind, bits, size = weights.text("type"), weights.data.get("num_bits"), weights.data.get("group_size")
    if kind == "float" and bits == 8:
        return {"channel": "fp8_channel", "block": "fp8_block"}.get(weights.text("strategy"), "fp8")
    if kind == "float" and bits == 4:
        return "nvfp4" if size == 16 else "mxfp4"
    if kind == "int" and bits == 8:
        return "int8" if inputs else "int8wo"
    if kind == "int" and bits == 4:
        return "w4a16-g32" if size == 32 else "w4a16"
    raise weights.error("num_bits", f"weights of type {kind!r:.20} with {bits!r:.20} bits are not known")


MIXED = "MIXED_PRECISION"


def _modelopt(config: Config) -> str:
    inner = config.mapping("quantization") or config
    if inner.text("quant_algo").upper() != MIXED:
        return modelopt_scheme(inner)
    layers = inner.mapping("quantized_layers")
    found = [layers.mapping(name) for name in layers.data] if layers is not None else []
    schemes = Counter(modelopt_scheme(layer) for layer in found if layer is not None)
    if not schemes:
        raise inner.error("quantized_layers", f"expected the layers that {MIXED} quantizes")
    return schemes.most_common(1)[0][0]


def modelopt_scheme(config: Config) -> str:
    """The scheme of an algorithm of ModelOpt."""
    algorithm = config.text("quant_algo").upper()
    known = {"FP8": "fp8", "NVFP4": "nvfp4", "W4A16_AWQ": "awq-4bit-g128", "FP8_PB_WO": "fp8_block", "MXFP8": "mxfp8"}
    if algorithm not in known:
        raise config.error("quant_algo", f"'{algorithm[:40]}' is not known", f"known: {', '.join(known)}")
    return known[algorithm]


def _mlx(config: Config) -> str:
    return _known(config, f"mlx-{_mlx_shape(config)}", "bits")


def mlx_format(config: Config) -> str:
    """The number format of a module that MLX stores in a shape of its own."""
    from llmsizer.catalog.formats import number_formats

    shape = _mlx_shape(config)
    name = next((name for name in (f"mlx-{shape}", shape) if name in number_formats()), None)
    if name is None:
        raise config.error("bits", f"no number format 'mlx-{shape}' is known", "See CONTRIBUTING.md, 'A number format'.")
    return name


def _mlx_shape(config: Config) -> str:
    bits, group, mode = config.integer("bits", most=16), config.integer("group_size", 64), config.text("mode", "affine")
    return f"{bits}bit-g{group}" if mode == "affine" else mode.lower()[:20]


def _known(config: Config, name: str, key: str) -> str:
    from llmsizer.catalog.formats import scheme_names

    if name not in scheme_names():
        raise config.error(key, f"no scheme '{name}' is known", "See CONTRIBUTING.md, 'A number format'.")
    return name


_METHODS: dict[str, Callable[[Config], str]] = {
    "fp8": _fp8, "fbgemm_fp8": lambda config: "fp8_channel", "gptq": grouped_scheme("gptq"), "awq": grouped_scheme("awq"),
    "bitsandbytes": _bitsandbytes, "compressed-tensors": _compressed, "mxfp4": lambda config: "mxfp4",
    "modelopt": _modelopt, "mlx": _mlx,
}  # fmt: skip
