"""The scheme a checkpoint is stored in, from the ``quantization_config`` of its config.json."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from llmsizer.catalog.config_reader import Config

# The last is MLX's own key; ModelOpt's files use it for an inner mapping.
QUANTIZATION_KEYS = ("quantization_config", "compression_config", "quantization")


def native_scheme(config: Config, unquantized: str) -> str:
    """The scheme id of a checkpoint; its plain 16- or 32-bit type when nothing is quantized.

    Raises CatalogError for a quantization method or shape that no scheme describes.
    """
    quantization = next((found for key in QUANTIZATION_KEYS if (found := config.mapping(key)) is not None), None)
    if quantization is None or not quantization.data:
        return unquantized
    method = quantization.text("quant_method").lower()
    if not method and quantization.has("bits") and quantization.has("group_size"):
        method = "mlx"  # MLX names no method
    reader = _METHODS.get(method)
    if reader is None:
        raise quantization.error("quant_method", f"'{method[:40]}' is not known", f"known: {', '.join(sorted(_METHODS))}")
    return reader(quantization)


def _fp8(config: Config) -> str:
    return "fp8_block" if config.has("weight_block_size") else "fp8"


def _grouped(kind: str) -> Callable[[Config], str]:
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
    first = groups.data.get("group_0") if groups is not None else None
    weights = first.get("weights") if isinstance(first, Mapping) else None
    if not isinstance(weights, Mapping):
        raise config.error("config_groups", "expected group_0.weights, as compressed-tensors writes it")
    kind, bits = weights.get("type"), weights.get("num_bits")
    inputs = first.get("input_activations") if isinstance(first, Mapping) else None
    if kind == "float" and bits == 8:
        return {"channel": "fp8_channel", "block": "fp8_block"}.get(str(weights.get("strategy")), "fp8")
    if kind == "float" and bits == 4:
        return "nvfp4" if weights.get("group_size") == 16 else "mxfp4"
    if kind == "int" and bits == 8:
        return "int8" if inputs else "int8wo"
    if kind == "int" and bits == 4:
        return "w4a16-g32" if weights.get("group_size") == 32 else "w4a16"
    raise config.error("config_groups", f"weights of type {kind!r:.20} with {bits!r:.20} bits are not known")


def _modelopt(config: Config) -> str:
    inner = config.mapping("quantization")
    algorithm = (inner or config).text("quant_algo").upper()
    known = {"FP8": "fp8", "NVFP4": "nvfp4", "W4A16_AWQ": "awq-4bit-g128", "FP8_PB_WO": "fp8_block", "MXFP8": "mxfp8"}
    if algorithm not in known:
        raise config.error("quant_algo", f"'{algorithm[:40]}' is not known", f"known: {', '.join(known)}")
    return known[algorithm]


def _mlx(config: Config) -> str:
    bits, group, mode = config.integer("bits", most=16), config.integer("group_size", 64), config.text("mode", "affine")
    if mode != "affine":
        return _known(config, f"mlx-{mode.lower()[:20]}", "mode")
    return _known(config, f"mlx-{bits}bit-g{group}", "bits")


def _known(config: Config, name: str, key: str) -> str:
    from llmsizer.catalog.formats import scheme_names

    if name not in scheme_names():
        raise config.error(key, f"no scheme '{name}' is known", "See CONTRIBUTING.md, 'A number format'.")
    return name


_METHODS: dict[str, Callable[[Config], str]] = {
    "fp8": _fp8, "fbgemm_fp8": lambda config: "fp8_channel", "gptq": _grouped("gptq"), "awq": _grouped("awq"),
    "bitsandbytes": _bitsandbytes, "compressed-tensors": _compressed, "mxfp4": lambda config: "mxfp4",
    "modelopt": _modelopt, "mlx": _mlx,
}  # fmt: skip
