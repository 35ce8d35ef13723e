// SPDX-License-Identifier: Apache-2.0
//! The field of 256 elements: polynomials over two, modulo x^8 + x^4 + x^3 + x^2 + 1.
//!
//! Only coefficients are computed here, a handful for each code; the bytes of units are
//! [`super::combine`]'s.

/// x^8 of the modulus, folded back: what doubling adds when the highest bit falls out.
pub(super) const FOLD: u8 = 0x1D;

/// Times x, the generator.
pub(super) const fn double(a: u8) -> u8 {
    let folded = if a & 0x80 == 0 { 0 } else { FOLD };
    (a << 1) ^ folded
}

/// The product.
pub(super) const fn product(a: u8, b: u8) -> u8 {
    let (mut doubled, mut left, mut sum) = (a, b, 0);
    while left > 0 {
        if left & 1 == 1 {
            sum ^= doubled;
        }
        doubled = double(doubled);
        left >>= 1;
    }
    sum
}

/// The inverse: a^254. That of zero is zero.
pub(super) const fn inverse(a: u8) -> u8 {
    let (mut square, mut result, mut bit) = (a, 1, 0);
    while bit < 7 {
        square = product(square, square);
        result = product(result, square);
        bit += 1;
    }
    result
}

/// x to the power of `exponent`.
pub(super) const fn power(exponent: u8) -> u8 {
    let (mut result, mut left) = (1, exponent);
    while left > 0 {
        result = double(result);
        left -= 1;
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_field_is_one() {
        let mut seen = std::collections::BTreeSet::new();
        for exponent in 0..255 {
            assert!(seen.insert(power(exponent)), "x generates all of it");
        }
        assert_eq!(seen.len(), 255);
        for a in 0..=255_u8 {
            assert_eq!(product(a, 1), a);
            assert_eq!(product(a, 2), double(a));
            assert_eq!(product(a, inverse(a)), u8::from(a != 0));
            for b in [0, 1, 2, 3, 0x1D, 0x80, 0xFF] {
                assert_eq!(product(a, b), product(b, a));
                for c in [1, 0x53, 0xCA] {
                    assert_eq!(product(a ^ c, b), product(a, b) ^ product(c, b));
                    assert_eq!(product(product(a, b), c), product(a, product(b, c)));
                }
            }
        }
        assert_eq!(power(8), FOLD);
    }
}
