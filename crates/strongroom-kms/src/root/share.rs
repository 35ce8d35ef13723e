// SPDX-License-Identifier: Apache-2.0
//! One share of a recovery key, as it is printed and read back.
//!
//! ```text
//!   0   1  version 1
//!   1   8  set id: random, the same in all shares of a set, and in the keyring
//!   9   1  threshold k
//!  10   1  number of the share, from 1
//!  11  32  value
//!  43   4  SHA-256("strongroom/1/share" || 00 || bytes[0..43)), its first four bytes
//! ```
//!
//! In text: `SRSHARE-` and 76 characters of Crockford's base 32 (no I, L, O, U), in groups of four
//! with hyphens. Reading takes small letters, I and L for 1, O for 0, spaces and missing hyphens.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{SHA256, digest};
use zeroize::Zeroizing;

use super::RootError;

/// Into how many shares, and how many of them restore.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SplitPlan {
    threshold: u8,
    shares: u8,
}

impl SplitPlan {
    /// A plan of at least two shares out of at most sixteen.
    pub fn new(threshold: u8, shares: u8) -> Result<SplitPlan, RootError> {
        if threshold >= 2 && threshold <= shares && shares <= SplitPlan::SHARES_MAX {
            Ok(SplitPlan { threshold, shares })
        } else {
            Err(RootError::Plan)
        }
    }

    /// How many shares restore.
    pub fn threshold(self) -> u8 {
        self.threshold
    }

    /// How many shares there are.
    pub fn shares(self) -> u8 {
        self.shares
    }

    /// The most shares a key is split into.
    pub const SHARES_MAX: u8 = 16;
}

/// A share.
pub struct Share {
    pub(super) set: [u8; 8],
    pub(super) threshold: u8,
    pub(super) number: u8,
    pub(super) value: Zeroizing<[u8; 32]>,
}

impl Share {
    /// Its number, from 1.
    pub fn number(&self) -> u8 {
        self.number
    }

    /// How many shares of its set restore.
    pub fn threshold(&self) -> u8 {
        self.threshold
    }

    /// The id of its set, in hexadecimal digits.
    pub fn set(&self) -> String {
        hex::encode(self.set)
    }

    /// The share in its printed form, which is as secret as the share.
    pub fn expose_secret(&self) -> Zeroizing<String> {
        let bytes = self.bytes();
        let mut text = Zeroizing::new(String::with_capacity(PREFIX.len().saturating_add(95)));
        text.push_str(PREFIX);
        let (mut pool, mut bits) = (0_u32, 0_u32);
        let mut written = 0_u32;
        // One byte of zeros more fills the last digit.
        for byte in bytes.iter().chain(&[0]) {
            pool = pool << 8 | u32::from(*byte);
            bits = bits.saturating_add(8);
            while bits >= 5 && written < DIGITS {
                bits = bits.saturating_sub(5);
                let digit = usize::try_from(pool >> bits & 31).unwrap_or(0);
                if written > 0 && written.is_multiple_of(4) {
                    text.push('-');
                }
                text.push(char::from(*ALPHABET.get(digit).unwrap_or(&b'0')));
                written = written.saturating_add(1);
            }
            pool &= 31;
        }
        text
    }

    fn bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(SHARE_BYTES));
        bytes.push(VERSION);
        bytes.extend_from_slice(&self.set);
        bytes.extend_from_slice(&[self.threshold, self.number]);
        bytes.extend_from_slice(self.value.as_slice());
        let sum = checksum(&bytes);
        bytes.extend_from_slice(&sum);
        bytes
    }
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Share({} of set {}, ..)", self.number, self.set())
    }
}

impl FromStr for Share {
    type Err = RootError;

    fn from_str(text: &str) -> Result<Share, RootError> {
        let wrong = RootError::Share;
        let text = text.trim();
        let prefix = text.get(..PREFIX.len()).unwrap_or_default();
        if !prefix.eq_ignore_ascii_case(PREFIX) {
            return Err(wrong("it does not begin with SRSHARE-"));
        }
        let mut bytes = Zeroizing::new(Vec::with_capacity(SHARE_BYTES));
        let (mut pool, mut bits) = (0_u32, 0_u32);
        let mut digits = 0_u32;
        for character in text.get(PREFIX.len()..).unwrap_or_default().chars() {
            if character == '-' || character.is_ascii_whitespace() {
                continue;
            }
            let digit = digit(character).ok_or(wrong("it has a character that no share has"))?;
            digits = digits.saturating_add(1);
            pool = pool << 5 | digit;
            bits = bits.saturating_add(5);
            if bits >= 8 {
                bits = bits.saturating_sub(8);
                bytes.push(u8::try_from(pool >> bits & 255).unwrap_or(0));
                pool &= (1 << bits) - 1;
            }
            if digits > DIGITS {
                break;
            }
        }
        if digits != DIGITS || bytes.len() != SHARE_BYTES {
            return Err(wrong("its length: characters are missing or doubled"));
        }
        if pool != 0 {
            return Err(wrong("its last character"));
        }
        Share::parse(&bytes)
    }
}

impl Share {
    fn parse(bytes: &[u8]) -> Result<Share, RootError> {
        let wrong = RootError::Share;
        let length = || wrong("its length");
        let (rest, sum) = bytes.split_last_chunk::<4>().ok_or_else(length)?;
        if *sum != checksum(rest) {
            return Err(wrong("its checksum: a character is mistyped"));
        }
        let ([version], rest) = rest.split_first_chunk().ok_or_else(length)?;
        let (set, rest) = rest.split_first_chunk().ok_or_else(length)?;
        let ([threshold, number], value) = rest.split_first_chunk().ok_or_else(length)?;
        if *version != VERSION {
            return Err(wrong("its version"));
        }
        let most = SplitPlan::SHARES_MAX;
        if !(2..=most).contains(threshold) || !(1..=most).contains(number) || value.len() != 32 {
            return Err(wrong("its numbers"));
        }
        let mut share = Share {
            set: *set,
            threshold: *threshold,
            number: *number,
            value: Zeroizing::new([0; 32]),
        };
        share.value.copy_from_slice(value);
        Ok(share)
    }
}

/// The value of a digit, with those that people confuse.
fn digit(character: char) -> Option<u32> {
    let upper = match character.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        other => other,
    };
    let place = ALPHABET.iter().position(|c| char::from(*c) == upper)?;
    u32::try_from(place).ok()
}

fn checksum(bytes: &[u8]) -> [u8; 4] {
    let labelled = Zeroizing::new([b"strongroom/1/share\0", bytes].concat());
    let sum = digest(&SHA256, &labelled);
    sum.as_ref().first_chunk().copied().unwrap_or_default()
}

const PREFIX: &str = "SRSHARE-";
const VERSION: u8 = 1;
const SHARE_BYTES: usize = 47;
/// 47 bytes in digits of five bits.
const DIGITS: u32 = 76;
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
