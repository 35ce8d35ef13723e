//! Redundant store of sealed blobs and tables on drives
