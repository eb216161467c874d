"""Polynomials over GF(2), written as integers: bit n is the coefficient of x^n (format 1.3).

restic's chunker needs an irreducible one of degree 53. It is random, kept encrypted in the repository's config,
and restic refuses a repository whose polynomial is reducible.
"""

from __future__ import annotations

from appliance.repository.crypto import Entropy

DEGREE = 53


def random_irreducible(entropy: Entropy) -> int:
    """A random irreducible polynomial of degree 53."""
    while True:
        candidate = int.from_bytes(entropy(8), "big") & ((1 << DEGREE) - 1) | 1 << DEGREE | 1
        if is_irreducible(candidate):
            return candidate


def is_irreducible(polynomial: int) -> bool:
    """Ben-Or's test: gcd(f, x^(2^i) - x) is 1 for every i up to half the degree."""
    degree = polynomial.bit_length() - 1
    if degree < 1:
        return False
    power = 2  # x
    for _ in range(degree // 2):
        power = _square_modulo(power, polynomial)
        if _gcd(polynomial, power ^ 2) != 1:
            return False
    return True


def _square_modulo(value: int, modulus: int) -> int:
    # Squaring over GF(2) spreads the bits: read the binary digits as base four.
    return _modulo(int(bin(value)[2:], 4), modulus)


def _modulo(value: int, modulus: int) -> int:
    length = modulus.bit_length()
    while value.bit_length() >= length:
        value ^= modulus << (value.bit_length() - length)
    return value


def _gcd(a: int, b: int) -> int:
    while b:
        a, b = b, _modulo(a, b)
    return a
