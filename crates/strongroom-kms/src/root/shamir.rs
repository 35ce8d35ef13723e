// SPDX-License-Identifier: Apache-2.0
//! Shamir's secret sharing over GF(2^8), byte by byte (A. Shamir, "How to share a secret", 1979).
//!
//! Each byte of the secret is the value at 0 of a random polynomial of degree k - 1; share x holds
//! its value at x. Any k shares give the polynomial, fewer say nothing about the secret, not even
//! to unlimited computers. The field is that of AES (x^8 + x^4 + x^3 + x + 1).
//!
//! No table is looked up and nothing branches on a secret: products are made of shifts and masks.

use aws_lc_rs::rand;
use zeroize::Zeroizing;

use super::RootError;

/// A place from 1, and the values there.
pub(super) type Point = (u8, Zeroizing<[u8; 32]>);

/// The values at 1..=`shares` of random polynomials whose values at 0 are `secret`.
pub(super) fn split(secret: &[u8; 32], threshold: u8, shares: u8) -> Result<Vec<Point>, RootError> {
    // Coefficients of x^1 .. x^(k-1), drawn from all 256 values: leaving out zero would tell.
    let mut coefficients = Vec::new();
    for _ in 1..threshold {
        let mut row = Zeroizing::new([0; 32]);
        rand::fill(row.as_mut_slice()).map_err(|_| RootError::System("randomness"))?;
        coefficients.push(row);
    }
    let value_at = |x: u8| {
        let mut value = Zeroizing::new([0; 32]);
        // Horner: highest coefficient first, the secret last.
        for row in coefficients.iter().rev() {
            for (to, from) in value.iter_mut().zip(row.iter()) {
                *to = product(*to ^ *from, x);
            }
        }
        for (to, from) in value.iter_mut().zip(secret) {
            *to ^= *from;
        }
        (x, value)
    };
    Ok((1..=shares).map(value_at).collect())
}

/// The values at 0 of the polynomials through these points, by Lagrange. The x are different and
/// not 0.
pub(super) fn combine(points: &[(u8, &[u8; 32])]) -> Zeroizing<[u8; 32]> {
    let mut secret = Zeroizing::new([0; 32]);
    for (x, value) in points {
        let mut weight = 1;
        for (other, _) in points.iter().filter(|(other, _)| other != x) {
            // other / (other - x); minus is plus is exclusive or.
            weight = product(weight, product(*other, inverse(*other ^ *x)));
        }
        for (to, from) in secret.iter_mut().zip(value.iter()) {
            *to ^= product(*from, weight);
        }
    }
    secret
}

fn product(mut a: u8, mut b: u8) -> u8 {
    let mut sum = 0;
    for _ in 0..8 {
        sum ^= a & mask(b & 1);
        a = (a << 1) ^ (0x1b & mask(a >> 7));
        b >>= 1;
    }
    sum
}

/// All ones for 1, zero for 0.
fn mask(bit: u8) -> u8 {
    bit.wrapping_neg()
}

/// a^254 = 1/a; 0 for 0.
fn inverse(a: u8) -> u8 {
    // 254 = 2 + 4 + 8 + 16 + 32 + 64 + 128.
    let mut power = a;
    let mut result = 1;
    for _ in 0..7 {
        power = product(power, power);
        result = product(result, power);
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Multiplication as the textbook has it: a polynomial product, then a long division.
    fn naive(a: u8, b: u8) -> u8 {
        let mut sum = 0_u16;
        for bit in 0..8 {
            if b >> bit & 1 == 1 {
                sum ^= u16::from(a) << bit;
            }
        }
        for bit in (8..16).rev() {
            if sum >> bit & 1 == 1 {
                sum ^= 0x11b << (bit - 8);
            }
        }
        u8::try_from(sum).unwrap()
    }

    #[test]
    fn products_and_inverses_are_those_of_the_field() {
        for a in 0..=255 {
            for b in 0..=255 {
                assert_eq!(product(a, b), naive(a, b), "{a} * {b}");
            }
            assert_eq!(product(a, inverse(a)), u8::from(a != 0), "1 / {a}");
        }
        // FIPS 197, section 4.2.
        assert_eq!(product(0x57, 0x83), 0xc1);
        assert_eq!(product(0x57, 0x13), 0xfe);
    }

    #[test]
    fn any_k_shares_give_the_secret_and_fewer_do_not() {
        let secret = [0x5a; 32];
        for (threshold, shares) in [(1, 1), (2, 3), (3, 5), (5, 5), (2, 255)] {
            let points = split(&secret, threshold, shares).unwrap();
            let points: Vec<(u8, &[u8; 32])> = points.iter().map(|(x, y)| (*x, &**y)).collect();
            let k = usize::from(threshold);
            for first in 0..=points.len() - k {
                assert_eq!(*combine(&points[first..first + k]), secret);
            }
            let last = [&points[points.len() - 1..], &points[..k - 1]].concat();
            assert_eq!(*combine(&last), secret);
            assert_eq!(*combine(&points[..points.len().min(k + 3)]), secret);
            if k > 1 {
                assert_ne!(*combine(&points[..k - 1]), secret);
            }
        }
    }

    #[test]
    fn one_share_of_two_goes_with_every_secret() {
        // For a share (1, y) and any secret s there is a second share that gives s.
        let points = split(&[7; 32], 2, 2).unwrap();
        let (x, first) = (&points[0].0, &points[0].1);
        for wanted in 0..=255_u8 {
            let found = (0..=255_u8).filter(|second| {
                let second = [*second; 32];
                combine(&[(*x, first), (2, &second)])[0] == wanted
            });
            assert_eq!(found.count(), 1);
        }
    }
}
