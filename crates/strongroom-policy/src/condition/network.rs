// SPDX-License-Identifier: Apache-2.0
//! Addresses and address ranges.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A range of addresses in CIDR notation, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Network {
    V4 { address: u32, mask: u32 },
    V6 { address: u128, mask: u128 },
}

impl Network {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(prefix_length(length)?)),
            None => (text, None),
        };
        match address.parse().ok()? {
            IpAddr::V4(address) => Self::v4(address, length.unwrap_or(32)),
            IpAddr::V6(address) => Self::v6(address, length.unwrap_or(128)),
        }
    }

    fn v4(address: Ipv4Addr, length: u32) -> Option<Self> {
        let hidden = 32_u32.checked_sub(length)?;
        let mask = u32::MAX.checked_shl(hidden).unwrap_or(0);
        let address = address.to_bits() & mask;
        Some(Self::V4 { address, mask })
    }

    /// A range of IPv4-mapped addresses is the range of those IPv4 addresses.
    fn v6(address: Ipv6Addr, length: u32) -> Option<Self> {
        if let (Some(mapped), Some(length)) = (address.to_ipv4_mapped(), length.checked_sub(96)) {
            return Self::v4(mapped, length);
        }
        let hidden = 128_u32.checked_sub(length)?;
        let mask = u128::MAX.checked_shl(hidden).unwrap_or(0);
        let address = address.to_bits() & mask;
        Some(Self::V6 { address, mask })
    }

    pub(crate) fn contains(self, address: IpAddr) -> bool {
        match (self, address) {
            (Self::V4 { address, mask }, IpAddr::V4(asked)) => asked.to_bits() & mask == address,
            (Self::V6 { address, mask }, IpAddr::V6(asked)) => asked.to_bits() & mask == address,
            _ => false,
        }
    }
}

/// The address of a request. A listener for both families shows IPv4 peers as mapped addresses,
/// which are the same peers.
pub(crate) fn parse_address(text: &str) -> Option<IpAddr> {
    let address: IpAddr = text.parse().ok()?;
    Some(address.to_canonical())
}

/// At most three digits, without leading zeros.
fn prefix_length(text: &str) -> Option<u32> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let plain = text == "0" || !text.starts_with('0');
    (digits && plain && text.len() <= 3).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(network: &str, address: &str) -> bool {
        let network = Network::parse(network).unwrap_or_else(|| panic!("{network}"));
        network.contains(parse_address(address).unwrap_or_else(|| panic!("{address}")))
    }

    #[test]
    fn ranges() {
        for (network, address) in [
            ("203.0.113.0/24", "203.0.113.255"),
            ("203.0.113.9/24", "203.0.113.0"),
            ("203.0.113.9", "203.0.113.9"),
            ("0.0.0.0/0", "255.1.2.3"),
            ("10.0.0.0/8", "10.255.0.1"),
            ("203.0.113.0/24", "::ffff:203.0.113.7"),
            ("::ffff:203.0.113.0/120", "203.0.113.200"),
            ("::ffff:0:0/95", "::fffe:0:1"),
            ("::ffff:203.0.113.0/120", "203.0.113.7"),
            ("2001:db8::/32", "2001:db8:ffff::1"),
            ("::1", "0:0::1"),
            ("::/0", "2001::"),
            ("2001:DB8::1/128", "2001:db8::1"),
        ] {
            assert!(contains(network, address), "{network} {address}");
        }
        for (network, address) in [
            ("203.0.113.0/24", "203.0.114.0"),
            ("203.0.113.9", "203.0.113.8"),
            ("0.0.0.0/0", "::1"),
            ("::/0", "1.2.3.4"),
            ("::ffff:0:0/95", "1.2.3.4"),
            ("::ffff:203.0.113.0/121", "203.0.113.200"),
            ("::/0", "::ffff:1.2.3.4"),
            ("2001:db8::/32", "2001:db9::"),
            ("::ffff:0:0/96", "::1"),
        ] {
            assert!(!contains(network, address), "{network} {address}");
        }
    }

    #[test]
    fn what_is_no_range() {
        for text in [
            "",
            "1.2.3",
            "1.2.3.4/33",
            "1.2.3.4/",
            "1.2.3.4/-1",
            "1.2.3.4/08",
            "1.2.3.4/0x8",
            "01.2.3.4",
            "::/129",
            "1.2.3.4/24/24",
            " 1.2.3.4",
            "*",
            "1.2.3.*",
            "fe80::1%eth0",
            "1.2.3.4/+8",
        ] {
            assert_eq!(Network::parse(text), None, "{text}");
        }
    }
}
