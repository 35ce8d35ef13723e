// SPDX-License-Identifier: Apache-2.0
//! Storage classes: how much redundancy an object gets, and whether it must be restored before it
//! can be read.
//!
//! A class says nothing about encryption. It is not bound by the sealed-key record either: a
//! lifecycle rule moves objects to other classes without their keys (`docs/adr/0033`).

use minicbor::{Decode, Encode};
use strongroom_store::layout::BlobPolicy;

/// A storage class. The order is that of S3's waterfall: rules move objects only forward in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum StorageClass {
    /// `STANDARD`
    #[default]
    #[n(0)]
    Standard,
    /// `STANDARD_IA`: stored as STANDARD.
    #[n(1)]
    StandardIa,
    /// `ONEZONE_IA`: in one facility.
    #[n(2)]
    OneZoneIa,
    /// `GLACIER`: archived.
    #[n(3)]
    Glacier,
    /// `DEEP_ARCHIVE`: archived.
    #[n(4)]
    DeepArchive,
}

impl StorageClass {
    /// All classes, in the order of the waterfall.
    pub const ALL: [Self; 5] = [
        Self::Standard,
        Self::StandardIa,
        Self::OneZoneIa,
        Self::Glacier,
        Self::DeepArchive,
    ];

    /// The class of that name; S3 has others, which this server does not.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.name() == name)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Standard => "STANDARD",
            Self::StandardIa => "STANDARD_IA",
            Self::OneZoneIa => "ONEZONE_IA",
            Self::Glacier => "GLACIER",
            Self::DeepArchive => "DEEP_ARCHIVE",
        }
    }

    /// How its bodies are kept, where there are several drives.
    pub(crate) fn policy(self) -> BlobPolicy {
        match self {
            Self::Standard | Self::StandardIa => BlobPolicy::Standard,
            Self::OneZoneIa => BlobPolicy::OneFacility,
            Self::Glacier | Self::DeepArchive => BlobPolicy::Archive,
        }
    }

    /// Whether its objects are read only after they were restored.
    pub fn is_archive(self) -> bool {
        match self {
            Self::Standard | Self::StandardIa | Self::OneZoneIa => false,
            Self::Glacier | Self::DeepArchive => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_have_one_name_and_other_names_are_none() {
        for class in StorageClass::ALL {
            assert_eq!(StorageClass::parse(class.name()), Some(class));
            let row = minicbor::to_vec(class).unwrap();
            assert_eq!(minicbor::decode::<StorageClass>(&row).unwrap(), class);
        }
        assert!(StorageClass::ALL.is_sorted());
        let policies = StorageClass::ALL.map(StorageClass::policy);
        assert_eq!(
            policies,
            [
                BlobPolicy::Standard,
                BlobPolicy::Standard,
                BlobPolicy::OneFacility,
                BlobPolicy::Archive,
                BlobPolicy::Archive,
            ]
        );
        for other in [
            "",
            "standard",
            " STANDARD",
            "STANDARD,GLACIER",
            "REDUCED_REDUNDANCY",
            "INTELLIGENT_TIERING",
            "GLACIER_IR",
            "EXPRESS_ONEZONE",
            "OUTPOSTS",
            "SNOW",
        ] {
            assert_eq!(StorageClass::parse(other), None, "{other}");
        }
        for number in [5_u8, 6, 255] {
            let row = minicbor::to_vec(number).unwrap();
            assert!(minicbor::decode::<StorageClass>(&row).is_err());
        }
    }
}
