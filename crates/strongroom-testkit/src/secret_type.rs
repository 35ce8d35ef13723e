// SPDX-License-Identifier: Apache-2.0
//! What the type of a secret must not be able to do, checked when the test compiles.

#[doc(hidden)]
pub use serde::Serialize;

/// Does not compile for a type that can be copied, shown, compared or serialized: a secret leaves
/// its type only through the one method that is named for it.
///
/// ```
/// struct Key([u8; 32]);
/// strongroom_testkit::assert_secret_type!(Key);
/// ```
///
/// ```compile_fail,E0283
/// #[derive(Clone)]
/// struct Key([u8; 32]);
/// strongroom_testkit::assert_secret_type!(Key);
/// ```
///
/// ```compile_fail,E0283
/// #[derive(PartialEq)]
/// struct Key([u8; 32]);
/// strongroom_testkit::assert_secret_type!(Key);
/// ```
///
/// ```compile_fail,E0283
/// strongroom_testkit::assert_secret_type!(String);
/// ```
///
/// ```compile_fail,E0283
/// strongroom_testkit::assert_secret_type!([u8]);
/// ```
#[macro_export]
macro_rules! assert_secret_type {
    ($($type:ty),+ $(,)?) => {
        $($crate::assert_not_impl!($type: ::core::clone::Clone);
        $crate::assert_not_impl!($type: ::core::fmt::Display);
        $crate::assert_not_impl!($type: ::core::fmt::LowerHex);
        $crate::assert_not_impl!($type: ::core::cmp::PartialEq);
        $crate::assert_not_impl!($type: ::core::hash::Hash);
        $crate::assert_not_impl!($type: ::core::convert::AsRef<[u8]>);
        $crate::assert_not_impl!($type: ::core::ops::Deref);
        $crate::assert_not_impl!($type: $crate::secret_type::Serialize);)+
    };
}

/// Does not compile for a type that has the trait: which of the two implementations is meant then
/// cannot be told.
#[macro_export]
macro_rules! assert_not_impl {
    ($type:ty: $($bound:tt)+) => {
        const _: fn() = || {
            struct Other;
            trait Which<A> {
                fn which() {}
            }
            impl<T: ?Sized> Which<()> for T {}
            impl<T: ?Sized + $($bound)+> Which<Other> for T {}
            let _ = <$type as Which<_>>::which;
        };
    };
}
