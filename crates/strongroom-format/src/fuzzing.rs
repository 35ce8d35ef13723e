// SPDX-License-Identifier: Apache-2.0
//! Bodies of the fuzz targets in `/fuzz`. Each takes any bytes and panics only on a broken promise.
//!
//! The corpora in `/fuzz/corpus` run through the same functions in the ordinary tests.
