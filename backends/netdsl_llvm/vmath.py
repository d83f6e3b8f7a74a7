"""Elementary functions on float32 vectors, as IR: range reduction and a minimax polynomial, no library calls.

Largest errors over dense samples of all float32 arguments, denormals included (measured by the tests, with and
without fused multiply-add): exp 1.0, log 1.0, tanh 2.5, sigmoid 2.6, log1p 1.6 units in the last place. Special
values follow IEEE 754: exp(-inf) = 0, exp(inf) = inf, log(0) = -inf, log(x < 0) = NaN, tanh(+-inf) = +-1, NaN to NaN.

Polynomials are minimax fits in relative error on the reduced range, with coefficients rounded to float32.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from llvmlite import ir

from netdsl_llvm.emit import I32, Kernel, Value

LOG2_E = 1.4426950408889634
# ln 2 in two parts; the first has 10 bits, so that its product with an exponent is exact
LN2_HIGH, LN2_LOW = 0.693359375, -2.12194440e-4
LN2 = 0.6931471805599453
# 1.5 * 2^23: adding it leaves the nearest integer in the low bits of the sum
ROUND_MAGIC, ROUND_MAGIC_BITS = 12582912.0, 0x4B400000
EXPONENT_BIAS = 127
# tanh of anything larger rounds to 1
TANH_BOUND = 9.1

# (exp(r) - 1 - r) / r^2 on |r| <= ln(2)/2; (log(1+f) - f + f^2/2) / f^3 on [sqrt(1/2)-1, sqrt(2)-1]
EXP = (0.5, 0.16666665673, 0.041666280478, 0.0083335041999, 0.0013945752289, 0.00019789261568)
EXP_SHORT = (0.4999999702, 0.16666546464, 0.041667446494, 0.0083662485704, 0.0013869678369)
LOG = (
    0.33333313465, -0.25000008940, 0.20002119243, -0.16667996346, 0.14219552278, -0.12405588477,
    0.11888163536, -0.11675656586, 0.067466430366,
)  # fmt: skip


def exp(k: Kernel, x: Value) -> Value:
    """e^x, denormal results rounded correctly: the power of two is multiplied in two steps."""
    b = k.b
    # select keeps NaN; beyond these bounds the result is inf or zero
    clamped = b.select(b.fcmp_ordered(">", x, k.like(x, 90.0)), k.like(x, 90.0), x)
    clamped = b.select(b.fcmp_ordered("<", clamped, k.like(x, -106.0)), k.like(x, -106.0), clamped)
    shifted = k.fma(clamped, k.like(x, LOG2_E), k.like(x, ROUND_MAGIC))
    n = b.fsub(shifted, k.like(x, ROUND_MAGIC))
    r = k.fma(n, k.like(x, -LN2_HIGH), clamped)
    r = k.fma(n, k.like(x, -LN2_LOW), r)
    tail = k.fma(b.fmul(r, r), polynomial(k, EXP, r), r)
    power = b.sub(_bits(k, shifted), _integer_like(k, shifted, ROUND_MAGIC_BITS))
    half = b.ashr(power, _integer_like(k, shifted, 1))
    y = b.fadd(tail, k.like(x, 1.0))
    return b.fmul(b.fmul(y, _power_of_two(k, half, x)), _power_of_two(k, b.sub(power, half), x))


def log(k: Kernel, x: Value) -> Value:
    """Natural logarithm."""
    b = k.b
    tiny = b.fcmp_ordered("<", x, k.like(x, 2.0**-126))
    scaled = b.select(tiny, b.fmul(x, k.like(x, 2.0**23)), x)
    bias = b.select(tiny, _integer_like(k, x, 23), _integer_like(k, x, 0))
    # subtracting the bits of sqrt(1/2) moves the exponent's step there, so that the mantissa lies around 1
    offset = b.sub(_bits(k, scaled), _integer_like(k, x, 0x3F3504F3))
    exponent = b.sub(b.ashr(offset, _integer_like(k, x, 23)), bias)
    mantissa = b.add(b.and_(offset, _integer_like(k, x, 0x007FFFFF)), _integer_like(k, x, 0x3F3504F3))
    f = b.fsub(b.bitcast(mantissa, x.type), k.like(x, 1.0))
    e = b.sitofp(exponent, x.type)
    square = b.fmul(f, f)
    tail = b.fmul(b.fmul(square, f), polynomial(k, LOG, f))
    tail = k.fma(e, k.like(x, LN2_LOW), tail)
    tail = k.fma(square, k.like(x, -0.5), tail)
    result = k.fma(e, k.like(x, LN2_HIGH), b.fadd(f, tail))
    return _log_special(k, x, result)


def _log_special(k: Kernel, x: Value, result: Value) -> Value:
    b, infinity = k.b, float("inf")
    # x itself where it is inf or NaN, NaN below zero
    result = b.select(b.fcmp_unordered("ueq", x, k.like(x, infinity)), x, result)
    result = b.select(b.fcmp_ordered("<", x, k.like(x, 0.0)), k.like(x, float("nan")), result)
    return b.select(b.fcmp_ordered("==", x, k.like(x, 0.0)), k.like(x, -infinity), result)


def log1p(k: Kernel, x: Value) -> Value:
    """log(1 + x) for x >= 0, accurate for small x: the rounding error of 1 + x is put back to first order."""
    b = k.b
    y = b.fadd(x, k.like(x, 1.0))
    lost = b.fsub(x, b.fsub(y, k.like(x, 1.0)))
    corrected = b.fadd(log(k, y), b.fdiv(lost, y))
    return b.select(b.fcmp_ordered("==", y, k.like(x, float("inf"))), y, corrected)


def tanh(k: Kernel, x: Value) -> Value:
    """Hyperbolic tangent: m / (m + 2) with m = exp(2|x|) - 1, which has no rounding error of 1 for small x.

    The bits of `scale` are a biased exponent moved into place; that the constant ln 2 is rounded, and that one product
    with it stands for two, only matters for large exponents, where the result depends little on m.
    """
    b = k.b
    size = absolute(k, x)
    # select keeps NaN; beyond this bound the result is 1
    size = b.select(b.fcmp_ordered(">", size, k.like(x, TANH_BOUND)), k.like(x, TANH_BOUND), size)
    double = b.fadd(size, size)
    magic = k.like(x, ROUND_MAGIC + EXPONENT_BIAS)
    shifted = k.fma(double, k.like(x, LOG2_E), magic)
    r = k.fma(b.fsub(shifted, magic), k.like(x, -LN2), double)
    minor = k.fma(b.fmul(r, r), polynomial(k, EXP_SHORT, r), r)
    scale = b.bitcast(b.shl(_bits(k, shifted), _integer_like(k, x, 23)), x.type)
    m = k.fma(scale, minor, b.fsub(scale, k.like(x, 1.0)))
    return _with_sign_of(k, b.fdiv(m, b.fadd(m, k.like(x, 2.0))), x)


def sigmoid(k: Kernel, x: Value) -> Value:
    """1 / (1 + exp(-x)), from exp of a non-positive argument so that neither tail overflows."""
    b = k.b
    tail = exp(k, b.fneg(absolute(k, x)))
    top = b.select(b.fcmp_ordered(">=", x, k.like(x, 0.0)), k.like(x, 1.0), tail)
    return b.fdiv(top, b.fadd(tail, k.like(x, 1.0)))


def sqrt(k: Kernel, x: Value) -> Value:
    return k.b.call(k.module.intrinsic("sqrt", x.type, 1), [x])


def absolute(k: Kernel, x: Value) -> Value:
    return k.b.call(k.module.intrinsic("fabs", x.type, 1), [x])


def polynomial(k: Kernel, coefficients: Sequence[float], x: Value) -> Value:
    """Horner's scheme, coefficients from the constant up."""
    result = k.like(x, coefficients[-1])
    for c in reversed(coefficients[:-1]):
        result = k.fma(result, x, k.like(x, c))
    return result


UNARY: dict[str, Callable[[Kernel, Value], Value]] = {
    "neg": lambda k, x: k.b.fneg(x),
    "exp": exp,
    "log": log,
    "tanh": tanh,
    "sigmoid": sigmoid,
    "sqrt": sqrt,
    "abs": absolute,
}


def _integer_kind(kind: ir.Type) -> ir.Type:
    return ir.VectorType(I32, kind.count) if isinstance(kind, ir.VectorType) else I32


def _integer_like(k: Kernel, x: Value, value: int) -> Value:
    kind = _integer_kind(x.type)
    return k.iv(value, kind.count) if isinstance(kind, ir.VectorType) else I32(value)


def _bits(k: Kernel, x: Value) -> Value:
    return k.b.bitcast(x, _integer_kind(x.type))


def _power_of_two(k: Kernel, n: Value, like: Value) -> Value:
    biased = k.b.add(n, _integer_like(k, like, 127))
    return k.b.bitcast(k.b.shl(biased, _integer_like(k, like, 23)), like.type)


def _with_sign_of(k: Kernel, magnitude: Value, x: Value) -> Value:
    sign = k.b.and_(_bits(k, x), _integer_like(k, x, -(1 << 31)))
    return k.b.bitcast(k.b.or_(_bits(k, magnitude), sign), x.type)


__all__ = ["UNARY", "absolute", "exp", "log", "log1p", "polynomial", "sigmoid", "sqrt", "tanh"]
